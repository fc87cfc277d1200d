"""Publishing and what strangers get, through the real clients and a Hub on this machine."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import voice
from conftest import write_corpus
from hub_server import TOKEN
from hub_server import Hub
from hub_server import Repository
from hub_server import serve
from hub_server import take_for_the_hub
from huggingface_hub import HfApi
from huggingface_hub import SpaceCard
from safetensors.numpy import load_file
from safetensors.numpy import save_file

import ser.__main__
import ser.hub.push
import train as train_command
from ser.training.arguments import parse_arguments

each_command = pytest.mark.parametrize(
    "command",
    [("model", ROOT / "checkpoints/cnn1d"), ("dataset", "clips", "--corpus", "crema-d"), ("space",)],
    ids=["model", "dataset", "space"],
)
ACTORS = ("1001", "1002", "1010", "1015")  # two training, one test and one dev actor of the tfds split
CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
TINY = (
    *("--recipe", "cnn1d", "--model", '{"channels": [4, 8]}', "--num_train_epochs", "1", "--disable_tqdm", "True"),
    *("--feature_extractor", '{"features": ["rms", "zero_crossing_rate"]}', "--cache_dir", "cache"),
)
HASTY = """
import runpy, sys
from huggingface_hub.utils import _http
_http.http_backoff.__kwdefaults__["base_wait_time"] = 0.01  # seconds before a request is tried again, not one
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LOGITS = """
import json, sys
import numpy as np
import torch
if sys.argv[1] == "with the package":
    import ser
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, pipeline
clips = [np.load(f"clip{number}.npy") for number in range(3)] + ["clip.flac"]
for name in sys.argv[2:]:
    name, _, revision = name.partition("@")
    options = {"revision": revision} if revision else {}
    if sys.argv[1] != "with the package":
        options["trust_remote_code"] = True
    classifier = pipeline("audio-classification", model=name, **options)
    scores = [[entry["score"] for entry in classifier(clip, function_to_apply="none")] for clip in clips]
    model = AutoModelForAudioClassification.from_pretrained(name, **options)
    extractor = AutoFeatureExtractor.from_pretrained(name, **options)
    with torch.no_grad():
        logits = model(**extractor(clips[0], sampling_rate=16000, return_tensors="pt")).logits.numpy()
    print(json.dumps([scores, sorted(logits[0].tolist(), reverse=True)]))
remote = [name for name in sys.modules if name.startswith("transformers_modules")]
assert bool(remote) == (sys.argv[1] != "with the package"), remote
"""


@pytest.fixture
def hub():
    with serve() as running:
        yield running


@pytest.fixture
def here(hub, tmp_path, monkeypatch) -> Callable:
    """Calls a command's `main` in this process, which takes the server for the Hub; gives what it exits with, or ""."""
    monkeypatch.chdir(tmp_path)

    def call(main: Callable, *arguments, token: str = TOKEN, endpoint: str = hub.url) -> str:
        take_for_the_hub(monkeypatch, endpoint, token)
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        try:
            main()
        except SystemExit as stopped:
            return str(stopped)
        return ""

    return call


@pytest.fixture
def corpus(tmp_path):
    """Made-up clips under official names, one of each emotion for each of four actors."""
    write_corpus(tmp_path / "clips", [f"{actor}_DFA_{code}_XX" for actor in ACTORS for code in CODES])
    return tmp_path / "clips"


def run(*command, cwd, hub: Hub, token=None, package=ROOT, **variables) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HF_TOKEN")}
    environment |= hub.environment(cwd / "hf", **({} if token is None else {"token": token})) | variables
    environment |= {"PYTHONPATH": str(package)}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_no_spelling_of_an_option_brings_a_secret_or_a_folder_into_the_report(corpus, tmp_path):
    secrets = ["--hub-token", "hf_secret", "--hub_private_repo=True", "--push-to-hub", "--hub-model-id=user/mine"]
    folders = [f"--data-dir={corpus}", "--cache-dir", "/home/me/cache", "--run_name", "/home/me/run", "--seed=4"]
    data = parse_arguments(["--recipe", "cnn1d", *secrets, *folders, "--fp16_full_eval"]).data
    assert data.command == "python train.py --recipe cnn1d --data_dir DIR --fp16_full_eval True --seed 4"
    with pytest.raises(ValueError, match="--hub_to"):
        parse_arguments(["--recipe", "cnn1d", "--hub_to", "hf_secret"])
    assert parse_arguments(["--recipe", "cnn1d", "--dataset-dir", str(corpus)]).data.protocol == "speakers"


