"""The metrics of speech emotion recognition as one local `evaluate.Metric`, which needs no network.

`evaluate.load("ser/evaluation/metrics.py")` and `SpeechEmotionMetric()` give the same object.
"""

import datasets
import evaluate
from sklearn.metrics import accuracy_score
from sklearn.metrics import f1_score
from sklearn.metrics import recall_score


class SpeechEmotionMetric(evaluate.Metric):
    """Accuracy (weighted accuracy, WA), unweighted average recall (UAR), macro F1 and weighted F1.

    Example:
        >>> metric = SpeechEmotionMetric()
        >>> scores = metric.compute(predictions=[0, 1, 1], references=[0, 0, 1])
        >>> {name: round(value, 2) for name, value in scores.items()}
        {'accuracy': 0.67, 'uar': 0.75, 'macro_f1': 0.67, 'weighted_f1': 0.67}
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy, unweighted average recall, macro F1 and weighted F1.",
            citation="",
            inputs_description="predictions and references: class indices.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "uar": float(recall_score(references, predictions, labels=sorted(set(references)), average="macro")),
            "macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0)),
            "weighted_f1": float(f1_score(references, predictions, average="weighted", zero_division=0)),
        }


__all__ = ["SpeechEmotionMetric"]
