"""Sound for the tests: real clips where the corpora are beside the checkout, and sound made here."""

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
RATE = 16000  # Hz


def voice(seconds: float = 1.0, *, rate: int = RATE, pitch: float = 150.0, seed: int = 0) -> np.ndarray:
    """A buzzing, wavering tone with some noise: float32, shape `(samples,)`."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    return (0.2 * tone + 0.01 * generator.standard_normal(len(time))).astype(np.float32)


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
    """Made-up sound under official names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        soundfile.write(folder / f"{name}{suffix}", voice(0.4, pitch=100 + 5 * number, seed=number), RATE)
