"""Train every run of docs/results.md that has no report yet.

python -m ser reproduce --crema_d data/crema-d --emodb data/emodb          # all that are missing
python -m ser reproduce --crema_d data/crema-d --recipes mel-2d class-2d   # of these recipes
With --nemo, --urdu and --ased, recipes for several corpora are included: on all of their corpora, and without each.
After an interruption, the same command continues; commands with different recipes may run at the same time.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from ser.corpora import CORPORA
from ser.experiments.aggregate import FOLDS
from ser.experiments.write_results import write_all
from ser.files import PROJECT
from ser.files import check_clone
from ser.files import write_text
from ser.recipes import load_recipe
from ser.recipes import recipe_names
from ser.reporting.report_file import MEASURED
from ser.reporting.report_file import REPORT
from ser.training.arguments import SERTrainingArguments
from ser.training.arguments import parse_arguments
from ser.training.trainer import last_checkpoint

STOPPED = "the same command continues"
SEEDS = {"class-1d": 3, "class-2d": 3, "cnn1d": 3, "cnn2d": 3, "mel-2d": 3, "zcr-energy-1d": 3}  # others: one
LEAKY = ("mel-2d", "zcr-energy-1d")
TEACHERS = PROJECT / "checkpoints/teachers"
ON_EMODB = {
    "flagship": {"variant": "small-corpus"},
    "flagship-distilled": {
        "variant": "fine-tuning",
        "model_name_or_path": str(TEACHERS / "flagship-distilled"),
    },
}
REFIT = ("cnn1d", "flagship", "flagship-distilled")  # on unseen speakers
ON_SEVERAL: dict[str, dict] = {
    "flagship-bilingual": {
        "model_name_or_path": str(TEACHERS / "flagship-compact"),
        "feature_extractor": '{"subtract_noise": true}',
        "corpora": ["crema-d", "emodb"],
    },
    "flagship-multilingual": {
        "model_name_or_path": str(TEACHERS / "flagship-distilled"),
        "license": "cc-by-nc-sa-4.0",
        "corpora": ["crema-d", "emodb", "nemo", "urdu"],
    },
}
ALL = [*ON_SEVERAL["flagship-multilingual"]["corpora"], "ased"]
ON_FOLDS = {
    "cnn1d": {},
    "cnn2d": {},
    "flagship-distilled": {"variant": "labels-alone"},
}  # without teachers


def variants(recipe: str) -> list[str]:
    """The variants of a recipe that are compared with it on CREMA-D."""
    return [name for name in load_recipe(recipe).variants if name != ON_EMODB.get(recipe, {}).get("variant")]


def folds(corpus: str) -> list[dict]:
    """Arguments of `train.py` for each fold of each protocol with folds."""
    return [
        {"protocol": protocol, "fold": fold}
        for (title, protocol), number in FOLDS.items()
        for fold in range(1, number + 1)
        if title == corpus
    ]


def on_several_corpora(recipe: str) -> Iterator[dict]:
    """Arguments of `train.py` for all corpora of a recipe, then for the stand-ins: with ASED, each without a corpus."""
    run = {"recipe": recipe} | ON_SEVERAL[recipe]
    _, *others = trained_on = run["corpora"]
    yield run
    yield from (run | {"corpora": [*trained_on, "ased"], "test_corpus": name} for name in others)


def plan(recipe: str) -> Iterator[dict]:
    """Arguments of `train.py` for each run of a recipe, without the folder of the corpus."""
    budget = {} if torch.cuda.is_available() else load_recipe(recipe).budget_without_gpu
    again = ({}, {"refit": True}) if recipe in REFIT else ({},)
    if recipe in ON_SEVERAL:
        yield from on_several_corpora(recipe)
        return
    if load_recipe(recipe).corpus == "emodb":
        yield {"recipe": recipe, "protocol": "random"}
        yield from ({"recipe": recipe} | fold for fold in folds("EmoDB"))
        return
    # Teachers were trained on tfds: their training clips are test clips of another split.
    protocols = ("tfds",) if load_recipe(recipe).has_teachers else ("tfds", "random-70-30")
    for seed in range(SEEDS.get(recipe, 1)):
        for protocol in protocols:
            yield {"recipe": recipe, "protocol": protocol, "seed": seed} | budget
    if recipe in REFIT:
        yield {"recipe": recipe, "protocol": "tfds", "refit": True}
    yield from ({"recipe": recipe, "variant": variant, "seed": 0} for variant in variants(recipe))
    if recipe in ON_FOLDS:
        for fold in folds("CREMA-D"):
            yield from ({"recipe": recipe} | fold | ON_FOLDS[recipe] | more for more in again)
    if recipe in ON_EMODB:
        run = {"recipe": recipe, "corpus": "emodb"} | ON_EMODB[recipe]
        for fold in folds("EmoDB"):
            yield from (run | fold | more for more in again)
        yield run | {"protocol": "random"}
    if recipe in LEAKY:
        yield {"recipe": recipe, "protocol": "leaky", "seed": 0}


def planned(run: dict, corpora: dict[str, str | None]) -> tuple[list[str], SERTrainingArguments, Path] | None:
    """Arguments of `train.py`, training arguments and report folder of a run; None without its corpora."""
    names = run.get("corpora") or [run.get("corpus", load_recipe(run["recipe"]).corpus)]
    if any(corpora[name] is None for name in names):
        return None
    if "corpora" in run:
        data = ["--corpora", *(f"{name}={corpora[name]}" for name in names)]
    else:
        data = [f"--data_dir={corpora[names[0]]}"]
    arguments = [f"--{name}={value}" for name, value in run.items() if name != "corpora"] + data
    arguments.append("--results_dir=results")
    parsed = parse_arguments(arguments)
    return arguments, parsed.training, PROJECT / parsed.results_dir


def train(run: dict, corpora: dict[str, str | None]) -> bool:
    """Train a run that has no report yet; returns whether it was trained."""
    found = planned(run, corpora)
    if found is None:
        return False
    arguments, training, report = found
    if (report / REPORT).exists():
        return False
    go_on = ["--resume_from_checkpoint=last"] if last_checkpoint(training) else []
    _python(str(PROJECT / "train.py"), *arguments, *go_on)
    return True


def measure_robustness(run: dict, corpora: dict[str, str | None]) -> bool:
    """Measure a variant, or the recipe it is compared with, in noise and on EmoDB; returns whether it was measured.

    Only runs of the variant table are measured; the scores are saved beside the report.
    """
    found, compared = planned(run, corpora), not {"fold", "refit", "corpus", "corpora"} & run.keys()
    if found is None or not compared or run.get("protocol", "tfds") != "tfds" or not variants(run["recipe"]):
        return False
    _, training, report = found
    model = Path(training.output_dir) / "model"
    if not model.is_dir():  # the repository contains the report, but not the model
        return False
    in_noise = ["ser", "robustness", str(model), f"--data_dir={corpora['crema-d']}"]
    commands = {"conditions": in_noise, "conditions_on_dev": [*in_noise, "--split=dev"]}
    if corpora["emodb"]:
        commands["corpora"] = ["ser", "cross-corpus", str(model), "--corpus=emodb", f"--data_dir={corpora['emodb']}"]
    lacking = [what for what in commands if not (report / MEASURED[what]).exists()]
    for what in lacking:
        _python("-m", *commands[what])
        write_text(report / MEASURED[what], (model / MEASURED[what]).read_text(encoding="utf-8"))
    return bool(lacking)


def _python(*command: str) -> None:
    print(f"== python {shlex.join(command)}", flush=True)
    subprocess.run([sys.executable, *command], check=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    for name in ALL:
        option, title = f"--{name.replace('-', '_')}", CORPORA[name].TITLE
        parser.add_argument(option, help=f"folder with {title}; without it, runs that need it are skipped")
    parser.add_argument(
        "--recipes",
        nargs="+",
        choices=recipe_names(),
        default=recipe_names(),
        metavar="RECIPE",
        help=f"train only the runs of these recipes: {', '.join(recipe_names())} (default: all)",
    )


def run(options: argparse.Namespace) -> None:
    """Train the missing runs, each in its own process, and rewrite the tables after each."""
    check_clone()
    corpora = {name: getattr(options, name.replace("-", "_")) for name in ALL}
    if not any(corpora.values()):
        raise ValueError("expected --crema_d or --emodb (or both): a folder with that corpus")
    for title, folder in corpora.items():
        if folder and not Path(folder).is_dir():
            raise ValueError(f"expected a folder with {title} at {folder!r}; there is none")
    corpora = {title: folder and str(Path(folder).resolve()) for title, folder in corpora.items()}
    os.chdir(PROJECT)  # reports and checkpoints are read and written there
    failed = []
    runs = [run for recipe in options.recipes for run in plan(recipe)]
    for run in sorted(runs, key=lambda run: run.get("seed", 0)):  # all recipes once before any second seed
        for step in (train, measure_robustness):
            try:
                if step(run, corpora):
                    write_all()
            except subprocess.CalledProcessError as error:
                failed.append(shlex.join(error.cmd[1:]))
                break
    if failed:
        raise ValueError("these commands failed; see above, and run the same command again:\n" + "\n".join(failed))


__all__ = ["STOPPED", "add_arguments", "run"]
