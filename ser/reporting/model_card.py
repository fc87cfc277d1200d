"""The model card: the template `model_card.md` filled with the report of one run."""

import json
import re
from pathlib import Path
from typing import Any
from typing import Literal
from typing import cast

from huggingface_hub import EvalResult
from huggingface_hub import ModelCard
from huggingface_hub import ModelCardData

from ser.corpora import with_title
from ser.corpora.folder_corpus import Corpus
from ser.corpora.splits import ACROSS_CORPORA
from ser.files import write_text
from ser.plural import counted
from ser.plural import listed
from ser.recipes import load_recipe
from ser.reporting.provenance import bundled_with
from ser.reporting.provenance import training_splits
from ser.reporting.report_file import MEASURED
from ser.reporting.report_file import Report
from ser.reporting.report_file import load_report
from ser.reporting.report_file import measured
from ser.reporting.strangers_table import for_card

TEMPLATE = Path(__file__).with_name("model_card.md")
UNSEEN = "who are in neither the training nor the dev split"
PROTOCOLS = {
    "tfds": f"{{actors}} {UNSEEN} (TensorFlow Datasets' split, which lacks one clip of the corpus)",
    "actor-5fold": f"a block of actors {UNSEEN}",
    "new-sentences": f"{{actors}} {UNSEEN}, with sentences that are in neither",
    "loso": "one speaker who is in neither the training nor the dev split",
    "given": "the test split that the data brings, {speakers}",
    "speakers": f"speakers {UNSEEN}",
    "per-corpus": f"speakers of each corpus {UNSEEN}",
    "leave-one-corpus-out": "all clips of {tested}, a corpus that was not trained on",
    "leaky": "copies of training clips, and the epoch was chosen on it",
    "random": "clips drawn at random, of the same speakers as the training split: not a score for unseen speakers",
}
UNKNOWN_SPEAKERS = "clips drawn at random, some of unknown speakers: not a score for unseen speakers"
BASE_MODEL_UNKNOWN = "; the training data of the model that was fine-tuned is unknown and may include these clips"
TAGS = ["speech-emotion-recognition", "audio", "ser"]
METRICS: dict[Literal["accuracy", "uar", "macro_f1"], str] = {
    "accuracy": "Accuracy",
    "uar": "Unweighted average recall",
    "macro_f1": "Macro F1",
}


def card_of(folder: Path) -> str:
    """The card of a model folder, from its report and the scores measured later."""
    return render_card(
        load_report(folder), **{what: measured(folder, what) for what in ("conditions", "corpora", "strangers")}
    )


def speakers_of_given(leakage: dict[str, dict[str, int | None]]) -> str:
    """Describes the speakers of a test split that the data brings."""
    shared = [counts.get("speakers") for pair, counts in leakage.items() if pair.endswith("and test")]
    known = [count for count in shared if count is not None]
    if not known:
        return "of unknown speakers: not a score for unseen speakers"
    if any(known):
        return f"{max(known)} of whose speakers are in another split: not a score for unseen speakers"
    return f"of speakers {UNSEEN}"


def record(folder: Path, what: str, scores: dict[str, dict]) -> Path:
    """Write scores of a model (see `measured`) into its folder and rewrite its card; returns the file of the scores."""
    path = folder / MEASURED[what]
    write_text(path, json.dumps({what: scores}, indent=1) + "\n")
    write_text(folder / "README.md", card_of(folder))
    return path


