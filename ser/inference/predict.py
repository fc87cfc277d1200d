"""Classify many clips: files, folders, patterns or a dataset in, one table out.

python -m ser predict clips --output preds.parquet                      # all audio files below a folder
python -m ser predict "clips/*.wav" other.mp3 --model runs/my/model --output preds.csv
python -m ser predict --dataset user/name --split test --streaming --output preds.parquet
torchrun --nproc_per_node 2 -m ser predict clips --output preds.parquet
python -m ser predict clips --center_by speaker --output preds.parquet  # relative to all clips of the speaker
python -m ser predict clip.wav --backend onnx --output preds.csv         # starts in a second, without torch
After an interruption, run the same command again: it continues where it stopped. A clip that cannot be read, or
is silent, becomes a row with the reason. Speech is not detected here, so noise gets an emotion, too (see
`ser.inference.timeline`).

--center_by subtracts the mean log-probability over all clips of the same speaker (column speaker of the dataset, or of
the nearest metadata.csv beside or above the clips) or of the same folder. Use it only where these clips hold several
emotions: where one prevails, it is subtracted, too, and the predictions mislead. The only clip of a speaker or folder
stays as it is. For the windows of one long recording, see `ser.inference.timeline.relative_to_recording`.
"""

import argparse
import errno
import os
from collections.abc import Callable
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import PartialState
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ser.audio_files import GROUP
from ser.corpora.unlabelled_audio import Clips
from ser.corpora.unlabelled_audio import clips_at
from ser.corpora.unlabelled_audio import open_clips
from ser.corpora.unlabelled_audio import share
from ser.corpora.unlabelled_audio import share_of
from ser.inference.loading import labels_of
from ser.inference.loading import load_trained
from ser.inference.prediction_table import STOPPED
from ser.inference.prediction_table import add_arguments
from ser.inference.prediction_table import check_labels
from ser.inference.prediction_table import cores
from ser.inference.prediction_table import part_schema
from ser.inference.prediction_table import predicted
from ser.inference.prediction_table import put_together
from ser.inference.prediction_table import read_waveform
from ser.inference.resumable_table import check_output
from ser.inference.resumable_table import open_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.folding_ser import has_bfloat16
from ser.models.modeling_ser import CNNForAudioClassification

CHUNK_CLIPS, CHUNK_SECONDS = 512, 1800.0  # of one part of the table, which is held in memory
BATCH_SECONDS = 30.0  # of one batch, padding included; larger ones are slower on a CPU
MULTIPLE = 16  # frames: as batches come in few sizes, memory that one leaves serves the next
CLOSE = 0.01  # probability; bfloat16 changes one by less than half of it
SLICE = 64  # clips that a worker takes at a time
MANY = 128  # clips for which it pays to start processes
LONGEST_WAIT = timedelta(days=30)  # for the other processes


def read_clip(audio: dict | None, extractor: SERFeatureExtractor) -> tuple[dict, dict | None]:
    """Name and duration of a clip, and its features; or its name and the error, and None."""
    row, waveform = read_waveform(audio, extractor.sampling_rate)
    if waveform is None:
        return row, None
    try:
        features = extractor(waveform, sampling_rate=extractor.sampling_rate)
    except ValueError as error:
        return row | {"error": str(error)}, None
    return row, {name: values[0] for name, values in features.items()}


def read_chunk(
    clips: Iterator[tuple[dict | None, str | None]], extractor: SERFeatureExtractor
) -> list[tuple[dict, dict | None]]:
    """The next clips, up to `CHUNK_CLIPS` or just over `CHUNK_SECONDS`; an empty list at the end."""
    chunk, seconds = [], 0.0
    for audio, group in islice(clips, CHUNK_CLIPS):
        row, features = read_clip(audio, extractor)
        chunk.append((row | {GROUP: group}, features))
        seconds += row.get("duration", 0.0)
        if seconds > CHUNK_SECONDS:
            break
    return chunk


def batches(durations: dict[int, float]) -> Iterator[list[int]]:
    """Keys in the order of their seconds, as many together as fit into `BATCH_SECONDS` when padded to the longest."""
    batch: list[int] = []
    for key in sorted(durations, key=durations.__getitem__):
        if batch and durations[key] * (len(batch) + 1) > BATCH_SECONDS:
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


