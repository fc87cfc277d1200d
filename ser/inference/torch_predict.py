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
from ser.models.folding_ser import has_bfloat16
from ser.models.modeling_ser import CNNForAudioClassification

MULTIPLE = 16  # frames: with few batch sizes, memory freed by one batch fits the next
CLOSE = 0.01  # probability; bfloat16 changes it by less than half of this


def certain_threshold(model: PreTrainedModel) -> float | None:
    """Probability from which an answer is certain; None if the model has no such threshold."""
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
    """Whether rounding could change the label, or whether the answer is certain."""
    *_, second, first = sorted(probabilities)
    return first - second < CLOSE or abs(first - (threshold or 0.0)) < CLOSE


@torch.inference_mode()
def predict_chunk(
    chunk: Chunk,
    model: Any,
    extractor: SERFeatureExtractor,
    *,
    reduced: bool = False,
) -> pa.Table:
    """One row for each clip of a chunk, in its order.

    Args:
        chunk: The clips.
        model: A `PreTrainedModel`; one of ours if `reduced`.
        extractor: Pads the features.
        reduced: Whether convolutions compute in bfloat16; close calls are then computed again in float32.
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


def rows_of(clips: list[dict | None], job: Job) -> list[dict]:
    """The rows of a few undecoded clips."""
    return predict_chunk([read_clip(clip, job.extractor) for clip in clips], job.model, job.extractor).to_pylist()


def run(options: argparse.Namespace) -> None:
    """Classify all clips."""
    job = Job(options)
    check_labels(labels := labels_of(job.model))
    ours = isinstance(job.model, CNNForAudioClassification) and job.model.device.type == "cpu"
    relative = options.center_by or options.ordinary_voice  # then it is not known yet which calls are close
    reduced = job.many and ours and has_bfloat16() and not relative
    settings = getattr(job.model.config, "ordinary_voice", None)
    voices = voices_of(options, partial(rows_of, job=job), labels, settings)
    how = {"threshold": certain_threshold(job.model), "center_by": options.center_by, "voices": voices}
    job.write(partial(predict_chunk, reduced=reduced), partial(put_together, labels=labels, **how))


__all__ = ["predict_chunk", "run"]
