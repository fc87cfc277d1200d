"""Rewrite everything that is made from results files and code: tables, bundled model cards, bundled model code.

python -m ser results    # or: make results
"""

import argparse
import csv
import logging
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ser.experiments.aggregate import FOLDS
from ser.experiments.aggregate import Predictions
from ser.experiments.findings import benchmark_figures
from ser.experiments.findings import copies_figures
from ser.experiments.findings import folds_figures
from ser.experiments.findings import noise_floor_figures
from ser.experiments.findings import page_figures
from ser.experiments.findings import paired_differences
from ser.experiments.findings import sentences_figures
from ser.experiments.findings import together_figures
from ser.experiments.model_tables import ROBUSTNESS_LEGEND
from ser.experiments.model_tables import SHOWN
from ser.experiments.model_tables import bundled_table
from ser.experiments.model_tables import corpora_table
from ser.experiments.model_tables import robustness_table
from ser.experiments.tables import PROTOCOL_LEGEND
from ser.experiments.tables import RECIPE_LEGEND
from ser.experiments.tables import protocol_table
from ser.experiments.tables import recipe_table
from ser.experiments.tables import refit_table
from ser.experiments.tables import variant_table
from ser.files import PROJECT
from ser.files import read_json
from ser.files import write_text
from ser.recipes.flagship_distilled import RECIPE
from ser.reporting.model_card import card_of
from ser.reporting.plots import plot_side_by_side
from ser.reporting.report_file import MEASURED
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import measured
from ser.reporting.run_report import draw
from ser.reporting.run_report import save

logger = logging.getLogger(__name__)

STOPPED = "the same command writes them all"
COMPARED = ("features", "training", "inference", "one_core")  # benchmarks beside what else one would run
BESIDE_BUNDLED = {
    "its teachers together": [f"{Path(teacher).name}/tfds/seed-0" for teacher in RECIPE.training["teachers"]],
    "the run before `--refit`": ["flagship-distilled/tfds/seed-0"],
    "`labels-alone`": ["flagship-distilled/tfds/labels-alone-seed-0"],
}
PLAIN = "cnn2d/actor-5fold/fold-{}-seed-0"
REFIT = "flagship-distilled/actor-5fold/fold-{}-labels-alone-refit-seed-0"
TOGETHER = {  # with the plain one
    "`flagship-distilled, labels-alone`": ["flagship-distilled/actor-5fold/fold-{}-labels-alone-seed-0"],
    "`flagship-distilled, labels-alone, refit`": [REFIT],
    "both that and `cnn1d`": [REFIT, "cnn1d/actor-5fold/fold-{}-seed-0"],
}
SIDE_BY_SIDE = ("zcr-energy-1d", "mel-2d")
RESULTS = """# Results

Written by `make results` from the `results.json` files. `python -m ser reproduce` trains what is missing.

## One row for each recipe

{recipes}
## One row for each recipe and protocol

{protocols}
## Where the leaky figures come from

Accuracy, 95 % interval over the actors:

{copies}
## Variants

{variants}
## With the dev part, too

{refits}
## The bundled models in noise, rooms and lines

{conditions}
## Training curves of the 1D and the 2D network of one class project

![Accuracy by epoch on the training and the dev part, 1D network left, 2D network right](curves-1d-2d.png)
"""


def run_folders(results: Path) -> list[Path]:
    """The folders of the reports below `results`; names that begin with a dot are of folders that are being written."""
    return sorted(path.parent for path in results.glob(f"[!.]*/[!.]*/[!.]*/{REPORT}"))


def read_results(folder: Path) -> list[dict]:
    """The content of every `results.json` of a run below `folder`, with what was measured elsewhere of its model.

    Teachers trained without a fifth of the speakers are left out: they know less than their recipe does.
    Folds of several actors bring their predictions, so that actors can be drawn again, and not folds.
    """
    results = []
    for path in run_folders(folder):
        run = read_json(path / REPORT)
        if run.get("held_out"):
            continue
        run |= {what: measured(path, what) for what in MEASURED}
        if run["fold"] and run["interval_over"] == "actors":
            run["predictions"] = read_predictions(path)
        results.append(run)
    return results