def train(corpus, *arguments, hub: Hub, **options) -> subprocess.CompletedProcess:
    push = ("--push_to_hub", "--hub_model_id", "user/tiny")
    command = ("-c", HASTY, ROOT / "train.py", *TINY, "--data_dir", corpus, *push, *arguments)
    return run(*command, cwd=corpus.parent, hub=hub, **options)


def logits_of(who: str, *models, cwd, hub: Hub) -> list:
    """Of each model, after its revision where `@` names one: of the pipeline, and of the model on its extractor."""
    done = run("-c", LOGITS, who, *models, cwd=cwd, hub=hub, package=ROOT if "with the" in who else "")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def write_inputs(folder) -> None:
    for number, seconds in enumerate((0.3, 1.0, 2.3)):
        np.save(folder / f"clip{number}.npy", voice(seconds, seed=number))
    stereo = np.stack([voice(1.2, rate=44100), voice(1.2, rate=44100, seed=1)], axis=1)
    soundfile.write(folder / "clip.flac", stereo, 44100)


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def who_tells_the_token(done: subprocess.CompletedProcess, folder) -> list:
    """What was written, and what was printed, with the token in it."""
    written = [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    return [*written, *(text for text in (done.stdout, done.stderr) if TOKEN in text)]


@pytest.mark.parametrize(
    ("large", "strategy"),
    [
        pytest.param(float("inf"), "end", id="regular"),
        pytest.param(1000, "checkpoint", id="lfs", marks=pytest.mark.slow),
    ],
)
def test_a_stranger_gets_the_very_model_that_was_trained(hub, corpus, tmp_path, large, strategy):
    hub.large = large
    done = train(corpus, "--hub_strategy", strategy, "--num_train_epochs", "2", hub=hub)
    assert done.returncode == 0, done.stderr
    assert (hub.requests["lfs_put"] > 0) == (large == 1000)
    repository, folder = hub.model("user/tiny"), tmp_path / "runs/cnn1d/tfds/seed-0/model"
    assert set(repository.files) == {path.name for path in folder.iterdir()}
    assert not [name for name in repository.files if re.search(r"\.(bin|pt|pth|pkl)$", name)]
    for name, content in repository.files.items():
        assert str(tmp_path).encode() not in content, f"{name} tells a path of this machine"
        assert b"hf_of_the_tests" not in content, f"{name} tells the token"
    card = repository.files["README.md"].decode()
    assert 'model="user/tiny"' in card and "PATH_OR_ID" not in card
    assert repository.messages[-1] == "Upload model"

    write_inputs(tmp_path)
    pinned = f"user/tiny@{repository.head}"
    local, remote = logits_of("with the package", folder, pinned, cwd=tmp_path, hub=hub)
    scores, logits = local
    assert len(scores) == 4 and scores[0] == logits
    first, unfinished = next((sha, files) for sha, files in repository.commits.items() if files)
    stranger, stranger_first = logits_of("a stranger", "user/tiny", f"user/tiny@{first}", cwd=tmp_path, hub=hub)
    assert stranger == remote == local

    if strategy == "end":
        assert repository.messages == ["Upload model"]
        return
    assert repository.messages[0] == "Training in progress, epoch 1"
    assert "**Training is not finished.**" in unfinished["README.md"].decode()
    assert set(unfinished) == {name for name in repository.files if not name.endswith((".png", "results.json"))}
    assert len(stranger_first[0]) == 4 and stranger_first != stranger


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"token": ""}, "pushing to the Hub needs a token: log in with `hf auth login`, or set HF_TOKEN"),
        ({"token": "hf_stolen"}, "the Hub refuses the token (401)"),
        ({"endpoint": "http://127.0.0.1:9"}, "creating the model repository user/tiny failed: the Hub cannot be"),
    ],
    ids=["no token", "refused", "away"],
)
def test_what_would_fail_at_the_end_is_noticed_before_training(here, corpus, tmp_path, fault, message):
    push = ("--push_to_hub", "--hub_model_id", "user/tiny")
    assert message in here(train_command.main, *TINY, "--data_dir", corpus, *push, **fault)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "strategy"),
    [({"commit": 0}, "every_save"), ({"lfs_put": 3}, "end")],
    ids=["at the commit", "while sending"],
)
def test_a_push_that_dies_loses_nothing_and_goes_on_later(hub, corpus, tmp_path, broken, strategy):
    hub.large, hub.broken = 1000, broken
    done = train(corpus, "--hub_strategy", strategy, "--hub_revision", "trial", hub=hub)
    folder = tmp_path / "runs/cnn1d/tfds/seed-0/model"
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not who_tells_the_token(done, tmp_path)
    assert ("training goes on" in done.stderr) == (strategy == "every_save")  # at the checkpoint
    assert "of 6 test clips" in done.stdout  # trained, evaluated and reported all the same
    command = "python -m ser push model runs/cnn1d/tfds/seed-0/model user/tiny --revision trial"
    assert last_line(done.stderr).endswith(f"The model is complete in runs/cnn1d/tfds/seed-0/model; later: {command}")
    assert hub.model("user/tiny").files == {}
    arrived = dict(hub.objects)
    assert len(arrived) >= 3

    hub.broken = {}
    sent = hub.requests["lfs_put"]
    done = run(*command.split()[1:], cwd=tmp_path, hub=hub)
    assert done.returncode == 0, done.stderr
    repository = hub.model("user/tiny")
    assert done.stdout.strip() == f"{hub.url}/user/tiny/commit/{repository.heads['trial']}"
    assert hub.requests["lfs_put"] - sent == len(hub.objects) - len(arrived)  # nothing was sent twice
    files = repository.commits[repository.heads["trial"]]
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert repository.files == {}  # main was not asked for