def render_card(
    results: Report,
    conditions: dict[str, dict] | None = None,
    corpora: dict[str, dict] | None = None,
    strangers: dict | None = None,
) -> str:
    """The card of a model, as the text of its README.md.

    Args:
        results: The report of the run.
        conditions: Robustness scores by condition, if any.
        corpora: Cross-corpus scores by corpus, if any.
        strangers: Calibration for strangers' voices, if any.
    """
    name, corpus_name = f"ser-{results['recipe']}", results["corpus"]
    tested = results.get("test_corpus") or corpus_name
    sources = sources_of(results)
    corpus = in_common(sources)
    protocol = PROTOCOLS[results["protocol"].removesuffix("-70-30")].format(
        actors=counted(results["test_actors"] or 0, "actor"),
        tested=in_markdown(tested),
        speakers=speakers_of_given(results["leakage"]),
    )
    if results["protocol"] in ("speakers", "loso") and results["test_actors"] is None:
        protocol = UNKNOWN_SPEAKERS
    if training_splits(results) is None:
        protocol += BASE_MODEL_UNKNOWN
    intervals = {metric: {"interval_95": interval} for metric, interval in results["interval_95"].items()}
    data = ModelCardData(
        language=corpus.language,
        license=results["license"],
        base_model=results["base_model"],
        datasets=[results["dataset_name"]] if results["dataset_name"] else None,
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=TAGS,
        metrics=["accuracy", "recall", "f1"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="audio-classification",
                task_name="Speech emotion recognition",
                dataset_type=tested.lower(),
                dataset_name=f"{tested}, {results['protocol']} protocol",
                dataset_split="test",
                metric_type=metric,
                metric_name=title,
                metric_value=round(results[metric], 4),
                metric_args=intervals.get(metric),
            )
            for metric, title in METRICS.items()
        ],
    )
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        listed=listed,
        name=name,
        corpus_name=in_markdown(corpus_name),
        corpus=corpus,
        sources=sources,
        protocol=protocol,
        conditions=conditions,
        corpora=in_markdown(corpora or {}),
        strangers=for_card(strangers) if strangers else {},
        chosen_on_dev=not results["refit"] or results.get("temperature") != 1.0,  # which no fit gives
        chosen_with=load_recipe(results["recipe"]).chosen_with,
        start=bundled_with(weights) if (weights := results.get("weights_before")) else None,
        results=in_markdown(results) | {"command": results["command"]},
    )
    return str(card)


def sources_of(results: Report) -> dict[str, Corpus]:
    """The card texts of the corpora that a run was trained on, by title."""
    several = results["protocol"] in ACROSS_CORPORA
    titles = cast(list, results["contains"]) if several else [results["corpus"]]
    return {
        in_markdown(title): known.CARD
        if (known := with_title(title))
        else Corpus(speech=f"the speech of {in_markdown(title)}")
        for title in titles
    }


def in_common(sources: dict[str, Corpus]) -> Corpus:
    """The card text of one or several corpora together."""
    cards = list(sources.values())
    if len(cards) == 1:
        return cards[0]
    first_lines = {title: card.limits.partition("\n")[0] for title, card in sources.items()}
    return Corpus(
        speech=listed(card.speech for card in cards),
        details="\n".join(f"{title}: {card.details}" for title, card in sources.items()),
        limits="\n".join([*(f"{title}: {line}" for title, line in first_lines.items()), Corpus.limits]),
        language=sorted({card.language for card in cards if isinstance(card.language, str)}),
    )


def in_markdown(value: Any) -> Any:
    """Escape texts, also within lists and dicts, for a line or table cell of Markdown."""
    if isinstance(value, str):
        return re.sub(r"([\\`*<>|#\[\]])", r"\\\1", " ".join(value.split()))
    if isinstance(value, dict):
        return {in_markdown(key): in_markdown(each) for key, each in value.items()}
    return [in_markdown(each) for each in value] if isinstance(value, list) else value


def unfinished_card(name: str, history: list[dict], *, license: str | None = None) -> str:
    """The card of a model that is still training, with its accuracy on the dev split so far."""
    data = ModelCardData(library_name="transformers", pipeline_tag="audio-classification", tags=TAGS, license=license)
    dev = next((entry for entry in reversed(history) if "eval_uar" in entry), None)
    so_far = f"Accuracy on the dev split after epoch {dev['epoch']:.0f}: {dev['eval_accuracy']:.1%}. " if dev else ""
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {name}\n\n> **Training is not finished.** {so_far}"
        "The model has not been tested yet.\n"
    )


__all__ = ["card_of", "in_markdown", "record", "render_card", "unfinished_card"]
