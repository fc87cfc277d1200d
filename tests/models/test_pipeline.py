"""`pipeline("audio-classification", model=FOLDER)` in fresh processes, with and without the package."""

import functools
import socket
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler
from http.server import ThreadingHTTPServer

import datasets
import numpy as np
import pytest
import soundfile
import torch
from conftest import RATE
from conftest import ROOT
from conftest import WITHOUT_THE_PACKAGE
from conftest import run_python
from conftest import voice
from transformers import AudioClassificationPipeline
from transformers import AutoModelForAudioClassification
from transformers import Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor
from transformers import Wav2Vec2ForSequenceClassification
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

import ser
from ser.models.ordinary_voice_ser import relative_to

LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
WITH_THE_PACKAGE = """
import json, sys
import ser
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset
for options in ({}, {"trust_remote_code": True}):
    classifier = pipeline("audio-classification", model=sys.argv[1], **options)
    print(json.dumps(classifier(sys.argv[2])))
assert not [name for name in sys.modules if name.startswith("transformers_modules")]
"""
OBJECTS_OF_A_STRANGER = """
import json, sys
import numpy as np
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, pipeline
kinds = AutoModelForAudioClassification, AutoFeatureExtractor
model, extractor = (kind.from_pretrained(sys.argv[1], trust_remote_code=True) for kind in kinds)
classifier = pipeline("audio-classification", model=model, feature_extractor=extractor)
array = np.load(sys.argv[2])
print(json.dumps(classifier(array)))
for clip in (sys.argv[3], np.stack([array, array])):
    try:
        classifier(clip)
    except ValueError as error:
        print(json.dumps([str(error)]))
"""


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A small network with random weights, its batch norms not at their defaults."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    config = ser.CNN2DConfig(n_features=20, channels=[8, 16], id2label=dict(enumerate(LABELS)))
    model = AutoModelForAudioClassification.from_config(config)
    for block in model.blocks:
        block.norm.running_mean.normal_()
    model.save_pretrained(folder)
    ser.SERFeatureExtractor(n_mels=20).save_pretrained(folder)
    return folder


def scores(answer: list[dict]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in answer}


def test_the_pipeline_gives_the_labels_of_the_model_and_nearly_its_probabilities():
    classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints/flagship-bilingual"))
    for path in sorted((ROOT / "ser/examples").glob("*.ogg")):
        with torch.no_grad():
            exact = classifier.model(**classifier.preprocess(str(path))).logits[0].softmax(0)
        answers = classifier([str(path)], batch_size=1)[0]
        assert answers[0]["label"] == classifier.model.config.id2label[int(exact.argmax())]
        found = {answer["label"]: answer["score"] for answer in answers}
        assert list(map(found.get, LABELS)) == pytest.approx(exact.tolist(), abs=0.005)


def test_a_stranger_needs_neither_package_nor_ffmpeg(model_folder, tmp_path):
    waveform = voice(1.5, rate=44100)
    soundfile.write(tmp_path / "clip.flac", np.stack([waveform, waveform], axis=1), 44100)
    mono = ser.load_audio(tmp_path / "clip.flac", sampling_rate=RATE)
    np.save(tmp_path / "clip.npy", mono)
    (answers,) = run_python(
        WITHOUT_THE_PACKAGE, tmp_path / "clip.flac", tmp_path / "clip.npy", model_folder, cwd=tmp_path
    )
    local = pipeline("audio-classification", model=str(model_folder))(mono)
    assert set(scores(local)) == set(LABELS)
    for answer in answers:
        assert scores(answer) == scores(local)


@pytest.mark.slow
def test_importing_the_package_is_as_good_and_runs_no_remote_code(model_folder, tmp_path):
    soundfile.write(tmp_path / "clip.wav", voice(), RATE)
    answers = run_python(WITH_THE_PACKAGE, model_folder, tmp_path / "clip.wav", cwd=tmp_path, path=str(ROOT))
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert set(scores(answers[0])) == set(LABELS)