@pytest.mark.slow
def test_a_token_given_as_an_option_is_nowhere_but_in_the_requests(hub, corpus, tmp_path):
    done = train(
        corpus, "--hub_strategy", "every_save", "--hub_token", TOKEN, "--report_to", "tensorboard", hub=hub, token=""
    )
    assert done.returncode == 0, done.stderr
    suffixes = {path.suffix for path in tmp_path.rglob("*")}
    assert {".safetensors", ".json", ".md", ".csv", ".png", ".arrow", ".bin"} <= suffixes
    assert not who_tells_the_token(done, tmp_path)
    sent = [content for files in hub.model("user/tiny").commits.values() for content in files.values()]
    assert sent and not [content for content in sent if TOKEN.encode() in content]


@pytest.mark.parametrize("fault", [{"broken": {"create": 0}}, {"broken": {"commit": 0}}, {"token": "hf_of_a_stranger"}])
@each_command
def test_a_push_that_fails_does_not_tell_the_token(hub, here, corpus, capfd, caplog, command, fault):
    hub.broken, token = fault.get("broken", {}), fault.get("token", TOKEN)
    sentence = here(ser.__main__.main, "push", *command, "user/x", token=token)
    assert " failed: the Hub " in sentence
    printed = capfd.readouterr()
    assert token not in sentence + printed.out + printed.err + caplog.text


@each_command
def test_a_push_stopped_by_hand_goes_on_with_the_same_command(hub, here, corpus, tmp_path, monkeypatch, command):
    hub.large, send = 10_000, HfApi.preupload_lfs_files  # only the card of a dataset is smaller

    def stop(*arguments, **options) -> None:
        send(*arguments, **options)
        if hub.objects:
            raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(HfApi, "preupload_lfs_files", stop)
        assert here(ser.__main__.main, "push", *command, "user/x") == (
            "ser push: stopped; run the same command again to continue; uploaded files are not sent twice"
        )
    sent = hub.requests["lfs_put"]
    assert sent >= 1
    assert here(ser.__main__.main, "push", *command, "user/x") == ""
    assert hub.requests["lfs_put"] == sent
    (repository,) = hub.repositories.values()
    assert repository.files


def test_a_full_disk_is_told_in_a_sentence(here, corpus, monkeypatch):
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cache")

    monkeypatch.setattr(ser.hub.push, "load_labelled_audio", full)
    assert (
        here(ser.__main__.main, "push", "dataset", corpus, "user/x")
        == "ser push: [Errno 28] No space left on device: 'cache'"
    )


@pytest.mark.parametrize("revision", [None, "trial"])
def test_nothing_measured_of_an_earlier_model_stays_beside_other_weights(hub, tmp_path, monkeypatch, revision):
    take_for_the_hub(monkeypatch, hub.url)
    earlier = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "earlier")
    (earlier / "robustness_dev.json").write_text('{"conditions_on_dev": {}}')
    for name in ("strangers.json", "strangers.png"):  # after ser calibrate
        shutil.copy(ROOT / "checkpoints/flagship-bilingual" / name, earlier)
    measured = [name for name in os.listdir(earlier) if name.endswith((".png", ".json")) and "config" not in name]
    assert len(measured) == 11
    own = {"notes.md": b"mine", "logo.png": b"mine", "audio/results.json": b"{}"}

    def head() -> dict[str, bytes]:
        repository = hub.model("user/x")
        return repository.commits[repository.heads[revision or "main"]]

    ser.hub.push.push_model(earlier, "user/x", revision=revision)
    head().update(own)
    unfinished = shutil.copytree(earlier, tmp_path / "unfinished", ignore=lambda *_: measured)
    card = (unfinished / "README.md").read_text()
    for _ in range(2):  # the second time there is nothing to delete
        ser.hub.push.commit_model(unfinished, "user/x", card, "Unfinished", revision=revision)
        assert set(head()) == {*os.listdir(unfinished), *own}
    ser.hub.push.push_model(earlier, "user/x", revision=revision)
    assert set(head()) == {*os.listdir(earlier), *own}