def certain_threshold(model: PreTrainedModel) -> float | None:
    """From which probability on an answer is certain; None where a model has no such threshold."""
    return getattr(model.config, "certain_threshold", None)


def classify(
    clips: dict[int, tuple[dict, dict]], model: PreTrainedModel, extractor: SERFeatureExtractor
) -> dict[int, list[float]]:
    """Probabilities of the labels, by the keys of the clips."""
    answers: dict[int, list[float]] = {}
    padding = {"pad_to_multiple_of": MULTIPLE} if isinstance(extractor, SERFeatureExtractor) else {}
    for batch in batches({key: row["duration"] for key, (row, _) in clips.items()}):
        inputs = extractor.pad([clips[key][1] for key in batch], return_tensors="pt", **padding).to(model.device)
        probabilities = model(**inputs).logits.float().softmax(1)  # (batch, num_labels)
        answers |= zip(batch, probabilities.tolist(), strict=True)
    return answers


def is_close(probabilities: list[float], threshold: float | None) -> bool:
    """Whether a little rounding could change the label, or whether it is certain."""
    *_, second, first = sorted(probabilities)
    return first - second < CLOSE or abs(first - (threshold or 0.0)) < CLOSE


@torch.inference_mode()
def predict_chunk(
    chunk: list[tuple[dict, dict | None]],
    model: Any,
    extractor: SERFeatureExtractor,
    *,
    reduced: bool = False,
) -> pa.Table:
    """One row for each clip that `read_chunk` gave, in its order.

    Args:
        chunk: What `read_chunk` gave.
        model: A `PreTrainedModel`, of ours where it is to be reduced.
        extractor: Pads the features.
        reduced: Whether convolutions compute in bfloat16; close calls are then decided in float32.
    """
    labels, threshold = labels_of(model), certain_threshold(model)
    clips = {index: (row, features) for index, (row, features) in enumerate(chunk) if features}
    if reduced:
        model.compute_in(torch.bfloat16)
        answers = classify(clips, model, extractor)
        model.compute_in(None)
        clips = {index: clips[index] for index, answer in answers.items() if is_close(answer, threshold)}
        answers |= classify(clips, model, extractor)
    else:
        answers = classify(clips, model, extractor)
    for index, answer in answers.items():
        chunk[index][0].update(predicted(dict(zip(labels, answer, strict=True)), threshold))
    return pa.Table.from_pylist([row for row, _ in chunk], part_schema(labels))


class Slices(torch.utils.data.Dataset):
    """Slices of a share of the clips, for worker processes to read.

    Args:
        clips: All clips.
        numbers: Those of the share that remain.
        size: Clips in a slice.
        work: What a worker makes of the clips of a slice.
    """

    def __init__(self, clips: datasets.Dataset, numbers: range, size: int, work: Callable[[Iterator], Any]):
        self.clips, self.numbers, self.size, self.work = clips, numbers, size, work

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.size)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.work(clips_at(self.clips, self.numbers[index * self.size : (index + 1) * self.size]))
        except OSError as error:  # for the main process to raise, without the worker's traceback
            return error


def read_all(clips: Iterator, extractor: SERFeatureExtractor) -> Iterator[list[tuple[dict, dict | None]]]:
    """Chunk by chunk."""
    return iter(lambda: read_chunk(clips, extractor), [])


def predict_all(clips: Iterator, predict_one: Callable[..., pa.Table], extractor: SERFeatureExtractor) -> pa.Table:
    """One row for each clip, in their order."""
    return pa.concat_tables(map(predict_one, read_all(clips, extractor)))


def list_all(clips: Iterator, extractor: SERFeatureExtractor) -> list[list[tuple[dict, dict | None]]]:
    """The chunks, to be handed to the process that runs the network."""
    return list(read_all(clips, extractor))


def as_is(value: Any) -> Any:
    """What a worker made."""
    return value


def workers_for(clips: int) -> int:
    """How many processes share so many clips: as many as there are cores, none for few clips or a single core."""
    workers = cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of torchrun
    return workers if clips >= MANY and workers > 1 else 0


