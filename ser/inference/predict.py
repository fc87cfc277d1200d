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
from functools import partial
from typing import Any

import pyarrow as pa
import torch
from transformers import PreTrainedModel

from ser.inference.loading import labels_of
from ser.inference.many_clips import Chunk
from ser.inference.many_clips import Job
from ser.inference.many_clips import batches
from ser.inference.prediction_table import STOPPED
from ser.inference.prediction_table import add_arguments
from ser.inference.prediction_table import check_labels
from ser.inference.prediction_table import part_schema
from ser.inference.prediction_table import predicted
from ser.inference.prediction_table import put_together
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.folding_ser import has_bfloat16
from ser.models.modeling_ser import CNNForAudioClassification

MULTIPLE = 16  # frames: as batches come in few sizes, memory that one leaves serves the next
CLOSE = 0.01  # probability; bfloat16 changes one by less than half of it


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
    chunk: Chunk,
    model: Any,
    extractor: SERFeatureExtractor,
    *,
    reduced: bool = False,
) -> pa.Table:
    """One row for each clip of a chunk, in its order.

    Args:
        chunk: The clips.
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


def run(options: argparse.Namespace) -> None:
    """Classify all clips."""
    job = Job(options)
    check_labels(labels := labels_of(job.model))
    on_cpu = job.model.device.type == "cpu"
    reduced = job.many and on_cpu and isinstance(job.model, CNNForAudioClassification) and has_bfloat16()
    threshold = certain_threshold(job.model)
    job.write(
        partial(predict_chunk, reduced=reduced),
        partial(put_together, labels=labels, threshold=threshold, center_by=options.center_by),
    )


__all__ = ["STOPPED", "add_arguments", "predict_chunk", "run"]
