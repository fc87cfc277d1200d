"""`python -m ser`: a command ends in one sentence, and only what it needs is imported."""

import sys
from types import SimpleNamespace

import pytest

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
    assert all(name in said for name in program.COMMANDS)
