"""Tests of ser/corpora/audio_column.py: `datasets` is as it was wherever this project is not reading."""

import datasets
import numpy as np
import pytest
import soundfile

from ser.corpora.audio_column import without_torchcodec
from ser.corpora.unlabelled_audio import open_dataset
from ser.corpora.unlabelled_audio import share


def unchanged():
    return datasets.Audio.encode_example.__module__ == "datasets.features.audio"


def test_imports_leave_datasets_alone():
    assert unchanged()


def test_the_method_is_put_back_after_an_error():
    with pytest.raises(KeyError), without_torchcodec():
        assert not unchanged()
        raise KeyError
    assert unchanged()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_files_is_read_and_datasets_left_alone(tmp_path, streaming):
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(160), 16000)
    clips = open_dataset(str(tmp_path), split=None, streaming=streaming, audio_column="audio")
    assert unchanged()
    rows, _ = share(clips, 0, 1, done=1)
    audio, _ = next(rows)
    assert audio["path"].endswith("b.wav")
    assert unchanged()  # between two rows too
    assert [audio["path"][-5:] for audio, _ in rows] == ["c.wav"]
    assert unchanged()