@pytest.mark.slow
@pytest.mark.usefixtures("float32")  # as transformers' own pipeline
def test_a_pipeline_of_loaded_objects_without_the_package_is_transformers_own_with_the_same_scores(
    model_folder, tmp_path
):
    np.save(tmp_path / "clip.npy", voice())
    soundfile.write(tmp_path / "clip.wav", voice(), RATE)
    answer, *sentences = run_python(
        OBJECTS_OF_A_STRANGER, model_folder, tmp_path / "clip.npy", tmp_path / "clip.wav", cwd=tmp_path
    )
    local = scores(pipeline("audio-classification", model=str(model_folder))(voice()))
    assert scores(answer) == pytest.approx({entry["label"]: local[entry["label"]] for entry in answer}, rel=1e-4)
    assert "ffmpeg was not found" in sentences[0][0] and "single channel" in sentences[1][0]


def test_batches_and_single_clips_agree(model_folder):
    classifier = pipeline("audio-classification", model=str(model_folder))
    clips = [voice(seconds, seed=number) for number, seconds in enumerate((0.3, 2.0, 1.1, 0.7))]
    for alone, together in zip(map(classifier, clips), classifier(clips, batch_size=3), strict=True):
        assert scores(together) == pytest.approx(scores(alone), abs=1e-5)


