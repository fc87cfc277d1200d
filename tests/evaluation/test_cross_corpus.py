"""A trained model on clips of another corpus: what it knows is scored, what it does not know is counted."""

import json
import shutil
from collections import Counter
from collections import defaultdict

import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import SHARED
from conftest import voice
from transformers import pipeline

from ser.__main__ import main
from ser.evaluation.cross_corpus import own_label

SIX = ["anger", "disgust", "fear", "happy", "neutral", "sad"]


@pytest.fixture
def model(tmp_path):
    folder = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "cnn1d")
    (folder / "cross_corpus.json").unlink()
    return folder


@pytest.fixture
def my_clips(tmp_path):
    """Four clips a label in a subfolder for each; nobody is known to speak."""
    for pitch, label in ((100, "Angry"), (150, "sadness"), (200, "calm")):
        (tmp_path / "my-clips" / label).mkdir(parents=True)
        for seed in range(4):
            clip = voice(0.8, pitch=pitch, seed=seed)
            soundfile.write(tmp_path / "my-clips" / label / f"{label}{seed}.wav", clip, RATE)
    return tmp_path / "my-clips"


@pytest.fixture(scope="module")
def two_speakers(tmp_path_factory):
    """Every fourth clip of two speakers of EmoDB."""
    corpus = SHARED / "emodb/wav"
    if not corpus.is_dir():
        pytest.skip("needs EmoDB beside the checkout, at ../shared/data/emodb")
    folder = tmp_path_factory.mktemp("emodb")
    for path in [path for path in sorted(corpus.iterdir()) if path.name[:2] in ("03", "08")][::4]:
        (folder / path.name).symlink_to(path)
    return folder


def test_labels_are_matched_by_what_they_mean():
    assert [own_label(name, SIX) for name in ("Happiness", "sadness", "angry", "fear", "boredom")] == [3, 5, 0, 2, None]
    assert own_label("happy", ["happiness", "boredom"]) == 0


def test_another_corpus_is_scored_on_the_labels_that_the_model_knows(model, two_speakers, tmp_path, capsys):
    main(
        ["cross-corpus", str(model), "--corpus", "emodb", "--data_dir", str(two_speakers), "--cache_dir", str(tmp_path)]
    )
    figures = json.loads((model / "cross_corpus.json").read_text())["corpora"]["EmoDB"]
    names = [path.stem for path in two_speakers.iterdir()]
    bored = sum(name[5] == "L" for name in names)
    assert (figures["clips"], figures["speakers"], figures["left_out"]) == (len(names) - bored, 2, {"boredom": bored})
    assert figures["labels"] == SIX
    classifier, meant = pipeline("audio-classification", model=str(model)), dict(zip("WEAFNT", SIX, strict=True))
    right = defaultdict(list)  # by speaker, by label and of all
    for path in two_speakers.iterdir():
        if path.name[5] in meant:
            for key in (path.name[:2], path.name[5], "all"):
                right[key].append(classifier(str(path))[0]["label"] == meant[path.name[5]])
    right = {key: np.mean(hits) for key, hits in right.items()}
    assert figures["accuracy"] == pytest.approx(right["all"])
    assert figures["uar"] == pytest.approx(np.mean([right[letter] for letter in meant]))
    interval = sorted([right["03"], right["08"]])  # as whole speakers are drawn again
    assert figures["interval_95"]["accuracy"] == pytest.approx(interval, abs=1e-4)
    assert f"{figures['accuracy']:.1%} of {figures['clips']} clips" in capsys.readouterr().out
    card = (model / "README.md").read_text()
    assert f"| {figures['clips']} | {figures['accuracy']:.3f} |" in card
    assert "| white noise, 10 dB |" in card  # what was measured before is still told


def test_own_clips_are_scored_and_a_second_corpus_stands_beside_the_first(model, my_clips, tmp_path, capsys):
    for name in (my_clips, shutil.copytree(my_clips, tmp_path / "more-clips")):
        main(["cross-corpus", str(model), "--dataset_dir", str(name), "--cache_dir", str(tmp_path)])
    figures = json.loads((model / "cross_corpus.json").read_text())["corpora"]
    assert list(figures) == ["my-clips", "more-clips"]
    own = figures["my-clips"]
    assert (own["clips"], own["speakers"], own["labels"]) == (8, None, ["anger", "sad"])
    assert own["left_out"] == {"calm": 4}
    assert own["intended"] == dict.fromkeys(SIX, 0) | {"anger": 4, "sad": 4}
    assert list(own["answered"]) == SIX
    assert own["accuracy"] == pytest.approx(own["uar"])  # as many clips of each label
    assert "4 clips of other labels left out" in capsys.readouterr().out
    classifier = pipeline("audio-classification", model=str(model))
    answers = [classifier(str(path))[0] for label in ("Angry", "sadness") for path in (my_clips / label).iterdir()]
    assert own["confidence"] == pytest.approx(np.mean([answer["score"] for answer in answers]), abs=1e-4)
    assert own["answered"] == dict.fromkeys(SIX, 0) | Counter(answer["label"] for answer in answers)
    assert np.isfinite(own["ece"])


def test_what_cannot_be_scored_is_refused_in_one_sentence(model, my_clips, crema_d):
    shutil.rmtree(my_clips / "Angry")
    (my_clips / "sadness").rename(my_clips / "proud")
    for arguments, sentence in (
        (["--dataset_dir", my_clips], "knows anger, .*, and none of the clips' labels: calm, proud"),
        (["--corpus", "crema-d", "--data_dir", crema_d], "was trained on CREMA-D; its results.json has the scores"),
        (["--dataset_dir", crema_d], "was trained on CREMA-D; its results.json has the scores"),
        (["--corpus", "emodb", "--data_dir", "nowhere"], "nowhere"),
        (["--dataset_dir", "my-clip"], "expected a folder with your clips at 'my-clip'; check --dataset_dir"),
    ):
        with pytest.raises(SystemExit, match=sentence) as stopped:
            main(["cross-corpus", str(model), *map(str, arguments)])
        assert "\n" not in str(stopped.value)
    for arguments in (["--corpus", "emodb", "--dataset_dir", "x"], ["--data_dir", "x", "--dataset_dir", "y"], []):
        with pytest.raises(SystemExit, match="expected --corpus with --data_dir, or --dataset_dir"):
            main(["cross-corpus", str(model), *arguments])
    with pytest.raises(SystemExit, match="expected a model folder with its results.json; got 'nowhere'"):
        main(["cross-corpus", "nowhere", "--dataset_dir", str(my_clips)])
    assert not (model / "cross_corpus.json").exists()
