"""`python -m ser`: a command ends in one sentence, and only what it needs is imported."""

import argparse
import importlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from conftest import run_python
from conftest import write_corpus

import ser
import ser.__main__ as program


def command(error: BaseException) -> SimpleNamespace:
    """A command that cannot go on."""

    def run(options) -> None:
        raise error

    return SimpleNamespace(__doc__="", add_arguments=lambda parser: None, run=run, STOPPED="nothing was written")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("expected a clip; record one"), "ser results: expected a clip; record one"),
        (OSError(28, "No space left on device"), "ser results: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), "ser results: stopped; nothing was written"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(error, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, program.COMMANDS["results"], command(error))
    with pytest.raises(SystemExit) as ended:
        program.main(["results"])
    assert ended.value.code == sentence


def test_a_stop_while_a_command_is_imported_is_one_sentence(monkeypatch):
    def stopped(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(program.importlib, "import_module", stopped)
    with pytest.raises(SystemExit, match="^ser embed: stopped before it began$"):
        program.main(["embed"])


@pytest.mark.parametrize("script", ["train.py", "app.py"])
def test_a_stop_while_a_script_imports_is_one_sentence(script, tmp_path):
    (tmp_path / "torch.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, ROOT / script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"{script}: stopped before it began\n")


IMPORTS = """
import sys
import ser.__main__
assert not {"torch", "transformers", "datasets", "numpy"} & set(sys.modules)
import ser
ser.load_audio
assert not {"torch", "transformers", "datasets"} & set(sys.modules)
"""
HELP = """
import sys
import ser.__main__
for words in (["--help"], ["--backend", "onnx", "--otput", "preds.csv"]):
    try:
        ser.__main__.main(["predict", *words])
    except SystemExit as ended:
        assert ended.code in (0, "ser predict: there is no option --otput; did you mean --output?")
assert not {"torch", "transformers", "datasets"} & set(sys.modules)
"""
REGISTERED = """
from transformers import AutoConfig, AutoModel, AutoModelForAudioClassification, pipeline
from ser.models.modeling_ser import CNN1DForAudioClassification
import ser
assert ser.CNN1DForAudioClassification is CNN1DForAudioClassification
config = AutoConfig.from_pretrained(sys.argv[1])
assert type(AutoModelForAudioClassification.from_config(config)) is CNN1DForAudioClassification
assert type(pipeline("audio-classification", model=sys.argv[1])) is ser.SERPipeline
"""


def test_the_package_is_imported_without_torch(tmp_path):
    run_python(IMPORTS, cwd=tmp_path, path=ROOT)


def test_help_and_a_mistyped_option_are_answered_without_torch(tmp_path):
    run_python(HELP, cwd=tmp_path, path=ROOT)


@pytest.mark.parametrize("first", ["ser", "transformers", "ser.models.modeling_ser", "ser.inference.loading"])
def test_the_models_are_registered_whatever_is_imported_first(first, tmp_path):
    run_python(f"import sys, {first}, ser\n" + REGISTERED, ROOT / "checkpoints/cnn1d", cwd=tmp_path, path=ROOT)


def test_a_mistake_in_the_code_keeps_its_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, program.COMMANDS["results"], command(KeyError("labels")))
    with pytest.raises(KeyError):
        program.main(["results"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["evaluate"], "ser: there is no command 'evaluate'; expected train, predict, "),
        (["predct"], "ser: there is no command 'predct'; did you mean predict?"),
        (["predict", "clips", "--otput", "x.csv"], "ser predict: there is no option --otput; did you mean --output?"),
        (
            ["predict", "clips"],
            "ser predict: the following arguments are required: --output; see ",
        ),
        (
            ["push", "model", "folder", "user/x", "--revison=y"],
            "no option --revison; did you mean --revision?",
        ),
        (["push", "modle", "folder", "user/x"], "ser push: argument kind: invalid choice: 'modle'"),
    ],
)
def test_a_mistyped_command_or_option_is_answered_in_one_line(words, sentence):
    with pytest.raises(SystemExit) as ended:
        program.main(words)
    assert sentence in ended.value.code and "\n" not in ended.value.code


def test_without_a_command_the_commands_are_listed(capsys):
    program.main([])
    said = capsys.readouterr().out
    assert all(f"python -m ser {name} " in said for name in program.COMMANDS)


@pytest.mark.parametrize("command", ["train.py", "-mser", "-mser predict"])
def test_a_reader_of_the_help_may_leave_early(command):
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, *command.split(), "--help"]
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    done = subprocess.run(words, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def options_of(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from options_of(each)
        else:
            yield action


@pytest.mark.parametrize("name", sorted(program.COMMANDS.keys() - {"train"}))
def test_every_option_is_described(name):
    parser = argparse.ArgumentParser()
    importlib.import_module(program.COMMANDS[name]).add_arguments(parser)
    assert [action.dest for action in options_of(parser) if not action.help] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("predict", "clips", "--output", "table.csv"), ""),
        (
            ("predict", "--dataset", "clips", "--split", "train", "--output", "table.csv"),
            "ser predict: dataset 'clips'",
        ),
        (("train", "--dataset_dir", "clips", "--recipe", "cnn1d"), "ser train: "),
        (("predict", "clips", "--backend", "onnx", "--output", "table.csv"), "ser predict: "),
    ],
    ids=["files", "dataset", "training", "onnx"],
)
def test_a_home_that_cannot_be_written_does_not_matter_or_is_answered_in_one_sentence(words, sentence, tmp_path):
    for label in ("calm", "cross"):
        write_corpus(tmp_path / "clips" / label, ["a", "b"])
    (tmp_path / "home").write_text("a file, in which even root can make no folder")
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "home/hf"),
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "ser", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    if not sentence:
        assert done.returncode == 0 and "4 clips, 0 with errors" in done.stdout, done.stderr
        return
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(sentence)
    assert last.endswith("the cache cannot be written; set HF_HOME and XDG_CACHE_HOME to writable folders")


def test_names_that_are_imported_late_are_listed_and_there():
    assert {*ser.__all__} <= {*dir(ser)}
    assert all(getattr(ser, name).__name__ == name for name in ser.__all__)
    with pytest.raises(AttributeError, match="module 'ser' has no attribute 'CNN3DConfig'"):
        ser.CNN3DConfig()