def test_a_module_around_the_model_answers(model_folder):
    class Around(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.config, self.device, self.dtype = model, model.config, model.device, model.dtype

        def forward(self, **inputs):
            return self.model(**inputs)

    classifier = pipeline("audio-classification", model=str(model_folder))
    own = scores(classifier(voice()))
    classifier.model = Around(classifier.model)
    assert scores(classifier(voice())) == pytest.approx(own, abs=0.005)


def test_answers_relative_to_an_ordinary_voice(model_folder, tmp_path):
    classifier = pipeline("audio-classification", model=str(model_folder))
    clip, others = voice(1.0, seed=1), [voice(2.0, seed=2), voice(0.5, seed=3)]
    with pytest.raises(ValueError, match="this model was not calibrated for answers relative to an ordinary voice"):
        classifier(clip, ordinary_voice=others)
    settings = {"temperature": 0.5, "bias": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], "certain_threshold": 0.5}
    classifier.model.config.ordinary_voice = settings
    plain, *logs = (np.log([scores(classifier(each))[label] for label in LABELS]) for each in (clip, *others))
    expected = np.exp(relative_to(np.mean(logs, axis=0), plain[None], settings)[0])
    for found in (classifier(clip, ordinary_voice=others), classifier([clip, clip], ordinary_voice=others)[1]):
        assert [scores(found)[label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-5)
    classifier.save_pretrained(tmp_path)
    always = pipeline("audio-classification", model=str(tmp_path), ordinary_voice=others[0], top_k=1)
    assert always(clip) == classifier(clip, ordinary_voice=others[:1])[:1]
    assert scores(always(clip, function_to_apply="none", top_k=6)) == pytest.approx(
        {label: np.log(score) for label, score in scores(always(clip, top_k=6)).items()}, abs=1e-5
    )
    assert always(clip, ordinary_voice=None) == classifier(clip)[:1] != always(clip)
    with pytest.raises(ValueError, match="expected at least one recording of the ordinary voice; got none"):
        classifier(clip, ordinary_voice=[])
    with pytest.raises(ValueError, match="ordinary_voice: the clip is silent"):
        classifier(clip, ordinary_voice=np.zeros(RATE))


def test_a_rate_is_that_of_the_arrays_also_beside_an_ordinary_voice(model_folder, tmp_path):
    classifier = pipeline("audio-classification", model=str(model_folder))
    classifier.model.config.ordinary_voice = {"temperature": 0.5, "bias": [0.0] * 6, "certain_threshold": 0.5}
    clip, ordinary = voice(1.0, seed=1), voice(2.0, seed=2)
    soundfile.write(tmp_path / "ordinary.wav", ordinary, 44100, subtype="FLOAT")
    both = classifier(clip, sampling_rate=44100, ordinary_voice=[str(tmp_path / "ordinary.wav"), ordinary])
    assert both == classifier(clip, sampling_rate=44100, ordinary_voice=ordinary)
    of_one_rate = pipeline("audio-classification", model=str(model_folder), sampling_rate=44100)
    of_one_rate.model.config.ordinary_voice = classifier.model.config.ordinary_voice
    assert of_one_rate(clip, ordinary_voice=ordinary) == both


def test_what_is_too_short_or_silent_for_an_answer_gets_a_sentence(model_folder):
    classifier = pipeline("audio-classification", model=str(model_folder))
    for clip in (voice(0.05), {"array": np.full(1, 0.5), "sampling_rate": 44100}):
        with pytest.raises(ValueError, match=r"which is too short: speak for at least 0.2 s"):
            classifier(clip)
    for clip in (np.zeros(RATE), 1e-3 * voice()):
        with pytest.raises(ValueError, match="^the clip is silent: check the microphone, or choose another clip$"):
            classifier(clip)


def test_the_rate_of_an_array_counts_and_options_that_mean_nothing_are_refused(model_folder, tmp_path):
    classifier = pipeline("audio-classification", model=str(model_folder))
    clip = voice(rate=44100)
    assert classifier(clip, sampling_rate=44100) == classifier({"array": clip, "sampling_rate": 44100})
    assert classifier(clip, sampling_rate=44100) != classifier(clip)
    soundfile.write(tmp_path / "clip.wav", clip, 44100)
    with pytest.raises(ValueError, match="sampling_rate=8000 is for arrays; a file or dict has its own: leave it out"):
        classifier(str(tmp_path / "clip.wav"), sampling_rate=8000)
    with pytest.raises(ValueError, match="expected options out of top_k, .*; got topk"):
        classifier(clip, topk=2)
    for stack in (torch.zeros(4, RATE), np.zeros((RATE, 4))):
        with pytest.raises(ValueError, match="pass a batch as a list of clips"):
            classifier(stack)


def test_objects_that_people_pass_are_classified(model_folder, tmp_path):
    soundfile.write(tmp_path / "clip.wav", voice(), RATE)
    classifier = pipeline("audio-classification", model=str(model_folder))
    answer = classifier(str(tmp_path / "clip.wav"))
    with tempfile.NamedTemporaryFile() as file:
        file.write((tmp_path / "clip.wav").read_bytes())
        assert classifier(file) == answer
    clips = datasets.Dataset.from_dict({"sound": [str(tmp_path / "clip.wav")] * 2})
    clips = clips.cast_column("sound", datasets.Audio())
    assert list(classifier(KeyDataset(clips, "sound"))) == [answer, answer]
    model = AutoModelForAudioClassification.from_pretrained(model_folder)
    objects = pipeline("audio-classification", model=model, feature_extractor=classifier.feature_extractor)
    assert objects(np.stack(2 * [voice()])) == classifier(np.stack(2 * [voice()]))


def test_an_address_that_does_not_answer_is_given_up(model_folder):
    classifier = pipeline("audio-classification", model=str(model_folder))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/clip.wav"
        with pytest.raises(TimeoutError, match="did not answer for 0.2 s; try again, or set timeout="):
            classifier(address, timeout=0.2)


def test_fewer_labels_and_raw_logits_on_request(model_folder):
    classifier = pipeline("audio-classification", model=str(model_folder))
    assert len(classifier(voice(), top_k=2)) == 2
    assert len(classifier(voice())) > 2
    fewer = pipeline("audio-classification", model=str(model_folder), top_k=2)
    assert len(fewer(voice())) == 2 and len(fewer(voice(), top_k=3)) == 3
    logits = scores(classifier(voice(), function_to_apply="none"))
    softmax = {label: np.exp(value) / sum(map(np.exp, logits.values())) for label, value in logits.items()}
    assert scores(classifier(voice())) == pytest.approx(softmax, rel=1e-4)


def test_an_address_is_fetched_and_heard(model_folder, tmp_path):
    soundfile.write(tmp_path / "clip.wav", voice(), RATE)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    classifier = pipeline("audio-classification", model=str(model_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert classifier(f"{address}/clip.wav") == classifier(str(tmp_path / "clip.wav"))
        with pytest.raises(OSError, match=f"{address}/gone.wav' cannot be fetched \\(HTTP Error 404: File not found"):
            classifier(f"{address}/gone.wav")
        server.shutdown()
    for nowhere in (f"{address}/clip.wav", "http://nowhere.invalid/a.wav", "http://", "http://[a", "https://a b/c.wav"):
        with pytest.raises(OSError, match=r"^'http.*' cannot be fetched \(.+\); check it, or download the file first$"):
            classifier(nowhere)
    with pytest.raises(FileNotFoundError, match="expected an audio file at 'file:///"):
        classifier((tmp_path / "clip.wav").as_uri())  # an address that leads to this machine is none


def test_other_models_keep_the_stock_pipeline(tmp_path):
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(16,), num_labels=8,
        conv_stride=(5,), conv_kernel=(10,), num_feat_extract_layers=1, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    assert type(pipeline("audio-classification", model=str(tmp_path))) is AudioClassificationPipeline
