"""Embed many clips: one vector per clip, for search and classifiers of your own.

python -m ser embed clips --output embeddings.parquet                   # all audio files below a folder
python -m ser embed --dataset user/name --split test --output embeddings.parquet
Each row has the file, its duration in seconds, and its embedding: the network's features, pooled over time. A clip that
cannot be read, or is silent, becomes a row with the reason and no embedding. After an interruption, run the same
command again: it continues where it stopped.
"""

import argparse
from functools import partial
from pathlib import Path

import pyarrow as pa
import torch

from ser.inference.loading import check_own
from ser.inference.many_clips import Chunk
from ser.inference.many_clips import Job
from ser.inference.many_clips import batches
from ser.inference.prediction_table import STOPPED
from ser.inference.prediction_table import add_inputs
from ser.inference.resumable_table import merge_parts
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.modeling_ser import CNNForAudioClassification

SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "duration": pa.float32(),
        "embedding": pa.list_(pa.float32()),
        "error": pa.string(),
    }
)


@torch.inference_mode()
def embed_chunk(chunk: Chunk, model: CNNForAudioClassification, extractor: SERFeatureExtractor) -> pa.Table:
    """One row for each clip of a chunk, in its order."""
    durations = {index: row["duration"] for index, (row, features) in enumerate(chunk) if features}
    for batch in batches(durations):
        clips = [features for index in batch if (features := chunk[index][1])]
        inputs = extractor.pad(clips, return_tensors="pt").to(model.device)
        embeddings = model.pooled(*model.feature_maps(**inputs)).float().cpu().numpy()  # (batch, size)
        for index, embedding in zip(batch, embeddings, strict=True):
            chunk[index][0]["embedding"] = embedding
    return pa.Table.from_pylist([row for row, _ in chunk], SCHEMA)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_inputs(parser)
    parser.add_argument("--output", required=True, help="table to write, a new file: .parquet")
    parser.set_defaults(center_by=None, command="embed")  # tells its parts from those of `ser predict`


def run(options: argparse.Namespace) -> None:
    """Embed all clips."""
    if Path(options.output).suffix != ".parquet":
        raise ValueError(f"expected --output to end in .parquet, which holds vectors; got {options.output!r}")
    job = Job(options)
    check_own(job.model, job.extractor, options.model)
    job.write(embed_chunk, partial(merge_parts, schema=SCHEMA))


__all__ = ["STOPPED", "add_arguments", "embed_chunk", "run"]
