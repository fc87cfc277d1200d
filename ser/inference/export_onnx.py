"""A trained model as one ONNX file, features included: a waveform in, probabilities out, without torch.

python -m ser export-onnx checkpoints/flagship-bilingual onnx                       # onnx/model.onnx
python -m ser export-onnx checkpoints/flagship-bilingual onnx --calibration clips   # and model.int8.onnx
Needs `pip install onnx onnxscript` (the extra `onnx`); to run the files, onnxruntime and numpy are enough.
"""

import argparse
import json
import logging
import math
import os
import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from typing import cast

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

from ser.corpora.unlabelled_audio import find_clips
from ser.files import atomic_folder
from ser.files import check_replaceable
from ser.inference.loading import check_own
from ser.inference.loading import labels_of
from ser.inference.loading import load_trained
from ser.inference.onnx_spectrum import PowerSpectrum
from ser.models.acoustic_features_ser import OVERSUBTRACTION
from ser.models.acoustic_features_ser import QUIET_SHARE
from ser.models.acoustic_features_ser import RESIDUE
from ser.models.acoustic_features_ser import SILENCE
from ser.models.audio_ser import LOUDEST
from ser.models.audio_ser import QUIETEST
from ser.models.audio_ser import SHORTEST
from ser.models.audio_ser import load_audio
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.modeling_ser import CNNForAudioClassification

if TYPE_CHECKING:  # with onnxscript, which torch's exporter needs, in the extra `onnx`
    import onnx

STOPPED = "nothing was written"
INPUT, OUTPUT = "waveform", "probabilities"
# Settings of a front end that the graph supports; any other value is refused.
EXPORTED: dict[str, list] = {
    "features": [["log_mel"]],
    "wiener": [False],
    "max_duration": [None],
    "statistics": [None],
    "join": [False],
    "normalization": ["none", "corpus"],
}
QUANTIZED = ["Conv", "Gemm"]
MOST_CLIPS = 100


