"""Commands end in one sentence."""

import pytest

from ser.commands import one_sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("expected a clip; record one"), "ser.x: expected a clip; record one"),
        (OSError(28, "No space left on device"), "ser.x: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), "ser.x: stopped; nothing was written"),
    ],
)
def test_what_a_user_can_mend_is_told(error, sentence):
    with pytest.raises(SystemExit) as ended, one_sentence("ser.x", stopped="nothing was written"):
        raise error
    assert ended.value.code == sentence


def test_a_mistake_in_the_code_is_none_of_the_users():
    with pytest.raises(KeyError), one_sentence("ser.x", stopped="nothing was written"):
        raise KeyError("labels")
