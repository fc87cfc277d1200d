"""Write what is generated from reports: docs/results.md, docs/projects.md, a table of the README, cards, pictures.

python -m ser results    # or: make results
The code files beside the bundled models are copied again as well. Pictures are drawn if they are missing or older than
their report.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from tqdm.auto import tqdm

from ser.experiments.model_tables import bundled_table
from ser.experiments.model_tables import centred_table
from ser.experiments.model_tables import corpora_table
from ser.experiments.model_tables import robustness_table
from ser.experiments.model_tables import strangers_summary
from ser.experiments.model_tables import strangers_table
from ser.experiments.model_tables import voice_table
from ser.experiments.noise_floor import FILE as NOISE_FLOOR
from ser.experiments.noise_floor import in_words
from ser.experiments.projects import deviations_table
from ser.experiments.projects import lower_list
from ser.experiments.projects import projects_table
from ser.experiments.runs import read_measured
from ser.experiments.runs import read_predictions
from ser.experiments.runs import read_refits
from ser.experiments.runs import read_runs
from ser.experiments.runs import run_folders
from ser.experiments.tables import leaky_table
from ser.experiments.tables import protocol_tables
from ser.experiments.tables import refit_table
from ser.experiments.tables import variant_table
from ser.files import PROJECT
from ser.files import check_clone
from ser.files import read_json
from ser.files import write_text
from ser.reporting.model_card import card_of
from ser.reporting.plots import plot_side_by_side
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import bundled_models
from ser.reporting.report_file import load_report
from ser.reporting.run_report import draw
from ser.reporting.run_report import save
from ser.reporting.strangers_table import CENTRED_LEGEND
from ser.reporting.strangers_table import LEGEND as STRANGERS_LEGEND
from ser.reporting.strangers_table import VOICE_LEGEND

STOPPED = "the same command writes them all"
TEMPLATE = PROJECT / "ser/experiments/results.md"
SIDE_BY_SIDE = ("zcr-energy-1d", "mel-2d")


def generated(root: Path) -> dict[Path, str]:
    """Every generated text, by its path."""
    readme = root / "README.md"
    texts = {root / "docs/results.md": results_page(root), root / "docs/projects.md": projects_page(root)}
    texts[readme] = replace_block(readme.read_text(encoding="utf-8"), "bundled", bundled_block(root))
    for folder in bundled_models(root):
        texts[folder / "README.md"] = card_of(folder)
        for code in (root / "ser/models").glob("*_ser.py"):
            texts[folder / code.name] = code.read_text(encoding="utf-8")
    return texts


def results_page(root: Path) -> str:
    """The text of docs/results.md."""
    results = root / "results"
    runs, strangers = read_runs(results), read_measured(root, "strangers")
    leaky = {folder.parts[-3]: read_predictions(folder) for folder in run_folders(results) if "leaky" in folder.parts}
    return TEMPLATE.read_text(encoding="utf-8").format(
        protocols=protocol_tables(runs),
        leaky=leaky_table(leaky),
        conditions=robustness_table(read_measured(root, "conditions")),
        corpora=corpora_table(read_measured(root, "corpora")),
        strangers=strangers_table(strangers),
        strangers_legend=STRANGERS_LEGEND,
        voice=voice_table(strangers),
        voice_legend=VOICE_LEGEND,
        centred=centred_table(strangers),
        centred_legend=CENTRED_LEGEND,
        noise_floor=in_words(read_json(results / NOISE_FLOOR)),
        variants=variant_table(runs),
        refits=refit_table(read_refits(results)),
    )


def projects_page(root: Path) -> str:
    """The text of docs/projects.md."""
    template = TEMPLATE.with_name("projects.md").read_text(encoding="utf-8")
    results = read_runs(root / "results")
    return template.format(scores=projects_table(results), lower=lower_list(results), deviations=deviations_table())


def bundled_block(root: Path) -> str:
    """The tables of the bundled models."""
    reports = {folder.name: load_report(folder) for folder in bundled_models(root)}
    conditions, corpora, strangers = (read_measured(root, what) for what in ("conditions", "corpora", "strangers"))
    return f"{bundled_table(reports, conditions, corpora)}\n{strangers_summary(strangers)}"


def replace_block(text: str, name: str, block: str) -> str:
    """`text` with the lines between the two markers of a block replaced.

    Raises:
        ValueError: The markers are missing.
    """
    begin, end = f"<!-- {name}: written by make results -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"expected one {begin!r} and one {end!r}; put them back")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{block}{end}{rest.split(end)[1]}"


def write_all() -> None:
    """Write every generated text."""
    for path, text in generated(PROJECT).items():
        write_text(path, text)


def draw_missing(results: Path) -> None:
    """Draw the pictures of the runs below `results` that are missing or older than the report they show."""
    runs = [folder for folder in run_folders(results) if _is_stale(folder / "curves.png", [folder])]
    for folder in tqdm(runs, desc="Drawing", unit="run"):  # Git does not keep these
        save(draw(load_report(folder), str(folder.relative_to(results))), folder)
    compared = {recipe: results / recipe / "tfds/seed-0" for recipe in SIDE_BY_SIDE}
    picture = results / "curves-1d-2d.png"
    if all((run / REPORT).exists() for run in compared.values()) and _is_stale(picture, compared.values()):
        plot_side_by_side({recipe: load_report(run) for recipe, run in compared.items()}).savefig(picture, dpi=110)


def _is_stale(picture: Path, runs: Iterable[Path]) -> bool:
    """Whether a picture is missing, or older than one of the reports of these runs."""
    if not picture.exists():
        return True
    return any(picture.stat().st_mtime < (run / REPORT).stat().st_mtime for run in runs)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line; there are no options."""


def run(options: argparse.Namespace) -> None:
    """Write every text, then draw what is missing."""
    check_clone()
    write_all()
    draw_missing(PROJECT / "results")


__all__ = ["STOPPED", "add_arguments", "draw_missing", "generated", "replace_block", "run", "write_all"]
