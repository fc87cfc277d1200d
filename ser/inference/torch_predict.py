"""Classify clips with torch: in batches, and in bfloat16 if that is faster."""

import argparse
from functools import partial
from typing import Any

import pyarrow as pa
import torch
from transformers import PreTrainedModel

from ser.inference.loading import labels_of
from ser.inference.many_clips import Chunk
from ser.inference.many_clips import Job
from ser.inference.many_clips import batches
from ser.inference.many_clips import read_clip
from ser.inference.prediction_table import check_labels
from ser.inference.prediction_table import part_schema
from ser.inference.prediction_table import predicted
from ser.inference.prediction_table import put_together
from ser.inference.prediction_table import voices_of
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.modeling_ser import CNNForAudioClassification

MULTIPLE = 16  # frames: with few batch sizes, memory freed by one batch fits the next


def certain_threshold(model: PreTrainedModel) -> float | None:
    """Probability from which an answer is certain; None if the model has no such threshold."""
    return getattr(model.config, "certain_threshold", None)


@torch.inference_mode()
def predict_chunk(chunk: Chunk, model: Any, extractor: SERFeatureExtractor, *, exact: bool = False) -> pa.Table:
    """One row for each clip of a chunk, in its order.

    Args:
        chunk: The clips.
        model: A `PreTrainedModel`.
        extractor: Pads the features.
        exact: Whether to compute in float32 throughout.
    """
    labels, threshold = labels_of(model), certain_threshold(model)
    quick = isinstance(model, CNNForAudioClassification) and not exact
    padding = {"pad_to_multiple_of": MULTIPLE} if isinstance(extractor, SERFeatureExtractor) else {}
    clips = {index: (row, features) for index, (row, features) in enumerate(chunk) if features}
    for batch in batches({index: row["duration"] for index, (row, _) in clips.items()}):
        inputs = extractor.pad([clips[index][1] for index in batch], return_tensors="pt", **padding).to(model.device)
        logits = model.quick_logits(**inputs) if quick else model(**inputs).logits
        for index, answer in zip(batch, logits.float().softmax(1).tolist(), strict=True):
            clips[index][0].update(predicted(dict(zip(labels, answer, strict=True)), threshold))
    return pa.Table.from_pylist([row for row, _ in chunk], part_schema(labels))


def rows_of(clips: list[dict | None], job: Job) -> list[dict]:
    """The rows of a few undecoded clips."""
    chunk = [read_clip(clip, job.extractor) for clip in clips]
    return predict_chunk(chunk, job.model, job.extractor, exact=True).to_pylist()


def run(options: argparse.Namespace) -> None:
    """Classify all clips."""
    job = Job(options)
    check_labels(labels := labels_of(job.model))
    exact = bool(options.center_by or options.ordinary_voice)  # it is not known yet which relative calls are close
    settings = getattr(job.model.config, "ordinary_voice", None)
    voices = voices_of(options, partial(rows_of, job=job), labels, settings)
    how = {"threshold": certain_threshold(job.model), "center_by": options.center_by, "voices": voices}
    job.write(partial(predict_chunk, exact=exact), partial(put_together, labels=labels, **how))


__all__ = ["predict_chunk", "run"]