def test_a_training_does_not_wait_for_what_lies_in_the_repository(hub, monkeypatch):
    def away(*_, **__) -> None:
        raise ConnectionError

    take_for_the_hub(monkeypatch, hub.url)
    monkeypatch.setattr(HfApi, "list_repo_tree", away)
    job = ser.hub.push.commit_model(ROOT / "checkpoints/cnn1d", "user/x", "card", "Unfinished", run_as_future=True)
    assert isinstance(job.exception(), ConnectionError)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("model", "nothing", "user/x"), "expected a model folder written by train.py at 'nothing'; it has no config"),
        (("dataset", "nothing", "user/x", "--corpus", "crema-d"), "expected a folder with clips at"),
        (("model", str(ROOT / "checkpoints/cnn1d"), "a/b/c"), "a/b/c"),
        (("space", "user/page", "--model", "user/none"), "results.json on the Hub; 'user/none' has none"),
    ],
)
def test_what_cannot_be_pushed_is_told_in_a_sentence(here, hub, command, message):
    assert message in here(ser.__main__.main, "push", *command)
    assert hub.repositories == {}


def test_damaged_weights_are_not_pushed(here, hub, tmp_path):
    weights = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "model") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    sentence = here(ser.__main__.main, "push", "model", "model", "user/x")
    assert "model.safetensors is damaged" in sentence and "\n" not in sentence
    assert hub.repositories == {}


def test_what_the_hub_does_not_take_is_told_in_its_words(here, hub, tmp_path):
    shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "model")
    (tmp_path / "model/README.md").write_text("---\n\n---\nNo metadata.\n")
    sentence = here(ser.__main__.main, "push", "model", "model", "user/x")
    assert sentence.startswith("ser push: the Hub refuses the model card: ") and "empty front matter" in sentence
    assert hub.model("user/x").files == {}
    sentence = here(ser.__main__.main, "push", "model", "model", "user/x", endpoint=f"{hub.url}/elsewhere")
    assert sentence == "ser push: creating the model repository user/x failed: the Hub answers 404 (EntryNotFound)"


def test_weights_of_another_network_are_refused(tmp_path):
    model = ser.CNN1DForAudioClassification(ser.CNN1DConfig(n_features=2, channels=[4, 8]))
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for what, changed in (
        ("missing", {name: value for name, value in weights.items() if name != "classifier.bias"}),
        ("unexpected", weights | {"classifier.scale": np.ones(1, np.float32)}),
    ):
        save_file(changed, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=f"weights are {what}, such as classifier"):
            ser.CNN1DForAudioClassification.from_pretrained(tmp_path)


READ_BACK = """
import json, sys
import datasets
from ser.corpora import load_crema_d, load_labelled_audio
from ser.models.audio_ser import load_audio
local, remote = load_crema_d(sys.argv[1]), load_labelled_audio("user/crema-d")
assert remote.features["label"] == local.features["label"]
names = sorted(set(local.column_names) - {"audio"})
assert names == sorted(set(remote.column_names) - {"audio"})
for name in names:
    assert remote[name][:] == local[name][:], name
for mine, theirs in zip(local["audio"], remote["audio"]):
    assert (load_audio(mine, sampling_rate=16000) == load_audio(theirs, sampling_rate=16000)).all()
stream = datasets.load_dataset("user/crema-d", split="train", streaming=True)
row = next(iter(stream.cast_column("audio", datasets.Audio(decode=False))))
print(json.dumps([len(local), row["clip"], len(load_audio(row["audio"], sampling_rate=16000))]))
"""


