"""Embed many clips: one vector a clip, for searches and classifiers of your own.

python -m ser embed clips --output embeddings.parquet                   # all audio files below a folder
python -m ser embed --dataset user/name --split test --output embeddings.parquet
A row has the file, its duration in seconds, and as its embedding what the network's pooling over time gives. Clips are
read as by `ser predict`: one that cannot be read, or is silent, becomes a row with the reason and no embedding. After
an interruption, run the same command again.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import torch
from tqdm.auto import tqdm

from ser.corpora.unlabelled_audio import Clips
from ser.corpora.unlabelled_audio import open_clips
from ser.corpora.unlabelled_audio import share
from ser.inference.loading import check_own
from ser.inference.loading import load_trained
from ser.inference.predict import batches
from ser.inference.predict import describe_job
from ser.inference.predict import read_chunk
from ser.inference.prediction_table import STOPPED
from ser.inference.prediction_table import add_inputs
from ser.inference.resumable_table import check_output
from ser.inference.resumable_table import merge_parts
from ser.inference.resumable_table import open_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.modeling_ser import CNNForAudioClassification
from ser.plural import counted

SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "duration": pa.float32(),
        "embedding": pa.list_(pa.float32()),
        "error": pa.string(),
    }
)


@torch.inference_mode()
def embed_chunk(
    chunk: list[tuple[dict, dict | None]], model: CNNForAudioClassification, extractor: SERFeatureExtractor
) -> pa.Table:
    """One row for each clip that `read_chunk` gave, in its order."""
    durations = {index: row["duration"] for index, (row, features) in enumerate(chunk) if features}
    for batch in batches(durations):
        clips = [features for index in batch if (features := chunk[index][1])]
        inputs = extractor.pad(clips, return_tensors="pt").to(model.device)
        embeddings = model.pooled(*model.feature_maps(**inputs)).float().cpu().numpy()  # (batch, size)
        for index, embedding in zip(batch, embeddings, strict=True):
            chunk[index][0]["embedding"] = embedding
    return pa.Table.from_pylist([row for row, _ in chunk], SCHEMA)


def embed(clips: Clips, model: CNNForAudioClassification, extractor: SERFeatureExtractor, parts: Path) -> None:
    """Write the parts that are not there yet."""
    done = rows_done(parts, 0)
    remaining, total = share(clips, 0, 1, done=done)
    with tqdm(desc="Embedding", unit="clip", total=total, initial=done) as bar:
        while chunk := read_chunk(remaining, extractor):
            write_part(parts, 0, embed_chunk(chunk, model, extractor))
            bar.update(len(chunk))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_inputs(parser)
    parser.add_argument("--output", required=True, help="new file: .parquet")
    parser.set_defaults(center_by=None)


def run(options: argparse.Namespace) -> None:
    """Check everything, embed, put all parts together."""
    output = Path(options.output)
    if output.suffix != ".parquet":
        raise ValueError(f"expected --output to end in .parquet, which holds vectors; got {options.output!r}")
    check_output(output)
    clips = open_clips(options)
    model, extractor = load_trained(options.model, options.revision)
    check_own(model, extractor, options.model)
    parts = open_parts(output, {"command": "embed"} | describe_job(options, clips, model))
    embed(clips, model.to("cuda" if torch.cuda.is_available() else "cpu"), extractor, parts)
    rows, errors = merge_parts(parts, output, SCHEMA)
    print(f"{counted(rows, 'clip')}, {errors:,} with errors: {output}")


__all__ = ["STOPPED", "add_arguments", "embed_chunk", "run"]
