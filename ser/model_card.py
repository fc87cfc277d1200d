"""The model card: the template `model_card.md` filled with the figures of one run."""

from pathlib import Path

from huggingface_hub import EvalResult
from huggingface_hub import ModelCard
from huggingface_hub import ModelCardData

TEMPLATE = Path(__file__).parent.parent / "model_card.md"
PROTOCOLS = {
    "tfds": "19 actors whom the model never heard, neither in training nor in selection (TensorFlow Datasets' split)",
    "actor-5fold": "a block of actors whom the model never heard, neither in training nor in selection",
    "random": "clips drawn at random, of the same actors as the training part: not a figure for unseen speakers",
}


def render_card(results: dict) -> str:
    """The card of a model, as the text of its README.md.

    Args:
        results: The content of the run's `results.json`.
    """
    name = f"ser-{results['recipe']}"
    metrics = {"accuracy": "Accuracy", "uar": "Unweighted average recall", "macro_f1": "Macro F1"}
    data = ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", "audio", "ser"],
        metrics=["accuracy", "recall", "f1"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="audio-classification",
                task_name="Speech emotion recognition",
                dataset_type="crema-d",
                dataset_name=f"CREMA-D, {results['protocol']} protocol",
                dataset_split="test",
                metric_type=metric,
                metric_name=title,
                metric_value=round(results[metric], 4),
            )
            for metric, title in metrics.items()
        ],
    )
    card = ModelCard.from_template(
        data, template_path=str(TEMPLATE), name=name, protocol=PROTOCOLS[results["protocol"]], results=results
    )
    return str(card)


__all__ = ["render_card"]
