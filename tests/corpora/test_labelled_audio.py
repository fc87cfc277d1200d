"""Datasets that others made, with their own columns and spellings."""

import logging

import datasets
import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import voice
from conftest import write_corpus

from ser import SERFeatureExtractor
from ser.corpora import load_labelled_audio
from ser.corpora.clip_dataset import with_features
from ser.corpora.splits import speakers_of
from ser.models.audio_ser import load_audio
from ser.training.augmentation import WaveformAugmentation

NAMES = ["1001_DFA_ANG_XX", "1002_DFA_HAP_XX", "1010_DFA_NEU_XX"]


def save(folder, *, torn=(), **columns) -> str:
    write_corpus(folder / "audio", NAMES)
    for name in torn:
        (folder / "audio" / f"{name}.wav").write_bytes(b"torn")
    paths = [str(folder / "audio" / f"{name}.wav") for name in NAMES]
    clips = datasets.Dataset.from_dict({"sound": paths, **columns})
    clips.cast_column("sound", datasets.Audio(decode=False)).save_to_disk(folder / "dataset")
    return str(folder / "dataset")


def test_known_spellings_get_the_usual_names_and_order(tmp_path):
    name = save(tmp_path, mood=["Angry", "HAP", "neutral"], age=["?", None, "50s"])
    clips = load_labelled_audio(name, audio_column="sound", label_column="mood")
    assert clips.features["label"].names == ["anger", "disgust", "fear", "happy", "neutral", "sad"]
    assert clips["label"][:] == [0, 3, 4]
    assert clips["actor"][:] == ["1001", "1002", "1010"]
    assert clips["clip"][:] == NAMES
    assert clips["duration"][:] == pytest.approx([0.4] * 3)
    assert len(load_audio(clips[0]["audio"], sampling_rate=16000)) == 6400


def test_other_labels_keep_their_names(tmp_path):
    clips = load_labelled_audio(save(tmp_path, label=["zorn", "freude", "zorn"]), audio_column="sound")
    assert clips.features["label"].names == ["freude", "zorn"]
    assert clips["label"][:] == [1, 0, 1]


def test_class_labels_are_read_by_name(tmp_path):
    labels = datasets.ClassLabel(names=["sad", "anger"])
    write_corpus(tmp_path / "audio", NAMES)
    clips = datasets.Dataset.from_dict(
        {"audio": [str(tmp_path / "audio" / f"{name}.wav") for name in NAMES], "label": [0, 1, 1]}
    ).cast(datasets.Features({"audio": datasets.Value("string"), "label": labels}))
    clips.cast_column("audio", datasets.Audio(decode=False)).save_to_disk(tmp_path / "dataset")
    assert load_labelled_audio(str(tmp_path / "dataset"))["label"][:] == [5, 0, 0]


