"""How much of a model's accuracy is left in noise, rooms, telephone lines and codecs: its own test part, changed.

python -m ser.robustness checkpoints/flagship-distilled --data_dir data/crema-d
writes robustness.json into the model folder, and its model card anew, after each condition. The folder's results.json
tells which clips were its test part. A condition changes every clip, with fixed seeds; none of them chooses an epoch
or is heard in training as it is here. What was measured before stays: remove the file to measure it again.
To choose between models by such figures, measure them with --part dev, into robustness_dev.json.
"""

import argparse
import functools
import io
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path

import audiomentations
import datasets
import numpy as np
import soundfile
import soxr
from scipy.signal import butter
from scipy.signal import fftconvolve
from scipy.signal import istft
from scipy.signal import sosfilt
from scipy.signal import stft
from transformers import PreTrainedModel
from transformers import set_seed

from ser.clips import ClipDataset
from ser.clips import with_features
from ser.commands import one_sentence
from ser.corpora import CORPORA
from ser.corpora.splits import drawn_from
from ser.corpora.splits import fixed_share
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.evaluation import mean_interval
from ser.evaluation import predict_logits
from ser.evaluation import score
from ser.feature_extraction_ser import SERFeatureExtractor
from ser.files import check_writable
from ser.loading import labels_of
from ser.loading import load_reported
from ser.model_card import CLEAN
from ser.model_card import MEASURED
from ser.model_card import measured
from ser.model_card import record
from ser.provenance import git_commit

CODEC_RATE = 16000  # Hz
VOICES = Path(__file__).parent / "examples"  # of the page: nobody of a corpus
MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.95, "bitrate_mode": "CONSTANT"}
PINK_DB = 3.01  # an octave, by which its spectrum falls
OPUS = {"format": "OGG", "subtype": "OPUS", "compression_level": 0.96}

warnings.filterwarnings("ignore", "(?s).*had to be resampled", UserWarning)  # once for each rate, and no harm


def noise(snr_db: float, decay_db: float) -> Callable:
    """Noise at this signal-to-noise ratio, its spectrum falling by `decay_db` an octave (0 white, 3 pink)."""
    return audiomentations.AddColorNoise(
        min_snr_db=snr_db, max_snr_db=snr_db, min_f_decay=-decay_db, max_f_decay=-decay_db, p=1.0
    )


def room(waveform: np.ndarray, sample_rate: int, reverberation_time: float) -> np.ndarray:
    """Convolve with noise that falls by 60 dB in `reverberation_time` seconds, as loud as the direct sound (Polack)."""
    seconds = np.arange(round(reverberation_time * sample_rate)) / sample_rate
    echo = np.random.standard_normal(len(seconds)) * 10 ** (-3 * seconds / reverberation_time)
    echo /= np.sqrt(np.square(echo).sum())
    echo[0] = 1.0
    return fftconvolve(waveform, echo)[: len(waveform)]