@pytest.mark.slow
def test_a_corpus_comes_back_from_the_hub_as_it_was(hub, here, corpus, tmp_path):
    soundfile.write(corpus / "1002_TIE_SAD_XX.wav", np.zeros(RATE), RATE)  # silent: published, and left out on reading
    assert here(ser.__main__.main, "push", "dataset", corpus, "user/crema-d", "--corpus", "crema-d") == ""
    card = hub.repositories["datasets", "user/crema-d"].files["README.md"].decode()
    assert "license: odbl" in card and "25 clips of the acted English speech of CREMA-D by 4 speakers" in card
    assert "dataset_info" in card
    done = run("-c", READ_BACK, corpus, cwd=tmp_path, hub=hub)
    assert done.returncode == 0, done.stderr
    assert json.loads(last_line(done.stdout)) == [24, "1001_DFA_ANG_XX", 6400]
    done = run(
        *(ROOT / "train.py", *TINY, "--dataset_name", "user/crema-d", "--protocol", "tfds"), cwd=tmp_path, hub=hub
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results/cnn1d/tfds/seed-0/results.json").read_text())
    assert (results["corpus"], results["dataset_name"], results["test_actors"]) == ("CREMA-D", "user/crema-d", 1)
    card = (tmp_path / "runs/cnn1d/tfds/seed-0/model/README.md").read_text()
    assert "datasets:\n- user/crema-d\n" in card


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [(), ("--streaming",)])
def test_a_dataset_of_files_as_they_are_is_heard_by_a_model_of_a_branch_without_torchcodec(
    hub, corpus, tmp_path, streaming
):
    paths = sorted(corpus.glob("*.wav"))
    files = {f"{path.stem.split('_')[2]}/{path.name}": path.read_bytes() for path in paths}
    hub.repositories["datasets", "user/raw"] = Repository({}, {"0" * 40: files})
    model = {path.name: path.read_bytes() for path in (ROOT / "checkpoints/cnn1d").iterdir() if path.is_file()}
    commits, heads = {"0" * 40: {}, "1" * 40: model}, {"main": "0" * 40, "trial": "1" * 40}
    hub.repositories["models", "user/small"] = Repository({}, commits, heads)
    command = (
        "-m",
        "ser",
        "predict",
        "--dataset",
        "user/raw",
        *streaming,
        "--model",
        "user/small",
        "--revision",
        "trial",
    )
    done = run(*command, "--output", "preds.csv", cwd=tmp_path, hub=hub)
    assert done.returncode == 0, done.stderr
    assert f"{len(paths)} clips, 0 with errors" in done.stdout
    if not streaming:
        done = run(ROOT / "train.py", *TINY, "--dataset_name", "user/raw", "--protocol", "tfds", cwd=tmp_path, hub=hub)
        assert done.returncode == 0, done.stderr


def test_a_dataset_to_push_is_a_folder_that_is_there_and_needs_a_token_first(here, hub, corpus, monkeypatch):
    assert here(ser.__main__.main, "push", "dataset", "nodir", "user/x") == (
        "ser push: expected a folder with clips at 'nodir'; check the path"
    )
    monkeypatch.setattr("ser.hub.push.load_labelled_audio", pytest.fail)
    assert "needs a token" in here(ser.__main__.main, "push", "dataset", corpus, "user/x", token="")


OPEN_PAGE = """
import sys
sys.path.insert(0, ".")
import app
from ser.page import accuracy, offered_models
app.build()
models = list(offered_models.load())
print(models, accuracy.describe(models[0]))
assert not [name for name in sys.modules if name.startswith("transformers_modules")]
"""


@pytest.mark.slow
def test_the_space_holds_all_that_the_page_needs(hub, here, tmp_path):
    assert here(ser.__main__.main, "push", "model", ROOT / "checkpoints/cnn1d", "user/small") == ""
    assert here(ser.__main__.main, "push", "space", "user/page", "--model", "user/small") == ""
    space = hub.repositories["spaces", "user/page"]
    assert space.options["sdk"] == "gradio" and space.variables == {"SER_MODELS": "user/small"}
    card = SpaceCard(space.files["README.md"].decode()).data
    assert (card.sdk, card.app_file, card.models) == ("gradio", "app.py", ["user/small"])
    assert f"gradio=={card.sdk_version}" in space.files["requirements.txt"].decode()
    assert set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", space.files["README.md"].decode())) <= set(space.files)
    for name, content in space.files.items():
        (tmp_path / "space" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "space" / name).write_bytes(content)
    for variables, names in (({}, "['flagship-bilingual', '"), (space.variables, "['user/small']")):
        done = run("-c", OPEN_PAGE, cwd=tmp_path / "space", hub=hub, package="", **variables)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(names)


def test_a_space_pushed_without_models_goes_back_to_the_bundled_ones(hub, monkeypatch):
    take_for_the_hub(monkeypatch, hub.url)
    space = Repository({}, variables={"SER_MODELS": "user/small", "OWN": "1"})
    hub.repositories["spaces", "user/page"] = space
    for _ in range(2):  # the second time there is nothing to delete
        ser.hub.push.push_space("user/page")
        assert space.variables == {"OWN": "1"}
