"""A model on its own test split, changed: every condition is measured, and the same each time."""

import json
import shutil

import datasets
import numpy as np
import pytest
from conftest import RATE
from conftest import ROOT
from conftest import voice
from transformers import set_seed

from ser.__main__ import main
from ser.corpora import load_crema_d
from ser.corpora.splits import drawn_from
from ser.corpora.splits import fixed_share
from ser.corpora.splits import split
from ser.evaluation import robustness
from ser.evaluation.conditions import CONDITIONS
from ser.evaluation.robustness import CLEAN
from ser.evaluation.robustness import changed
from ser.inference.loading import load_reported


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != CLEAN])
def test_each_condition_changes_the_sound_and_does_so_again(name):
    waveform = (0.3 * voice(2.0)).astype(np.float32)
    results = []
    for _ in range(2):
        set_seed(0)
        results.append(changed(waveform, CONDITIONS[name], RATE))
    first, again = results
    assert first.dtype == np.float32 and np.isfinite(first).all()
    assert abs(len(first) - len(waveform)) <= 2 * RATE
    assert first.shape != waveform.shape or np.abs(first - waveform).max() > 0.001
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("rate", [22050, 44100])
@pytest.mark.parametrize("name", ["MP3, 16 kbit/s", "Opus, 16 kbit/s"])
def test_a_codec_takes_clips_of_any_rate(name, rate):
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    coded = changed(tone, CONDITIONS[name], rate)
    assert abs(len(coded) - len(tone)) < 0.2 * rate  # encoders add a little silence
    assert np.argmax(np.abs(np.fft.rfft(coded))) * rate / len(coded) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("snr", [20, 10, 5])
