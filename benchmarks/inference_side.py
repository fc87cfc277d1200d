"""One side of `benchmarks.inference`: a classifier of clips of 3 s, through `pipeline` or its network alone.

The others are the architectures of transformers with random weights: what they cost is compared, not what they know.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import ASTConfig
from transformers import ASTFeatureExtractor
from transformers import AutoModelForAudioClassification
from transformers import HubertConfig
from transformers import Pipeline
from transformers import Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor
from transformers import pipeline

import ser
from benchmarks.machine import milliseconds
from benchmarks.turns import ROOT
from benchmarks.turns import hand_over

RATE, SECONDS, BATCH = 16000, 3, 8
# Single clips, and clips in batches, of each turn.
COUNTS = {"cnn1d": (40, 200), "cnn2d": (40, 200), "wav2vec2-base": (6, 16), "hubert-large": (2, 8), "ast": (2, 4)}
HUBERT_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "do_stable_layer_norm": True,
}
CONFIGS = {
    "wav2vec2-base": lambda: Wav2Vec2Config(num_labels=6),
    "hubert-large": lambda: HubertConfig(num_labels=6, **HUBERT_LARGE),
    "ast": lambda: ASTConfig(num_labels=6),
}


def build(name: str) -> Pipeline:
    """A trained model of ours, or another architecture."""
    if name not in CONFIGS:
        return pipeline("audio-classification", model=str(ROOT / "checkpoints" / name), device="cpu")
    torch.manual_seed(0)
    model = AutoModelForAudioClassification.from_config(CONFIGS[name]()).eval()
    extractor = ASTFeatureExtractor() if name == "ast" else Wav2Vec2FeatureExtractor(return_attention_mask=False)
    return pipeline("audio-classification", model=model, feature_extractor=extractor, device="cpu")


def clips(count: int) -> list[np.ndarray]:
    """Windows of 3 s of speech, each of shape `(samples,)`."""
    speech = ser.load_audio(ROOT / "ser/examples/two-voices.ogg", sampling_rate=RATE)
    size = SECONDS * RATE
    starts = np.random.default_rng(0).integers(0, len(speech) - size, count)
    return [speech[start : start + size] for start in starts]


def onnx_network(classifier: Pipeline, clip: np.ndarray) -> Callable[[], np.ndarray]:
    """The network alone in onnxruntime, on one clip; checked against torch first."""
    inputs = dict(classifier.feature_extractor(clip, sampling_rate=RATE, return_tensors="pt"))
    model = classifier.model

    class Logits(torch.nn.Module):
        def forward(self, *tensors):
            return model(**dict(zip(inputs, tensors, strict=True))).logits

    folder = Path(sys.argv[3])
    program = torch.onnx.export(Logits().eval(), tuple(inputs.values()), dynamo=True, verbose=False)
    program.save(folder / "network.onnx", external_data=True)
    session = onnxruntime.InferenceSession(folder / "network.onnx", providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    arrays = dict(zip(names, (tensor.numpy() for tensor in inputs.values()), strict=False))
    with torch.inference_mode():
        expected = model(**inputs).logits.numpy()
    np.testing.assert_allclose(session.run(None, arrays)[0], expected, atol=1e-3)
    return lambda: session.run(None, arrays)[0]


def main() -> None:
    name, how = sys.argv[1:3]
    singles, many = COUNTS[name]
    classifier, waveforms = build(name), clips(many)
    if how == "onnx":
        work = onnx_network(classifier, waveforms[0])
        many = 0
    else:
        work = lambda: classifier(waveforms[0])  # noqa: E731
    work()
    hand_over(parameters=classifier.model.num_parameters(), threads=torch.get_num_threads())
    while True:
        report = {"milliseconds": milliseconds(work, singles)}
        if many:
            start = time.perf_counter()
            classifier(waveforms, batch_size=BATCH)
            report["clips_per_second"] = many / (time.perf_counter() - start)
        hand_over(**report)


if __name__ == "__main__":
    main()
