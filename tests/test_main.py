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


def test_an_unknown_command_lists_those_there_are(capsys):
    with pytest.raises(SystemExit):
        program.main(["evaluate"])
    said = capsys.readouterr().err
    assert all(name in said for name in program.COMMANDS)
