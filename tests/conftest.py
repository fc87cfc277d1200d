"""Sound for the tests: real clips where the corpora are beside the checkout, and sound made here."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import soundfile
import torch
from gradio_client import Client
from torch import nn
from transformers import AutoModelForAudioClassification

import ser
from ser.models.modeling_ser import CNNForAudioClassification

WITHOUT_THE_PACKAGE = """
import importlib.util, json, shutil, sys
import numpy as np
from transformers import pipeline
assert importlib.util.find_spec("ser") is None and shutil.which("ffmpeg") is None
assert importlib.util.find_spec("torchaudio") is None
path, array = sys.argv[1], np.load(sys.argv[2])
inputs = [path, open(path, "rb").read(), array, {"array": array, "sampling_rate": 16000}]
for model in sys.argv[3:]:
    classifier = pipeline("audio-classification", model=model, trust_remote_code=True)
    print(json.dumps([classifier(clip) for clip in inputs]))
    assert type(classifier).__module__.startswith("transformers_modules")
"""
ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
RATE = 16000  # Hz
PATIENCE = 60  # seconds to wait for an answer: a machine that does other things is slow
EXAMPLES = ROOT / "ser/examples"  # spoken by a machine


def voice(seconds: float = 1.0, *, rate: int = RATE, pitch: float = 150.0, seed: int = 0) -> np.ndarray:
    """A buzzing, wavering tone with some noise: float32, shape `(samples,)`."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    return (0.2 * tone + 0.01 * generator.standard_normal(len(time))).astype(np.float32)


def speech(seconds: float, *, rate: int = RATE) -> np.ndarray:
    """A machine speaks, again and again: float32, shape `(samples,)`."""
    waveform = ser.load_audio(EXAMPLES / "plain.ogg", sampling_rate=rate)
    return np.resize(waveform, round(seconds * rate))


def build(config) -> nn.Module:
    """A network in evaluation mode, its batch norms as after some training."""
    torch.manual_seed(0)
    model = AutoModelForAudioClassification.from_config(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.normal_(module.bias)
    return model


@pytest.fixture
def float32(monkeypatch):
    """Answers are computed in float32 on every processor."""
    exact = lambda model, *inputs, **named: model(*inputs, **named).logits  # noqa: E731
    monkeypatch.setattr(CNNForAudioClassification, "quick_logits", exact)


@pytest.fixture(scope="session")
def demo():
    """The page as Gradio has it."""
    import app

    return app.build()


@pytest.fixture(scope="session")
def url(demo) -> str:
    """Address of the page, served in this process."""
    import app

    demo.launch(prevent_thread_lock=True, quiet=True, **app.LAUNCH)
    yield demo.local_url
    demo.close()


@pytest.fixture(scope="session")
def client(url) -> Client:
    """Gradio's client of the page."""
    return Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE})


@pytest.fixture(scope="session")
def crema_d() -> Path:
    """The complete corpus."""
    folder = SHARED / "crema-d"
    if not folder.is_dir():
        pytest.skip("needs CREMA-D beside the checkout, at ../shared/data/crema-d")
    return folder


@pytest.fixture(scope="session")
def real_clips(crema_d) -> list[np.ndarray]:
    """Eight real clips of eight actors, each of shape `(samples,)`, at 16 kHz."""
    paths = sorted((crema_d / "AudioOGG").glob("*.ogg"))[:: 7442 // 8][:8]
    return [soundfile.read(path, dtype="float32")[0] for path in paths]


@pytest.fixture(scope="session")
def clip_path(crema_d) -> Path:
    """One real clip."""
    return crema_d / "AudioOGG" / "1001_IEO_ANG_HI.ogg"


@pytest.fixture(scope="session")
def small_corpus(crema_d, tmp_path_factory) -> Path:
    """All clips of two training, one dev and one test actor of the tfds split, with the tables."""
    folder = tmp_path_factory.mktemp("small-crema-d")
    for path in (crema_d / "AudioOGG").glob("*.ogg"):
        if path.name[:4] in ("1001", "1002", "1010", "1015"):
            (folder / path.name).symlink_to(path)
    (folder / "VideoDemographics.csv").symlink_to(crema_d / "VideoDemographics.csv")
    (folder / "processedResults").mkdir()
    (folder / "processedResults/tabulatedVotes.csv").symlink_to(crema_d / "processedResults/tabulatedVotes.csv")
    return folder


def write_corpus(folder: Path, names: list[str], suffix: str = ".wav") -> None:
    """Made-up sound under official names, another one for each name in each folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        seed = zlib.crc32(str(Path(*folder.parts[-2:], name)).encode())
        soundfile.write(folder / f"{name}{suffix}", voice(0.4, pitch=100 + 5 * number, seed=seed), RATE)


def run_python(code: str, *arguments, cwd, path: str | Path = "") -> list:
    """What the lines that a fresh process prints say as JSON."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(path), "HF_HOME": str(cwd / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "/nowhere"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
