"""What the README and the model cards tell the reader to type, typed: on made-up clips, in an empty folder."""

import importlib
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import speech
from conftest import write_corpus
from hub_server import serve
from hub_server import take_for_the_hub

from ser.training.arguments import parse_arguments

NOT_HERE = {  # how a block begins, and why it is not run here
    "pip install": "installs from PyPI; the server that it starts is asked in test_handlers.py",
    "FILE=$(curl": "run in test_handlers.py",
    "import json, math, onnxruntime": "run without torch in test_export_onnx.py",
    "@": "a reference, not a command",
}
TEXTS = [ROOT / name for name in ("README.md", "docs/results.md", "docs/benchmarks.md")]
CARDS = sorted(ROOT.glob("checkpoints/*/README.md"))
ACTORS = ("1010", "1020", "1041", "1042")  # test, dev and twice training, of the tfds split and of fold 1
CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
ONE_STEP = shlex.split("--max_steps 1 --eval_strategy steps --eval_steps 1 --save_strategy steps --save_steps 1")
ONE_STEP += shlex.split("--logging_strategy steps --logging_steps 1 --disable_tqdm True --cache_dir cache")


def blocks(path: Path) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks of a text that are to be run here."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if not text.startswith(tuple(NOT_HERE))]


def run(words: list[str], monkeypatch) -> None:
    """A line of a shell block, in this process, which has imported everything already; `make` says what it would do."""
    if not words:
        return
    if words[0] == "make":
        subprocess.run([*words, "--dry-run"], cwd=ROOT, check=True, capture_output=True)
        return
    if words[1] == "train.py":
        words = [*words, *ONE_STEP]
    monkeypatch.setattr(sys, "argv", words[1:] if words[1] == "train.py" else words[2:])
    importlib.import_module("train" if words[1] == "train.py" else "ser.__main__").main()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with all that the README takes for granted."""
    names = [f"{actor}_DFA_{code}_XX" for actor in ACTORS for code in CODES]
    write_corpus(tmp_path / "data/crema-d", names)
    write_corpus(
        tmp_path / "data/emodb", [f"{speaker}a01{code}a" for speaker in ("03", "08", "09") for code in "WLEAFTN"]
    )
    write_corpus(tmp_path / "clips", names[:3])
    for folder, label in (("my-clips", "label"), ("user/some-dataset", "emotion")):
        write_corpus(tmp_path / folder, [f"take-{number}" for number in range(18)])
        rows = [f"take-{number}.wav,{('calm', 'cross')[number % 2]},s{number // 6}" for number in range(18)]
        (tmp_path / folder / "metadata.csv").write_text("\n".join([f"file,{label},speaker", *rows]))
    for name in ("speech.wav", "ordinary.wav"):
        soundfile.write(tmp_path / name, speech(1.0), RATE)
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    return tmp_path


@pytest.mark.parametrize(("language", "text"), blocks(ROOT / "README.md"), ids=lambda text: text.strip()[:40])
def test_a_block_of_the_readme_runs(language, text, here, url, monkeypatch, capsys):
    if language == "python":
        Path("block.py").write_text(text.replace("http://127.0.0.1:7860", url))
        runpy.run_path("block.py", {"samples": speech(1.0, rate=44100)})
        return
    with serve() as hub:
        if "ser push" in text or "--push_to_hub" in text:
            take_for_the_hub(monkeypatch, hub.url)
        for line in text.splitlines():
            try:
                run(shlex.split(line, comments=True), monkeypatch)
            except SystemExit as end:
                assert not end.code, f"{line}: {end.code}"
    if "ser predict" in text:
        assert Path("predictions.parquet").is_file() and Path("predictions.csv").is_file()
    if "train.py" in text:
        assert list(Path("runs").rglob("model.safetensors"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(path):
    targets = re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8"))
    for file, heading in targets:
        target = path.parent / file if file else path
        assert target.exists(), file
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in slugs, f"{file}#{heading}"


def test_the_tests_that_hold_the_promises_of_security_exist():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    promises = [line for line in text.splitlines() if line.startswith("|")][2:]
    for promise in promises:
        files = re.findall(r"`(test_\w+\.py)`", promise)
        assert files and set(files) <= tests.keys(), promise
        for name in re.findall(r"`(test_\w+)`", promise):
            assert any(f"def {name}(" in tests[file] for file in files), name


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.parent.name)
def test_the_blocks_of_a_card_run(card, here):
    (_, code), (_, command) = blocks(card)
    Path("block.py").write_text(code.replace("PATH_OR_ID", str(card.parent)))
    answer = runpy.run_path("block.py")
    assert answer["classifier"].model.config.num_labels == 6
    data, words = parse_arguments(shlex.split(command)[2:]).data, shlex.split(command)
    shorter = shlex.split(data.command)  # without what has become the recipe's default since
    assert set(shorter) <= set(words) and parse_arguments(shorter[2:]).data == data