def bundled_models(root: Path) -> list[Path]:
    """The folders of the bundled models, in the order of their names."""
    return sorted(path.parent for path in (root / "checkpoints").glob(f"[!.]*/{REPORT}"))


def bundled_run(folder: Path) -> str:
    """The folder below `results/` that holds the report of a bundled model."""
    report = read_json(folder / REPORT)
    return f"{report['recipe']}/{report['protocol']}/{'refit-' if report.get('refit') else ''}seed-{report['seed']}"


def read_measured(folder: Path, what: str) -> dict[str, dict[str, dict]]:
    """What was measured of each model below `folder` (see `measured`), by the model's name; those without left out."""
    models = {path.name: measured(path, what) for path in sorted(folder.glob("[!.]*"))}
    return {name: figures for name, figures in models.items() if figures}


def read_predictions(*runs: Path) -> Predictions:
    """What a run's model made of its test part, or several with the same one by the mean of their probabilities.

    Raises:
        ValueError: They have other test parts.
    """
    answers = []
    for run in runs:
        with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
            (_, _, *names), *rows = csv.reader(file)
        answers.append(([row[:2] for row in rows], np.array([row[2:] for row in rows], dtype=float)))
    clips, probabilities = zip(*answers, strict=True)
    if any(each != clips[0] for each in clips):
        raise ValueError(f"expected runs with the same test part, in one order; got {', '.join(map(str, runs))}")
    labels = np.array([names.index(label) for _, label in clips[0]])
    return Predictions([clip for clip, _ in clips[0]], labels, np.sum(probabilities, axis=0).argmax(1))


def read_folds(root: Path, *runs: str) -> Predictions:
    """As `read_predictions`, the five folds put together; of folders below `results/`, with `{}` for the fold."""
    numbers = range(1, FOLDS["CREMA-D", "actor-5fold"] + 1)
    folds = [read_predictions(*(root / "results" / run.format(number) for run in runs)) for number in numbers]
    clips, labels, guesses = map(np.concatenate, zip(*folds, strict=True))
    return Predictions(clips.tolist(), labels, guesses)


def read_hits(root: Path) -> tuple[dict[str, np.ndarray], Sequence[str]]:
    """Who was right, and the clips of the test part: bundled models, the default one's teachers, it without them."""
    runs = {f"`{folder.name}`": [bundled_run(folder)] for folder in bundled_models(root)}
    hits: dict[str, np.ndarray] = {}
    clips: Sequence[str] = []
    for name, several in (runs | BESIDE_BUNDLED).items():
        predictions = read_predictions(*(root / "results" / run for run in several))
        clips, hits[name] = predictions.clips, predictions.hits
    return hits, clips


def read_refits(folder: Path) -> Iterator[tuple[dict, Predictions, Predictions]]:
    """The report of each run below `folder` with `--refit`, and what the run before it and it made of the test part.

    Raises:
        ValueError: They have other test parts.
    """
    for after in run_folders(folder):
        before = after.with_name(after.name.replace("refit-", "", 1))
        if before == after or not (before / "predictions.csv").exists():
            continue
        predictions = [read_predictions(run) for run in (before, after)]
        if predictions[0].clips != predictions[1].clips:
            raise ValueError(f"expected the same test part in {before} and {after}")
        yield read_json(after / REPORT), *predictions


def replace_block(text: str, name: str, block: str) -> str:
    """`text` with what stands between the two markers of a block replaced.

    Raises:
        ValueError: The markers are not there.
    """
    begin, end = f"<!-- {name}: written by make results -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"expected one {begin!r} and one {end!r}; put them back")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{block}{end}{rest.split(end)[1]}"