def predicted_tables(
    clips: Clips, model: PreTrainedModel, extractor: SERFeatureExtractor, done: int
) -> Iterator[pa.Table]:
    """The rows of this process's share without the first `done`, in their order.

    Workers read many clips at a time. Without a GPU they also run the network, each on one core, which keeps all cores
    busy: of batches this small, several threads gain little.
    """
    state = PartialState()
    if isinstance(clips, datasets.Dataset):
        numbers = share_of(clips, state.process_index, state.num_processes)[done:]
    else:
        numbers = range(0)  # a stream is read in one process
    on_cpu = model.device.type == "cpu"
    reduced = len(numbers) >= MANY and on_cpu and isinstance(model, CNNForAudioClassification) and has_bfloat16()
    predict_one = partial(predict_chunk, model=model, extractor=extractor, reduced=reduced)
    if not (workers := workers_for(len(numbers))):
        remaining, _ = share(clips, state.process_index, state.num_processes, done=done)
        yield from map(predict_one, read_all(remaining, extractor))
        return
    work = partial(predict_all, predict_one=predict_one) if on_cpu else list_all
    size = min(SLICE, -(-len(numbers) // (4 * workers)))
    slices = Slices(clips, numbers, size, partial(work, extractor=extractor))
    loader = torch.utils.data.DataLoader(slices, batch_size=None, num_workers=workers, collate_fn=as_is)
    for made in unless_killed(iter(loader)):
        if isinstance(made, OSError):
            raise made
        yield made if on_cpu else pa.concat_tables(map(predict_one, made))


def unless_killed(made: Iterator) -> Iterator:
    """What the workers make; raises `OSError` when one of them was killed, as for want of memory."""
    try:
        yield from made
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise OSError("a worker process was killed, perhaps because memory ran out") from error


def gathered(tables: Iterator[pa.Table], progress: Callable[[int], Any]) -> Iterator[pa.Table]:
    """Tables joined to some of about `CHUNK_CLIPS` rows or `CHUNK_SECONDS`, so that few parts are written."""
    rows, seconds, joined = 0, 0.0, []
    for table in tables:
        joined.append(table)
        rows, seconds = rows + len(table), seconds + (pc.sum(table["duration"]).as_py() or 0.0)
        progress(len(table))
        if rows >= CHUNK_CLIPS or seconds > CHUNK_SECONDS:
            yield pa.concat_tables(joined)
            rows, seconds, joined = 0, 0.0, []
    if joined:
        yield pa.concat_tables(joined)


def predict(clips: Clips, model: PreTrainedModel, extractor: SERFeatureExtractor, parts: Path) -> None:
    """Write the parts of this process that are not there yet."""
    state = PartialState()
    done = rows_done(parts, state.process_index)
    _, total = share(clips, state.process_index, state.num_processes)
    with tqdm(desc="Predicting", unit="clip", total=total, initial=done, disable=not state.is_main_process) as bar:
        for table in gathered(predicted_tables(clips, model, extractor, done), bar.update):
            write_part(parts, state.process_index, table)


def describe_job(options: argparse.Namespace, clips: Clips, model: PreTrainedModel) -> dict:
    """What decides the rows of each part: parts of different jobs must not be merged."""
    files = [*Path(options.model).glob("*.safetensors"), *Path(options.model).glob("config.json")]
    weights = sorted((path.name, path.stat().st_mtime_ns) for path in files)
    return vars(options) | {
        "folder": os.getcwd(),
        "clips": getattr(clips, "_fingerprint", None),
        "weights": getattr(model.config, "_commit_hash", None) or str(weights),
        "processes": PartialState().num_processes,
    }


def run(options: argparse.Namespace) -> None:
    """Check everything, predict this process's share, put all shares together."""
    output = Path(options.output)
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)
    check_output(output)
    clips = open_clips(options)
    model, extractor = load_trained(options.model, options.revision)
    check_labels(labels := labels_of(model))
    parts = open_parts(output, describe_job(options, clips, model))
    try:
        predict(clips, model.to(state.device), extractor, parts)
        state.wait_for_everyone()
        if state.is_main_process:
            print(put_together(parts, output, labels, certain_threshold(model), options.center_by))
    except OSError as error:
        remedy = "make room, and " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OSError(f"{error}; what is done is kept: {remedy}run the same command again") from error
    state.destroy_process_group()


__all__ = ["STOPPED", "add_arguments", "batches", "describe_job", "predict", "predict_chunk", "read_chunk", "run"]
