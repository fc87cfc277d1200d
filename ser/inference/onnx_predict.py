"""Classify clips without torch and transformers: a few clips are done before these would be imported."""

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
from tqdm import tqdm

from ser.audio_files import GROUP
from ser.audio_files import dataset_options
from ser.audio_files import digest_of
from ser.audio_files import find_files
from ser.files import MODEL
from ser.files import PACKAGE
from ser.files import check_revision
from ser.inference.prediction_table import check_labels
from ser.inference.prediction_table import cores
from ser.inference.prediction_table import part_schema
from ser.inference.prediction_table import predicted
from ser.inference.prediction_table import put_together
from ser.inference.prediction_table import read_waveform
from ser.inference.prediction_table import voices_of
from ser.inference.resumable_table import new_output
from ser.inference.resumable_table import open_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part
from ser.models.audio_ser import check_audible
from ser.models.audio_ser import load_audio

MADE_OF = ("config.json", "preprocessor_config.json", "model.safetensors")
CODE = ("models/*_ser.py", "inference/export_onnx.py", "inference/onnx_spectrum.py")  # that determines the graph
CHUNK_CLIPS = 256


class OnnxClassifier:
    """A trained model in onnxruntime, its front end included, on one core.

    Args:
        model: Model folder, or an id on the Hub.
        revision: Commit, tag or branch there.

    Raises:
        ValueError: There is no such model, or it has no ONNX form.

    Attributes:
        labels: In the order of the probabilities.
        sampling_rate: In Hz.
        certain_threshold: As in the configuration of the model.
        ordinary_voice: As there.
    """

    def __init__(self, model: str = MODEL, revision: str | None = None):
        self.graph = graph_of(model, revision)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.labels: list[str] = json.loads(metadata["labels"])
        self.sampling_rate = int(metadata["sampling_rate"])
        self.certain_threshold: float | None = json.loads(metadata["certain_threshold"])
        self.ordinary_voice: dict[str, Any] | None = json.loads(metadata["ordinary_voice"])

    def __call__(self, source: Any, source_rate: int | None = None) -> dict[str, float]:
        """Probability of each label for any input of `load_audio`; raises the same errors, and for silence."""
        waveform = load_audio(source, sampling_rate=self.sampling_rate, source_rate=source_rate)
        check_audible(waveform)
        return self.classify(waveform)

    def classify(self, waveform: np.ndarray) -> dict[str, float]:
        """The same for a waveform of shape `(samples,)` at the rate of the model."""
        (probabilities,) = self._session.run(None, {"waveform": waveform})
        return dict(zip(self.labels, probabilities.tolist(), strict=True))


def graph_of(model: str, revision: str | None = None) -> Path:
    """The ONNX file of a model, exported if there is none yet for these weights, settings and code."""
    folder = folder_of(model, revision)
    sources = [folder / name for name in MADE_OF]
    sources += [path for pattern in CODE for path in sorted(PACKAGE.glob(pattern))]
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources if path.exists()))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ser")
    graph = cache / f"{content.hexdigest()[:16]}.onnx"
    if not graph.exists():
        cache.mkdir(parents=True, exist_ok=True)  # fails at once where it cannot be written
        from ser.inference.export_onnx import write_graph  # imports torch

        write_graph(model, graph, revision)
    return graph


def folder_of(model: str, revision: str | None) -> Path:
    """A model folder; of a model on the Hub, the newest files, or those in the cache if it cannot be reached."""
    check_revision(model, revision)
    if Path(model).is_dir():
        return Path(model)
    from httpx2 import HTTPError
    from huggingface_hub import hf_hub_download

    try:
        folder = Path(hf_hub_download(model, MADE_OF[0], revision=revision)).parent
        if all((folder / name).is_file() for name in MADE_OF):
            return folder
    except (ValueError, OSError, HTTPError):  # no such model, or no way to fetch it: `load_trained` says which
        pass
    from ser.inference.loading import load_trained  # imports torch

    load_trained(model, revision)
    return Path(hf_hub_download(model, MADE_OF[0], revision=revision, local_files_only=True)).parent


def open_share(
    options: argparse.Namespace, done: int
) -> tuple[Iterator[tuple[dict | None, str | None]], int | None, str | None]:
    """Clips without the first `done`, their number and their fingerprint, if these are known.

    Input other than files needs imports that take a moment longer.
    """
    more = options.dataset or options.center_by or dataset_options(options)
    if options.inputs and not more and not any(Path(name).is_dir() for name in options.inputs):
        files = find_files(options.inputs)
        clips = (({"path": path, "bytes": None}, None) for path in files[done:])
        return clips, len(files), digest_of(files)
    from ser.corpora.unlabelled_audio import fingerprint
    from ser.corpora.unlabelled_audio import open_clips
    from ser.corpora.unlabelled_audio import share

    source = open_clips(options)
    return *share(source, 0, 1, done=done), fingerprint(source, options.dataset)


def row_of(clip: tuple[dict | None, str | None], classifier: OnnxClassifier) -> dict:
    """The row of a clip."""
    row, waveform = read_waveform(clip[0], classifier.sampling_rate)
    answer = {} if waveform is None else predicted(classifier.classify(waveform), classifier.certain_threshold)
    return row | answer | {GROUP: clip[1]}


def run(options: argparse.Namespace) -> None:
    """Classify all clips, one to each core."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("--backend onnx uses all cores in one process; run it without torchrun")
    output = new_output(options.output)
    *_, fingerprint = open_share(options, 0)  # refuses missing input
    classifier = OnnxClassifier(options.model, options.revision)
    check_labels(classifier.labels)
    voices = voices_of(
        options,
        lambda clips: [row_of((clip, None), classifier) for clip in clips],
        classifier.labels,
        classifier.ordinary_voice,
    )
    job = {"folder": os.getcwd(), "clips": fingerprint, "graph": classifier.graph.stem}
    parts = open_parts(output, vars(options) | job)
    done = rows_done(parts, 0)
    clips, total, _ = open_share(options, done)
    with ThreadPoolExecutor(cores()) as pool, tqdm(total=total, initial=done, unit="clip") as bar:
        while several := list(islice(clips, CHUNK_CLIPS)):
            rows = list(pool.map(lambda clip: row_of(clip, classifier), several))
            write_part(parts, 0, pa.Table.from_pylist(rows, part_schema(classifier.labels)))
            bar.update(len(rows))
    how = {"threshold": classifier.certain_threshold, "center_by": options.center_by, "voices": voices}
    what = put_together(parts, output, classifier.labels, **how)
    print(f"{what}: {output}")


__all__ = ["OnnxClassifier", "run"]