def regenerate(root: Path) -> dict[Path, str]:
    """Every text that is made from results, by path."""
    results, readme = read_results(root / "results"), root / "README.md"
    sturdy, abroad = (read_measured(root / "checkpoints", what) for what in ("conditions", "corpora"))
    recipes, protocols = recipe_table(results) + RECIPE_LEGEND, protocol_table(results) + PROTOCOL_LEGEND
    copies = copies_figures(
        {run.parts[-3]: read_predictions(run) for run in sorted((root / "results").glob("[!.]*/leaky/[!.]*"))}
    )

    def figures(*names: str) -> list[dict]:
        return [read_json(root / f"results/{name}.json") for name in names]

    reports = {folder.name: read_json(folder / REPORT) for folder in bundled_models(root)}
    blocks: dict[str, Callable[[], str]] = {
        "bundled": lambda: bundled_table(reports, sturdy, abroad),
        "results": lambda: recipes,
        "pairs": lambda: paired_differences(*read_hits(root)),
        "folds": lambda: folds_figures(results, "actor-5fold"),
        "together": lambda: together_figures(
            read_folds(root, PLAIN), {name: read_folds(root, PLAIN, *runs) for name, runs in TOGETHER.items()}
        ),
        "sentences": lambda: sentences_figures(results),
        "emodb": lambda: folds_figures(results, "loso"),
        "copies": lambda: copies,
        "elsewhere": lambda: robustness_table(sturdy, SHOWN),
        "noise": lambda: noise_floor_figures(*figures("noise_floor")),
        "abroad": lambda: corpora_table(abroad),
        "page": lambda: page_figures(*figures("benchmarks/page", "benchmarks/load")),
        "benchmarks": lambda: benchmark_figures(*figures(*(f"benchmarks/{name}" for name in COMPARED))),
    }
    readme_text = readme.read_text(encoding="utf-8")
    for name, block in blocks.items():
        try:
            readme_text = replace_block(readme_text, name, block())
        except FileNotFoundError as error:
            logger.warning("%s keeps the block %r as it is: %s is missing", readme.name, name, error.filename)
    text = RESULTS.format(
        recipes=recipes,
        protocols=protocols,
        copies=copies,
        conditions=robustness_table(sturdy) + ROBUSTNESS_LEGEND,
        variants=variant_table(results),
        refits=refit_table(read_refits(root / "results")),
    )
    texts = {root / "results/README.md": text, readme: readme_text}
    for folder in bundled_models(root):
        texts[folder / "README.md"] = card_of(folder)
        for code in folder.glob("*_ser.py"):
            texts[code] = (root / "ser/models" / code.name).read_text(encoding="utf-8")
    return texts


def write_all() -> None:
    """Write them all, and the picture of two networks' curves; those of each run are left to `draw_missing`."""
    for path, text in regenerate(PROJECT).items():
        write_text(path, text)
    runs = [PROJECT / "results" / recipe / "tfds/seed-0" / REPORT for recipe in SIDE_BY_SIDE]
    if all(run.exists() for run in runs):
        results = {run.parts[-4]: read_json(run) for run in runs}
        plot_side_by_side(results).savefig(PROJECT / "results/curves-1d-2d.png", dpi=110)


def draw_missing(results: Path) -> None:
    """Draw the pictures of each run below `results` that has none: they are not in the repository."""
    for folder in tqdm(run_folders(results), desc="Drawing", unit="run"):
        if not (folder / "curves.png").exists():
            save(draw(read_json(folder / REPORT), str(folder.relative_to(results))), folder)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line; there are no options."""


def run(options: argparse.Namespace) -> None:
    """Write them all, and draw the pictures that are missing."""
    write_all()
    draw_missing(PROJECT / "results")


__all__ = ["STOPPED", "add_arguments", "read_measured", "read_results", "regenerate", "run", "write_all"]
