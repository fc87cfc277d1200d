"""Saliency: class activation maps from gradients.

HiResCAM (Draelos and Carin 2020, arXiv:2011.08891): for each position of the last block's feature maps, activation
times gradient, summed over channels; negative values become zero. Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)
averages the gradient over positions, which does not suit attention pooling.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ser.models.pipeline_ser import SERPipeline


class Activation(NamedTuple):
    """How much each position of a clip supports a label.

    Attributes:
        image: Shape `(frames, bands)` within 0..1, with one band if the network has no frequency axis.
        begin: Time of its first frame in seconds.
        end: Time at which its last frame ends.
    """

    image: np.ndarray
    begin: float
    end: float


def class_activation(
    waveform: np.ndarray, classifier: SERPipeline, label: str, start: float = 0.0
) -> Activation | None:
    """How much each frame, and each band of a 2D network, supports a label.

    Args:
        waveform: Shape `(samples,)`, at the model's rate.
        classifier: A pipeline of one of our models.
        label: One of its labels.
        start: Time of the first sample in seconds.

    Returns:
        None if the model has no time axis, or if nothing in the clip supports the label.
    """
    model, extractor = classifier.model, classifier.feature_extractor
    if extractor.statistics is not None:
        return None
    inputs = extractor(waveform, sampling_rate=extractor.sampling_rate, return_tensors="pt").to(model.device)
    index = model.config.label2id[label]
    with torch.enable_grad():
        maps, lengths = model.feature_maps(**inputs)
        (gradient,) = torch.autograd.grad(model.classify(maps, lengths)[0, index], maps)
    activation = F.relu((maps * gradient).sum(1).detach())[0].cpu()  # (frames[, bands]) of the last block
    activation = activation.reshape(len(activation), -1)
    frames = min(inputs["input_features"].shape[1], model.config.input_length or 10**9)
    bands = 1 if activation.shape[1] == 1 else model.config.n_features
    activation = F.interpolate(activation[None, None], size=(frames, bands), mode="bilinear")[0, 0]
    activation = F.pad(activation, (0, 0, 0, inputs["input_features"].shape[1] - frames))
    if extractor.join:  # one feature after the other, each over the whole clip
        columns = len(extractor.features) - 1 + (extractor.n_mels if "log_mel" in extractor.features else 1)
        activation = activation.reshape(columns, -1).mean(0)[:, None]
    span = extractor.loud_span(waveform)
    activation = activation[: 1 + (span.stop - span.start) // extractor.hop_length]  # without padding
    if not activation.any():
        return None
    begin = start + span.start / extractor.sampling_rate
    end = begin + len(activation) * extractor.hop_length / extractor.sampling_rate
    return Activation((activation / activation.max()).numpy(), begin, end)


__all__ = ["Activation", "class_activation"]