def telephone(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Leave 300 to 3,400 Hz."""
    return sosfilt(butter(6, [300, 3400], "bandpass", fs=sample_rate, output="sos"), waveform)


def codec(waveform: np.ndarray, sample_rate: int, how: dict) -> np.ndarray:
    """Through an encoder of about 16 kbit/s and back, at a rate that it knows."""
    with io.BytesIO() as file:
        soundfile.write(file, np.clip(soxr.resample(waveform, sample_rate, CODEC_RATE), -1, 1), CODEC_RATE, **how)
        file.seek(0)
        return soxr.resample(soundfile.read(file)[0], CODEC_RATE, sample_rate)


def gain(waveform: np.ndarray, sample_rate: int, decibels: float) -> np.ndarray:
    """Louder or softer; nothing is clipped."""
    return waveform * 10 ** (decibels / 20)


def noise_suppressed(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Without what is there between the words, as browsers, telephones and conference programs do (Boll 1979)."""
    spectrum = stft(waveform, sample_rate, nperseg=512)[2]  # (bins, frames)
    power = np.square(np.abs(spectrum))
    loudness = power.sum(0)
    background = power[:, loudness <= np.quantile(loudness, 0.1)].mean(1, keepdims=True)
    gain = np.maximum(1 - 3 * background / np.maximum(power, 1e-20), 0.01)  # of the power: at most 20 dB are taken away
    return istft(spectrum * np.sqrt(gain), sample_rate, nperseg=512)[1][: len(waveform)]


def margins(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A second of digital silence before and after."""
    return np.pad(waveform, sample_rate)


def room_margins(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A second before and after, and the pink noise of a quiet room throughout, 35 dB below the whole."""
    return noise(35.0, PINK_DB)(margins(waveform, sample_rate), sample_rate)


def clipped(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut off the loudest tenth of the samples."""
    limit = np.quantile(np.abs(waveform), 0.9)
    return np.clip(waveform, -limit, limit)


CONDITIONS: dict[str, Callable | None] = {
    CLEAN: None,
    **{f"white noise, {snr} dB": noise(snr, 0.0) for snr in (20, 10, 5)},
    **{f"pink noise, {snr} dB": noise(snr, PINK_DB) for snr in (20, 10, 5)},
    "another voice, 10 dB": audiomentations.AddBackgroundNoise(VOICES, min_snr_db=10.0, max_snr_db=10.0, p=1.0),
    **{f"room, {time} s": functools.partial(room, reverberation_time=time) for time in (0.3, 0.6, 0.9)},
    "telephone band": telephone,
    "MP3, 16 kbit/s": functools.partial(codec, how=MP3),
    "Opus, 16 kbit/s": functools.partial(codec, how=OPUS),
    "20 dB louder": functools.partial(gain, decibels=20.0),
    "20 dB softer": functools.partial(gain, decibels=-20.0),
    "clipped": clipped,
    "noise suppressed": noise_suppressed,
    "silent margins": margins,
    "margins of room noise": room_margins,
    "other microphones": audiomentations.SevenBandParametricEQ(min_gain_db=-10.0, max_gain_db=10.0, p=1.0),
}


def own_part(report: dict, data_dir: str, cache_dir: str | None, *, name: str) -> datasets.Dataset:
    """The clips that a model's report calls its test or dev part."""
    corpora = {corpus.TITLE: corpus for corpus in CORPORA.values()}
    if report["corpus"] not in corpora:
        raise ValueError(f"expected a model trained on {' or '.join(corpora)}; this one was on {report['corpus']}")
    if name not in report["parts"]:
        raise ValueError("this model was trained on its dev part, too: take the model of the run before --refit")
    if not report["valid"]:
        raise ValueError(f"the {report['protocol']} protocol has no test part of its own; take a model of another one")
    clips = fixed_share(corpora[report["corpus"]].load(data_dir, cache_dir=cache_dir), report["share_of_clips"])
    if drawn_from(clips, report["protocol"]) != report.get("drawn_from"):
        raise ValueError("its parts were drawn from other clips than these, or in another order: take those")
    part = split(clips, report["protocol"], fold=report["fold"], split_seed=report["split_seed"])[name]
    if len(part) != (told := report["parts"][name]["clips"]):
        raise ValueError(f"its {name} part had {told:,} clips, here are {len(part):,} of it: take the whole corpus")
    return part


def changed(waveform: np.ndarray, change: Callable, sampling_rate: int) -> np.ndarray:
    """A waveform of shape `(samples,)` under one condition."""
    return np.asarray(change(waveform, sample_rate=sampling_rate), dtype=np.float32)


def measure(
    model: PreTrainedModel, extractor: SERFeatureExtractor, clips: datasets.Dataset, conditions: Iterable[str]
) -> Iterator[tuple[str, dict]]:
    """Accuracy and UAR under each condition, and the change of accuracy against the clean clips with its interval.

    Yields:
        Name and figures of the clean clips, then of each condition.

    Raises:
        ValueError: The model has other labels than the clips, or orders them otherwise.
    """
    if labels_of(model) != clips.features["label"].names:
        raise ValueError("expected a model with the labels of its corpus in their order; train it with --data_dir")
    clips, labels = with_features(clips, extractor), np.asarray(clips["label"][:])
    speakers, commit, clean = speakers_of(clips), git_commit(), None
    for name in dict.fromkeys([CLEAN, *conditions]):
        change = CONDITIONS[name]
        set_seed(0)
        augment = change and functools.partial(changed, change=change, sampling_rate=extractor.sampling_rate)
        part = ClipDataset(clips, extractor, augment_waveform=augment)
        predicted = predict_logits(model, part, batch_size=16, desc=name).argmax(1)
        hits = predicted == labels
        clean = hits if clean is None else clean
        yield (
            name,
            {key: round(value, 4) for key, value in score(labels, predicted).items()}
            | {
                "change": round(float(hits.mean() - clean.mean()), 4),
                "change_interval_95": mean_interval(hits.astype(float) - clean, speakers),
                "git_commit": commit,
            },
        )


def main(arguments: list[str] | None = None) -> None:
    """Measure and write; a bad command ends in one sentence."""
    parser = argparse.ArgumentParser(
        "python -m ser.robustness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="model folder with its results.json")
    parser.add_argument("--data_dir", required=True, help="folder with the corpus that the model was trained on")
    parser.add_argument("--part", choices=("test", "dev"), default="test", help="which of its parts (default: test)")
    parser.add_argument("--cache_dir", help="where tables and features are cached")
    options = parser.parse_args(arguments)
    folder, what = Path(options.model), "conditions" if options.part == "test" else "conditions_on_dev"
    with one_sentence("ser.robustness", stopped="what was measured is kept, and the same command goes on"):
        model, extractor, report = load_reported(options.model)
        check_writable(folder)
        known = measured(folder, what)
        missing = [name for name in CONDITIONS if name not in known]
        clips = own_part(report, options.data_dir, options.cache_dir, name=options.part)
        for name, figures in measure(model, extractor, clips, missing) if missing else ():
            known = {name: figures} | known
            record(folder, what, {name: known[name] for name in CONDITIONS if name in known})
    print(f"measured {', '.join(missing) or 'nothing new'}; {len(known)} conditions in {folder / MEASURED[what]}")


__all__ = ["CONDITIONS", "measure"]

if __name__ == "__main__":
    main()