@pytest.mark.parametrize("colour", ["white", "pink"])
def test_noise_is_as_loud_as_its_name_says(colour, snr):
    set_seed(0)
    waveform = (0.1 * voice(3.0)).astype(np.float32)
    noise = changed(waveform, CONDITIONS[f"{colour} noise, {snr} dB"], RATE) - waveform
    assert 10 * np.log10(np.square(waveform).mean() / np.square(noise).mean()) == pytest.approx(snr, abs=0.5)
    power = np.square(np.abs(np.fft.rfft(noise)))
    low, high = (power[3 * hertz : 6 * hertz].mean() for hertz in (500, 2000))  # an octave each, two octaves apart
    assert 10 * np.log10(low / high) == pytest.approx({"white": 0, "pink": 6}[colour], abs=3)


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9])
def test_an_echo_is_as_loud_as_the_voice_and_falls_by_sixty_decibels_in_the_time_of_its_room(seconds):
    click = np.zeros(RATE, np.float32)
    click[0] = 1
    echoed = changed(click, CONDITIONS[f"room, {seconds} s"], RATE)
    assert echoed[0] == pytest.approx(1, abs=1e-4)
    echo = np.square(echoed[1:])
    assert echo.sum() == pytest.approx(1, abs=0.01)
    early, late = (echo[start : start + RATE // 20].sum() for start in (0, round(seconds / 2 * RATE)))
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1.5)


def test_levels_margins_and_clipping_are_what_their_names_say():
    waveform = voice(2.0)
    np.testing.assert_allclose(changed(waveform, CONDITIONS["20 dB louder"], RATE), 10 * waveform, rtol=1e-5)
    np.testing.assert_allclose(changed(waveform, CONDITIONS["20 dB softer"], RATE), 0.1 * waveform, rtol=1e-5)
    clipped = changed(waveform, CONDITIONS["clipped"], RATE)
    assert np.mean(clipped != waveform) == pytest.approx(0.1, abs=0.001)
    assert np.abs(clipped).max() == pytest.approx(np.quantile(np.abs(waveform), 0.9), rel=1e-5)
    silence = np.zeros(RATE, np.float32)
    expected = np.concatenate([silence, waveform, silence])
    np.testing.assert_array_equal(changed(waveform, CONDITIONS["silent margins"], RATE), expected)
    noise = changed(waveform, CONDITIONS["margins of room noise"], RATE) - expected
    assert 10 * np.log10(np.square(expected).mean() / np.square(noise[:RATE]).mean()) == pytest.approx(35, abs=1)


def test_another_voice_is_ten_decibels_softer_at_any_rate():
    for rate in (16000, 44100):
        set_seed(0)  # chooses the voice
        waveform = (0.1 * voice(3.0, rate=rate)).astype(np.float32)
        other = changed(waveform, CONDITIONS["another voice, 10 dB"], rate) - waveform
        assert 10 * np.log10(np.square(waveform).mean() / np.square(other).mean()) == pytest.approx(10, abs=0.1)


def test_a_telephone_passes_its_band_only():
    time = np.arange(RATE) / RATE
    for hertz, passes in ((100, False), (1000, True), (6000, False)):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        left = np.abs(changed(tone, CONDITIONS["telephone band"], RATE)[RATE // 2 :]).max()
        assert left > 0.9 if passes else left < 0.1


def test_a_noise_suppressor_quietens_the_pauses_only():
    noise = 0.003 * np.random.default_rng(0).standard_normal(2 * RATE)
    waveform = (np.concatenate([np.zeros(RATE), 0.3 * voice(1.0)]) + noise).astype(np.float32)
    after = changed(waveform, CONDITIONS["noise suppressed"], RATE)
    pause, spoken = slice(1000, RATE - 1000), slice(RATE + 1000, 2 * RATE - 1000)
    assert np.std(after[pause]) < 0.3 * np.std(waveform[pause])
    assert np.std(after[spoken]) == pytest.approx(np.std(waveform[spoken]), rel=0.05)


def test_the_command_measures_the_models_own_test_split(small_corpus, tmp_path, monkeypatch, capsys):
    model = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "cnn1d")
    (model / "robustness.json").unlink()
    arguments = [str(model), "--data_dir", str(small_corpus), "--cache_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="its test split has 1,556 clips, here are 82: take the whole corpus"):
        main(["robustness", *arguments])
    results = json.loads((model / "results.json").read_text())
    results["parts"] |= {name: results["parts"][name] | {"clips": 82} for name in ("dev", "test")}
    (model / "results.json").write_text(json.dumps(results))
    for names in ((CLEAN,), (CLEAN, "20 dB softer")):  # the second time, only what is missing
        monkeypatch.setattr("ser.evaluation.robustness.git_commit", lambda names=names: str(len(names)))
        monkeypatch.setattr("ser.evaluation.robustness.CONDITIONS", {name: CONDITIONS[name] for name in names})
        main(["robustness", *arguments])
        assert f"measured {names[-1]}; {len(names)} conditions in" in capsys.readouterr().out
    report = json.loads((model / "robustness.json").read_text())
    assert report["conditions"][CLEAN]["change"] == 0
    assert [figures["git_commit"] for figures in report["conditions"].values()] == ["1", "2"]  # what is there stays
    softer = report["conditions"]["20 dB softer"]
    assert f"| 20 dB softer | {softer['accuracy']:.3f} |" in (model / "README.md").read_text()
    before = (model / "README.md").read_text()
    main(["robustness", *arguments, "--split", "dev"])
    on_dev = json.loads((model / "robustness_dev.json").read_text())["conditions_on_dev"]
    assert list(on_dev) == list(report["conditions"]) and on_dev[CLEAN] != report["conditions"][CLEAN]
    assert (model / "README.md").read_text() == before  # a card tells of test clips
    assert softer["change"] == pytest.approx(softer["accuracy"] - report["conditions"][CLEAN]["accuracy"], abs=2e-4)


def test_splits_are_those_of_the_run_and_no_others(small_corpus, tmp_path):
    run = {
        "corpus": "CREMA-D",
        "protocol": "random",
        "fold": None,
        "split_seed": 1,
        "share_of_clips": 0.5,
        "valid": True,
    }
    clips = fixed_share(load_crema_d(small_corpus, cache_dir=tmp_path), 0.5)
    expected = split(clips, "random", split_seed=1)
    run["parts"] = {name: {"clips": len(part)} for name, part in expected.items()}
    for drawn in ({}, {"drawn_from": drawn_from(clips.select(range(1, len(clips))), "random")}):
        with pytest.raises(ValueError, match="drawn from other clips, or in another order: take the data"):
            robustness.own_split(run | drawn, str(small_corpus), str(tmp_path), name="test")
    run["drawn_from"] = drawn_from(clips, "random")
    for name in ("dev", "test"):
        part = robustness.own_split(run, str(small_corpus), str(tmp_path), name=name)
        assert part["clip"][:] == expected[name]["clip"][:]
    with pytest.raises(ValueError, match="was trained on its dev split: take the model of the run before"):
        robustness.own_split(run | {"parts": ["train", "test"]}, str(small_corpus), str(tmp_path), name="dev")
    with pytest.raises(ValueError, match="the leaky protocol has no separate test split"):
        robustness.own_split(run | {"protocol": "leaky", "valid": False}, str(small_corpus), str(tmp_path), name="test")


def test_a_condition_is_the_same_again_and_its_interval_is_over_speakers(crema_d, tmp_path, monkeypatch):
    for path in sorted((crema_d / "AudioOGG").glob("100[12]*.ogg"))[::6]:
        (tmp_path / path.name).symlink_to(path)
    model, extractor, _ = load_reported(str(ROOT / "checkpoints/cnn1d"))
    clips = load_crema_d(tmp_path, cache_dir=tmp_path / "cache")
    actors = [
        clips.select([row for row, name in enumerate(clips["clip"]) if name[:4] == actor]) for actor in ("1001", "1002")
    ]
    both = datasets.concatenate_datasets(actors)
    one, other, change = (
        dict(robustness.measure(model, extractor, part, ["telephone band"]))["telephone band"]
        for part in (*actors, both)
    )
    assert one["change"] != other["change"]
    assert change["change_interval_95"] == pytest.approx(sorted([one["change"], other["change"]]), abs=1e-4)
    drawn = []
    monkeypatch.setitem(CONDITIONS, "chance", lambda waveform, sample_rate: drawn.append(np.random.rand()) or waveform)
    for _ in range(2):
        list(robustness.measure(model, extractor, actors[0], ["chance"]))
    assert drawn[: len(actors[0])] == drawn[len(actors[0]) :]


def test_a_model_that_orders_its_labels_otherwise_is_not_scored(small_corpus, tmp_path):
    model, extractor, _ = load_reported(str(ROOT / "checkpoints/cnn1d"))
    names = model.config.id2label
    model.config.id2label = names | {0: names[1], 1: names[0]}
    clips = load_crema_d(small_corpus, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="expected a model with the labels of its corpus in their order"):
        list(robustness.measure(model, extractor, clips, [CLEAN]))


@pytest.mark.parametrize("arguments", [["nowhere", "--data_dir", "."], ["{model}", "--data_dir", "nowhere"]])
def test_a_bad_command_ends_in_one_sentence(arguments, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit, match=r"ser robustness: .*nowhere") as stopped:
        main(["robustness", *(argument.format(model=ROOT / "checkpoints/cnn1d") for argument in arguments)])
    assert "\n" not in str(stopped.value)