def test_blanks_around_labels_and_speakers_do_not_count(tmp_path):
    name = save(tmp_path, label=[" calm", "calm\u00a0", "cross"], Speaker=["s1 ", "s1", " s2"])
    table = datasets.load_from_disk(name).map(lambda row, number: {"clip": f"c{number}"}, with_indices=True)
    table.save_to_disk(tmp_path / "own")
    clips = load_labelled_audio(str(tmp_path / "own"), audio_column="sound")
    assert clips.features["label"].names == ["calm", "cross"] and clips["label"][:] == [0, 0, 1]
    assert speakers_of(clips) == ["s1", "s1", "s2"]
    classes = datasets.ClassLabel(names=["cross", " calm", "calm"])
    named = table.remove_columns("label").add_column("label", [1, 2, 0]).cast_column("label", classes)
    named.save_to_disk(tmp_path / "classes")
    clips = load_labelled_audio(str(tmp_path / "classes"), audio_column="sound")
    assert clips.features["label"].names == ["cross", "calm"] and clips["label"][:] == [1, 1, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"label": ["Calm", "calm", "cross"]},
            "the labels 'Calm', 'calm' differ only in upper and lower case; spell them the same way",
        ),
        ({"label": ["calm", "calm", "cross"], "speaker": ["S1", "s1", "s2"]}, "the speakers 'S1', 's1' differ only"),
        (
            {"label": [["calm"], ["cross", "calm"], ["calm"]]},
            "one label per clip in column 'label'.*; got several values",
        ),
        (
            {"label": [0.5, 0.25, 1.0]},
            "one label per clip in column 'label', as text or integer; got float64 numbers",
        ),
    ],
)
def test_labels_that_are_several_or_spelt_in_two_ways_are_refused(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        load_labelled_audio(save(tmp_path, **columns), audio_column="sound")


def test_samples_are_trained_on_with_their_rate_and_refused_without(tmp_path):
    rows = [{"array": voice(0.5, seed=seed).tolist(), "sampling_rate": RATE} for seed in range(2)]
    columns = {"label": ["calm", "cross"], "clip": ["a", "b"]}
    datasets.Dataset.from_dict({"audio": rows} | columns).save_to_disk(tmp_path / "samples")
    clips = load_labelled_audio(str(tmp_path / "samples"))
    np.testing.assert_allclose(load_audio(clips[1]["audio"], sampling_rate=RATE), voice(0.5, seed=1), atol=1e-6)
    datasets.Dataset.from_dict({"audio": [row["array"] for row in rows]} | columns).save_to_disk(tmp_path / "lists")
    with pytest.raises(ValueError, match="expected column 'audio' to hold audio files .* samples alone do not say"):
        load_labelled_audio(str(tmp_path / "lists"))


def test_a_missing_column_is_answered_with_those_there_are(tmp_path):
    name = save(tmp_path, mood=["anger", "happy", "sad"])
    with pytest.raises(ValueError, match=r"no column 'audio'; set --audio_column to one of \['sound', 'mood'\]"):
        load_labelled_audio(name)
    with pytest.raises(ValueError, match="no column 'label'; set --label_column to one of"):
        load_labelled_audio(name, audio_column="sound")


def test_rows_without_label_or_sound_are_left_out_and_counted(tmp_path, caplog):
    name = save(tmp_path, torn=NAMES[2:], label=["anger", "happy", "happy"], speaker=[7, 7, 8])
    table = datasets.load_from_disk(name)
    datasets.concatenate_datasets([table, table.select([0]).map(lambda row: {"label": None})]).save_to_disk(f"{name}-2")
    name = f"{name}-2"
    with caplog.at_level(logging.WARNING):
        clips = load_labelled_audio(name, audio_column="sound")
    assert clips["clip"][:] == NAMES[:2]
    assert clips.features["label"].names[0] == "anger"
    said = [record.getMessage() for record in caplog.records]
    missing = "left out 1 row without audio or label (row 4 first): fill them in, or remove them"
    assert said == [missing, f"left out 1 clip: undecodable ({NAMES[2]})"]


def test_clips_that_need_ffmpeg_are_named_and_a_label_is_never_lost(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for label, name in (("calm", "a"), ("calm", "b"), ("cross", "c"), (".ipynb_checkpoints", "a")):
        write_corpus(tmp_path / label, [name])
    (tmp_path / "cross/d.amr").write_bytes(b"#!AMR\n" + bytes(99))
    (tmp_path / "empty").mkdir()
    soundfile.write(tmp_path / "cross/short.wav", voice(0.19), RATE)
    with caplog.at_level(logging.WARNING):
        clips = load_labelled_audio(str(tmp_path))
    assert clips.features["label"].names == ["calm", "cross"] and clips["clip"][:] == ["a", "b", "c"]
    assert "skipped folders without audio files: empty" in caplog.text
    assert "left out 1 clip: shorter than 0.2 s (short)" in caplog.text
    needed = "AMR files need the program ffmpeg, which is not installed here; convert them to WAV"
    assert f"left out 1 clip: {needed} (d)" in caplog.text
    (tmp_path / "cross/c.wav").unlink()
    with pytest.raises(ValueError, match="no clip of cross can be used; see the warnings above .*: convert the clips"):
        load_labelled_audio(str(tmp_path))


def test_a_clip_in_two_splits_counts_once(tmp_path, caplog):
    table = datasets.load_from_disk(save(tmp_path, label=["anger", "happy", "neutral"]))
    datasets.DatasetDict({"train": table.select([0, 2]), "full": table}).save_to_disk(tmp_path / "both")
    with caplog.at_level(logging.WARNING):
        clips = load_labelled_audio(str(tmp_path / "both"), audio_column="sound")
    assert sorted(clips["clip"]) == NAMES
    assert "left out 2 clips: copy of another clip" in caplog.text


def test_a_folder_of_folders_is_read_by_its_names(tmp_path):
    for label, name in (("calm", "a"), ("calm", "b"), ("cross", "c")):
        write_corpus(tmp_path / "clips" / label, [name])
    clips = load_labelled_audio(str(tmp_path / "clips"))
    assert clips.features["label"].names == ["calm", "cross"]
    assert dict(zip(clips["clip"], clips["label"], strict=True)) == {"a": 0, "b": 0, "c": 1}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="named after their labels, or a metadata.csv"):
        load_labelled_audio(str(tmp_path / "empty"))


def test_features_of_a_folder_are_cached_until_a_clip_or_what_is_made_of_it_is_another(tmp_path, monkeypatch):
    for label, name in (("calm", "a"), ("calm", "b"), ("cross", "c")):
        write_corpus(tmp_path / "clips" / label, [name])

    def features(probability: float = 0.0, **settings: float) -> tuple[list, set[str]]:
        clips = load_labelled_audio(str(tmp_path / "clips"), cache_dir=str(tmp_path / "cache"))
        extractor, copies = SERFeatureExtractor(features=["rms"], **settings), WaveformAugmentation(probability, RATE)
        found = with_features(clips, extractor, augment_copy=copies)["features"][:]
        return found, {str(path) for path in (tmp_path / "cache").rglob("cache-*.arrow")}

    first, files = features()
    assert len(files) == 1 and features() == (first, files)
    soundfile.write(tmp_path / "clips/calm/a.wav", voice(1.0, seed=7), RATE)
    again, more = features()
    assert len(more) == 2 and again[1:] == first[1:] and again[0] != first[0]
    shorter, more = features(max_duration=0.2)
    assert len(more) == 3 and max(map(len, shorter)) == 13
    assert len(features(probability=0.5)[1]) == 4
    monkeypatch.setattr("inspect.getsource", lambda module: "another version")
    assert len(features()[1]) == 5


def test_features_in_the_cache_are_those_of_the_settings(tmp_path):
    for seed, label in enumerate(("calm", "cross")):
        (tmp_path / "clips" / label).mkdir(parents=True)
        soundfile.write(tmp_path / f"clips/{label}/a{seed}.wav", np.pad(voice(0.5, seed=seed), RATE // 4), RATE)
    clips = load_labelled_audio(str(tmp_path / "clips"), cache_dir=str(tmp_path / "cache"))
    waveform = load_audio(clips[0]["audio"], sampling_rate=RATE)
    usual = {"max_duration": 1.0, "trim_db": 30.0, "features": ["log_mel"]}
    others = {"n_fft": 512, "hop_length": 128, "n_mels": 40, "fmin": 100.0, "fmax": 4000.0, "features": ["rms"]}
    others |= {"top_db": 20.0, "band_top_db": 10.0, "db_reference": "max", "trim_db": 5.0, "trim_margin": 0.1}
    others |= {"wiener": True, "subtract_noise": True, "max_duration": 0.2, "pad_to_max_duration": True}
    others |= {"statistics": ["mean"]}
    found = []
    for changes in ({}, *({name: value} for name, value in others.items())):
        extractor = SERFeatureExtractor(**usual | changes)
        found.append(with_features(clips, extractor)["features"][0])
        np.testing.assert_array_equal(found[-1], extractor.extract(waveform).ravel(), err_msg=str(changes))
    assert not any(np.array_equal(found[0], each) for each in found[1:])


def test_speakers_are_kept_and_misspelt_names_understood(tmp_path):
    clips = load_labelled_audio(save(tmp_path, label=["a", "b", "a"], speaker_id=[7, 7, 8]), audio_column="sound")
    assert speakers_of(clips) == ["1001", "1002", "1010"]  # the official names know better
    folder = tmp_path / "clips/sad"
    write_corpus(folder, ["1040_ITH_SAD_X", "1001_DFA_SAD_XX"])
    assert speakers_of(load_labelled_audio(str(tmp_path / "clips"))) == ["1001", "1040"]
