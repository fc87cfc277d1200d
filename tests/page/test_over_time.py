"""A long recording as the page draws it."""

import numpy as np
import pytest
from conftest import EXAMPLES

from ser.inference import timeline
from ser.page import offered_models
from ser.page import over_time


@pytest.mark.parametrize("windows", [1, 2, 4, 5, 9])
def test_smoothing_is_the_mean_of_the_neighbours_in_which_somebody_speaks(windows):
    generator = np.random.default_rng(windows)
    raw, speech = generator.dirichlet(np.ones(6), windows), list(generator.random(windows) < 0.7)
    smoothed = over_time.smooth(raw, speech)
    for index in range(windows):
        near = [raw[at] for at in range(max(0, index - 2), min(windows, index + 3)) if speech[at]]
        assert smoothed[index] == pytest.approx(np.mean(near, axis=0) if near else np.zeros(6))


def test_the_browser_gets_windows_words_and_an_outline():
    model, path = offered_models.load()["cnn2d"], str(EXAMPLES / "two-voices.ogg")
    rows = timeline.analyse(path, model.classifier)
    drawn = over_time.describe(path, rows, model)
    assert len(drawn["peaks"]) == int(50 * rows[-1]["end"]) and max(drawn["peaks"]) == 1
    relative = timeline.relative_to_recording(rows)
    assert [shown["relative"][0] for shown in drawn["rows"]] == [
        f"e-{row['emotion']}" if row["speech"] else "e-none" for row in relative
    ]
    for row, shown in zip(rows, drawn["rows"], strict=True):
        tone, words = shown["raw"]
        if row["speech"]:
            assert words.endswith(f"{row['probability']:.0%}") and tone == f"e-{row['emotion']}"
        assert {shown[view][0] for view in ("raw", "smoothed", "relative")} <= drawn["faces"].keys()
        assert row["speech"] or shown["smoothed"] == over_time.NOBODY