class WaveformClassifier(torch.nn.Module):
    """Log-mel front end and network as one: `(samples,)` at the front end's rate to probabilities `(num_labels,)`.

    Raises:
        ValueError: The graph does not support a setting of the front end.
    """

    window: torch.Tensor
    filters: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: CNNForAudioClassification, extractor: SERFeatureExtractor):
        super().__init__()
        for name, allowed in EXPORTED.items():
            if getattr(extractor, name) not in allowed:
                raise ValueError(
                    f"models with {name}={getattr(extractor, name)!r} cannot be exported; "
                    "those of cnn2d and of the flagship recipes can"
                )
        self.model = model
        self.settings = extractor
        columns = extractor.feature_size
        corpus = extractor.normalization == "corpus"
        self.spectrum = PowerSpectrum(extractor.n_fft)
        self.register_buffer("window", torch.hann_window(extractor.n_fft))
        self.register_buffer("filters", torch.from_numpy(extractor.mel_filters.matrix))
        self.register_buffer("mean", torch.tensor(extractor.mean if corpus else [0.0] * columns))
        self.register_buffer("std", torch.tensor(extractor.std if corpus else [1.0] * columns).clamp(min=1e-5))

    def frames(self, waveform: torch.Tensor) -> torch.Tensor:
        """Frames of shape `(frames, n_fft)` of `(samples,)`, centred on every `hop_length`-th sample."""
        size, hop = self.settings.n_fft, self.settings.hop_length
        frames, steps = waveform.shape[0] // hop + 1, -(-size // hop)
        padded = F.pad(waveform, (size // 2, size // 2 + hop))
        blocks = padded[: (frames - 1 + steps) * hop].reshape(-1, hop)  # faster to copy than sample by sample
        return torch.cat([blocks[step : step + frames] for step in range(steps)], dim=1)[:, :size]

    def trim(self, waveform: torch.Tensor, trim_db: float) -> tuple[torch.Tensor, torch.Tensor]:
        """What `loud_span` leaves of `(samples,)`, moved to the front and followed by zeros, and how many samples."""
        samples, size, hop = waveform.shape[0], self.settings.n_fft, self.settings.hop_length
        block = math.gcd(size, hop)  # so that what frames share is summed up once
        squares = F.avg_pool1d(F.pad(waveform.square(), (size // 2, size // 2))[None], block, block)
        mean_square = F.avg_pool1d(squares, size // block, hop // block)[0]  # (frames,)
        loudness = 10 * torch.log10(mean_square.clamp(min=SILENCE))
        loud = (loudness - loudness.amax(0) > -trim_db).int()
        margin = round(self.settings.trim_margin * self.settings.sampling_rate)
        start = torch.clamp(loud.argmax(0) * hop - margin, min=0)
        stop = torch.clamp((loud.shape[0] - loud.flip(0).argmax(0)) * hop + margin, max=samples)
        positions = torch.arange(samples)
        moved = waveform.index_select(0, torch.clamp(positions + start, max=samples - 1))
        return torch.where(positions < stop - start, moved, 0.0), stop - start

    def subtract_noise(self, power: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the function of that name leaves of `(1, frames, n_mels)`; `mask` is of shape `(frames,)`."""
        loudness = torch.where(mask, power[0].sum(1), torch.inf)
        last = (QUIET_SHARE * (mask.sum() - 1)).long()
        quiet = (loudness <= loudness.sort().values.index_select(0, last[None])).to(power.dtype)
        noise = quiet @ power / quiet.sum()  # (1, n_mels)
        return torch.clamp(power - OVERSUBTRACTION * noise, min=0.0) + RESIDUE * noise

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """`(samples,)` to `(num_labels,)`; NaN where the pipeline refuses them."""
        shortest = math.ceil(SHORTEST * self.settings.sampling_rate)
        heights = waveform.abs()
        usable = (
            (heights <= LOUDEST).all() & (heights >= QUIETEST).any() & torch.full((), waveform.shape[0]).ge(shortest)
        )
        kept = torch.full((), waveform.shape[0])
        if self.settings.trim_db is not None:
            waveform, kept = self.trim(waveform, self.settings.trim_db)
        power = self.spectrum(self.frames(waveform) * self.window)[None] @ self.filters  # (1, frames, n_mels)
        mask = torch.arange(power.shape[1]) <= kept // self.settings.hop_length
        if self.settings.subtract_noise:
            power = self.subtract_noise(power, mask)
        decibels = 10 * torch.log10(torch.clamp(power, min=SILENCE))
        decibels = torch.where(mask[:, None], decibels, -10000.0)  # below all that there can be
        loudest = decibels.amax((1, 2), keepdim=True)
        if self.settings.db_reference == "max":
            decibels, loudest = decibels - loudest, torch.zeros_like(loudest)
        if self.settings.top_db is not None:
            decibels = torch.maximum(decibels, loudest - self.settings.top_db)
        if self.settings.band_top_db is not None:
            decibels = torch.maximum(decibels, decibels.amax(1, keepdim=True) - self.settings.band_top_db)
        features = (decibels - self.mean) / self.std * mask[:, None]
        logits = self.model(input_features=features, attention_mask=mask[None].long()).logits[0]
        return torch.where(usable, logits.softmax(0), torch.nan)


@contextmanager
def quietly() -> Iterator[None]:
    """Silence warnings of the exporter and the quantizer about their own code."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def check_packages() -> None:
    """Raise `ValueError` without the packages that exporting needs."""
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise ValueError(f"exporting needs the package {missing[0]}: pip install onnx onnxscript")


def export(model: CNNForAudioClassification, extractor: SERFeatureExtractor) -> "onnx.ModelProto":
    """The graph; its metadata are `labels`, `sampling_rate` (Hz), `certain_threshold` and `ordinary_voice`, in JSON."""
    import onnx

    second = torch.zeros(extractor.sampling_rate)
    with quietly():
        program = torch.onnx.export(
            WaveformClassifier(model, extractor).eval(),
            (second,),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("samples", min=1)}},
        )
    graph = cast(torch.onnx.ONNXProgram, program).model_proto
    metadata = {
        "labels": json.dumps(labels_of(model)),
        "sampling_rate": str(extractor.sampling_rate),
        "certain_threshold": json.dumps(model.config.certain_threshold),
        "ordinary_voice": json.dumps(model.config.ordinary_voice),
    }
    onnx.helper.set_model_props(graph, metadata)
    return graph


def quantize(graph: "onnx.ModelProto", waveforms: Iterable[np.ndarray], path: Path) -> None:
    """Write the graph with 8-bit convolutions and dense layers; ranges are measured on clips of shape `(samples,)`."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_static

    class Clips(CalibrationDataReader):
        def __init__(self) -> None:
            self.waveforms = iter(waveforms)

        def get_next(self) -> dict[str, np.ndarray] | None:
            waveform = next(self.waveforms, None)
            return None if waveform is None else {INPUT: waveform}

    bare = onnx.ModelProto()
    bare.CopyFrom(graph)
    del bare.graph.value_info[:]  # the exporter's shapes, which the quantizer cannot follow
    with quietly():
        quantize_static(
            bare,
            str(path),
            Clips(),
            op_types_to_quantize=QUANTIZED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def read_clip(path: str, sampling_rate: int) -> np.ndarray:
    """A clip to measure ranges on, of shape `(samples,)`; raises `ValueError` with its name."""
    try:
        return load_audio(path, sampling_rate=sampling_rate)
    except ValueError as error:
        raise ValueError(f"calibration clip {path!r}: {error}") from error


def write(source: str, folder: str | Path, calibration: list[str]) -> list[Path]:
    """Export a model folder or Hub id into a new folder, and return the files.

    Args:
        source: Model folder, or an id on the Hub.
        folder: New, or an earlier export, which is replaced.
        calibration: Files, folders or patterns of clips of speech to measure ranges on, of which `MOST_CLIPS` are used;
            none for no 8-bit model.

    Raises:
        ValueError: The model cannot be read or exported, a clip cannot be read, or the folder cannot be replaced.
    """
    import onnx

    check_replaceable(folder, holding="model.onnx", beside=["model.int8.onnx"])
    model, extractor = load_trained(source)
    check_own(model, extractor, source)
    found = find_clips(calibration)["audio"][:]
    found = found[:: -(-len(found) // MOST_CLIPS) or 1]
    clips = [read_clip(clip["path"], extractor.sampling_rate) for clip in found]
    graph = export(model, extractor)
    with atomic_folder(folder) as temporary:
        onnx.save(graph, temporary / "model.onnx")
        onnxruntime.InferenceSession(temporary / "model.onnx").run(None, {INPUT: np.zeros(1, dtype=np.float32)})
        if clips:
            quantize(graph, clips, temporary / "model.int8.onnx")
    return sorted(Path(folder).glob("*.onnx"))


def write_graph(source: str, path: Path, revision: str | None = None) -> None:
    """Write the graph of a model folder or Hub id as one file, under a temporary name first.

    Raises:
        ValueError: The model cannot be read or exported, or packages are missing.
    """
    check_packages()
    model, extractor = load_trained(source, revision)
    check_own(model, extractor, source)
    graph = export(model, extractor).SerializeToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(graph)
    os.replace(temporary, path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", help="model folder or Hub id")
    parser.add_argument("folder", help="new folder for model.onnx, or that of an earlier export, which is replaced")
    parser.add_argument(
        "--calibration",
        nargs="+",
        default=[],
        metavar="CLIPS",
        help="clips of speech (files, folders or patterns): also write an 8-bit model.int8.onnx, quantized with them",
    )


def run(options: argparse.Namespace) -> None:
    """Export."""
    check_packages()
    files = write(options.model, options.folder, options.calibration)
    print("\n".join(f"{file}: {file.stat().st_size / 1e6:.1f} MB" for file in files))


__all__ = [
    "STOPPED",
    "add_arguments",
    "run",
    "INPUT",
    "MOST_CLIPS",
    "WaveformClassifier",
    "export",
    "quantize",
    "write",
    "write_graph",
]
