"""Classify many clips: files, folders, patterns or a dataset in, one table out.

python -m ser predict clips --output preds.parquet                      # all audio files below a folder
python -m ser predict "clips/*.wav" other.mp3 --model runs/my/model --output preds.csv
python -m ser predict --dataset user/name --split test --streaming --output preds.parquet
torchrun --nproc_per_node 2 -m ser predict clips --output preds.parquet
After an interruption, run the same command again: it continues where it stopped. A clip that cannot be read, or
is silent, becomes a row with the reason. Speech is not detected here, so noise gets an emotion, too (see
`ser.inference.timeline`).
"""

import argparse
import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from accelerate import PartialState
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ser.corpora.labelled_audio import saved_to_disk
from ser.corpora.unlabelled_audio import Clips
from ser.corpora.unlabelled_audio import find_clips
from ser.corpora.unlabelled_audio import open_dataset
from ser.corpora.unlabelled_audio import share
from ser.inference.loading import MODEL
from ser.inference.loading import labels_of
from ser.inference.loading import load_trained
from ser.inference.resumable_table import check_output
from ser.inference.resumable_table import merge_parts
from ser.inference.resumable_table import open_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part
from ser.inference.voice_activity import SILENCE
from ser.models.audio_ser import load_audio
from ser.models.feature_extraction_ser import SERFeatureExtractor

STOPPED = "what is done is kept: run the same command again to continue"
CHUNK_CLIPS, CHUNK_SECONDS = 512, 1800.0  # of one part of the table, which is held in memory
BATCH_SECONDS = 30.0  # of one batch, padding included; larger ones are slower on a CPU
LONGEST = 600.0  # seconds of one clip; the network takes 130 MB a minute
LONGEST_WAIT = timedelta(days=30)  # for the other processes


def read_clip(audio: dict | None, extractor: SERFeatureExtractor) -> tuple[dict, dict | None]:
    """Name and duration of a clip, and its features; or its name and the error, and None."""
    row = {"file": audio and audio["path"]}
    try:
        waveform = load_audio(audio, sampling_rate=extractor.sampling_rate)
        row["duration"] = duration = len(waveform) / extractor.sampling_rate
        if duration > LONGEST:
            raise ValueError(
                f"the clip lasts {duration:,.0f} s, longer than {LONGEST:.0f} s: cut it into utterances, or "
                "classify it window by window with ser.inference.timeline.analyse"
            )
        if np.abs(waveform).max() < SILENCE:
            raise ValueError("the clip is silent")
        features = extractor(waveform, sampling_rate=extractor.sampling_rate)
    except (ValueError, OSError) as error:
        return row | {"error": str(error)}, None
    return row, {name: values[0] for name, values in features.items()}


def read_chunk(audio: Iterator[dict | None], extractor: SERFeatureExtractor) -> list[tuple[dict, dict | None]]:
    """The next clips, up to `CHUNK_CLIPS` or just over `CHUNK_SECONDS`; an empty list at the end."""
    chunk, seconds = [], 0.0
    for clip in islice(audio, CHUNK_CLIPS):
        chunk.append(read_clip(clip, extractor))
        seconds += chunk[-1][0].get("duration", 0.0)
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


def table_schema(labels: list[str]) -> pa.Schema:
    """Columns of the table; durations are in seconds, and each label has a column with its probability.

    `certain` says whether the score reaches the model's `certain_threshold`; it is null where the model has none.
    """
    columns = {"file": pa.string(), "duration": pa.float32(), "label": pa.string(), "score": pa.float32()}
    columns |= {"certain": pa.bool_()}
    return pa.schema(columns | dict.fromkeys(labels, pa.float32()) | {"error": pa.string()})


@torch.inference_mode()
def predict_chunk(
    chunk: list[tuple[dict, dict | None]], model: PreTrainedModel, extractor: SERFeatureExtractor
) -> pa.Table:
    """One row for each clip that `read_chunk` gave, in its order."""
    labels, threshold = labels_of(model), getattr(model.config, "certain_threshold", None)  # of ours alone
    durations = {index: row["duration"] for index, (row, features) in enumerate(chunk) if features}
    for batch in batches(durations):
        clips = [features for index in batch if (features := chunk[index][1])]
        inputs = extractor.pad(clips, return_tensors="pt").to(model.device)
        probabilities = model(**inputs).logits.float().softmax(1)  # (batch, num_labels)
        for index, values in zip(batch, probabilities.tolist(), strict=True):
            scores = dict(zip(labels, values, strict=True))
            label = max(scores, key=scores.__getitem__)
            certain = None if threshold is None else scores[label] >= threshold
            chunk[index][0].update(scores | {"label": label, "score": scores[label], "certain": certain})
    return pa.Table.from_pylist([row for row, _ in chunk], table_schema(labels))


def predict(clips: Clips, model: PreTrainedModel, extractor: SERFeatureExtractor, parts: Path) -> None:
    """Write the parts of this process that are not there yet."""
    state = PartialState()
    done = rows_done(parts, state.process_index)
    audio, total = share(clips, state.process_index, state.num_processes, done=done)
    with tqdm(desc="Predicting", unit="clip", total=total, initial=done, disable=not state.is_main_process) as bar:
        while chunk := read_chunk(audio, extractor):
            write_part(parts, state.process_index, predict_chunk(chunk, model, extractor))
            bar.update(len(chunk))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="file, folder, pattern, or folder of save_to_disk")
    parser.add_argument("--dataset", help="in place of INPUT: id on the Hub, or folder that load_dataset reads")
    parser.add_argument("--dataset_config", help="configuration of the dataset; needed if it has several")
    parser.add_argument("--split", help="of the dataset; needed if it has several")
    parser.add_argument("--audio_column", default="audio", help="of the dataset (default: audio)")
    parser.add_argument("--streaming", action="store_true", help="read the dataset without downloading it whole first")
    parser.add_argument(
        "--model", default=str(MODEL), help="model folder or Hub id (default: checkpoints/flagship-distilled)"
    )
    parser.add_argument("--revision", help="commit, tag or branch of a model on the Hub")
    parser.add_argument("--output", required=True, help="new file: .parquet or .csv")


def open_clips(options: argparse.Namespace) -> Clips:
    """What the command line names; raises `ValueError` as `find_clips` and `open_dataset` do."""
    if not options.dataset and len(options.inputs) == 1 and saved_to_disk(options.inputs[0]):
        options.dataset = options.inputs.pop()
    if bool(options.inputs) == bool(options.dataset):
        raise ValueError("expected either INPUT or --dataset")
    if not options.dataset:
        return find_clips(options.inputs)
    names = ("split", "streaming", "audio_column")
    return open_dataset(
        options.dataset, config=options.dataset_config, **{name: getattr(options, name) for name in names}
    )


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
    parts = open_parts(output, describe_job(options, clips, model))
    try:
        predict(clips, model.to(state.device), extractor, parts)
        state.wait_for_everyone()
        if state.is_main_process:
            rows, errors = merge_parts(parts, output, table_schema(labels_of(model)))
            print(f"{rows:,} clips, {errors:,} with errors: {output}")
    except OSError as error:
        remedy = "make room, and " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OSError(f"{error}; what is done is kept: {remedy}run the same command again") from error
    state.destroy_process_group()


__all__ = ["STOPPED", "add_arguments", "predict", "predict_chunk", "read_chunk", "run", "table_schema"]
