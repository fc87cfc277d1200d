"""One side of `benchmarks.inference`: clips of 3 s on one core, by one of our models or by wav2vec2-base.

wav2vec2-base is the architecture of transformers with random weights: only its cost is compared.
"""

import sys
import time
from collections.abc import Callable
from itertools import cycle

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForAudioClassification
from transformers import Pipeline
from transformers import Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor
from transformers import pipeline

import ser
from benchmarks.machine import milliseconds
from benchmarks.turns import ROOT
from benchmarks.turns import hand_over
from ser.inference.onnx_predict import OnnxClassifier
from ser.models.folding_ser import has_bfloat16

RATE, SECONDS, BATCH = 16000, 3, 8
PEER = "wav2vec2-base"
SINGLES, MANY = {PEER: 4}, {PEER: 8}  # clips of a turn, one by one and in batches, if not these:
SINGLE, SEVERAL = 40, 80
MATRIX = 1024


def peer() -> Pipeline:
    """The large model."""
    torch.manual_seed(0)
    model = AutoModelForAudioClassification.from_config(Wav2Vec2Config(num_labels=6)).eval()
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
    return pipeline("audio-classification", model=model, feature_extractor=extractor, device="cpu")


def clips(count: int) -> list[np.ndarray]:
    """Windows of 3 s of speech, each of shape `(samples,)`."""
    speech = ser.load_audio(ROOT / "ser/examples/two-voices.ogg", sampling_rate=RATE)
    size = SECONDS * RATE
    starts = np.random.default_rng(0).integers(0, len(speech) - size, count)
    return [speech[start : start + size] for start in starts]


def macs(classifier: Pipeline, clip: np.ndarray) -> int:
    """Multiplications and additions, in pairs, of the network for one clip."""
    inputs = classifier.feature_extractor(clip, sampling_rate=RATE, return_tensors="pt")
    with FlopCounterMode(display=False) as counter:  # with gradients: blocks are not folded, and every product counts
        classifier.model(**inputs)
    return counter.get_total_flops() // 2


def gflops(dtype: torch.dtype) -> float:
    """What a product of large matrices reaches on this core, in 10^9 operations a second."""
    matrix = torch.randn(MATRIX, MATRIX, dtype=dtype)
    return 2 * MATRIX**3 / np.median(milliseconds(lambda: matrix @ matrix, 20)) / 1e6


def main() -> None:
    name, how = sys.argv[1:]
    waveforms = clips(MANY.get(name, SEVERAL))
    work: Callable[[], object]
    each, dtype = cycle(waveforms), torch.float32  # each in turn: close calls take longer
    if how == "onnx":
        classify = OnnxClassifier(str(ROOT / "checkpoints" / name))
        work = lambda: classify(next(each))  # noqa: E731
        hand_over()
    else:
        model = str(ROOT / "checkpoints" / name)
        classifier = peer() if name == PEER else pipeline("audio-classification", model=model, device="cpu")
        work = lambda: classifier(next(each))  # noqa: E731
        if getattr(classifier.model.config, "rank", 1) == 2 and has_bfloat16():
            dtype = torch.bfloat16  # as `quick_logits`
        hand_over(parameters=classifier.model.num_parameters(), macs=macs(classifier, waveforms[0]))
    while True:
        report = {"milliseconds": milliseconds(work, SINGLES.get(name, SINGLE)), "gflops": gflops(dtype)}
        if how != "onnx":
            start = time.perf_counter()
            classifier(waveforms, batch_size=BATCH)
            report["clips_per_second"] = len(waveforms) / (time.perf_counter() - start)
        hand_over(**report)


if __name__ == "__main__":
    main()
