"""Which run a run is: what its report, its checkpoints and the run before `--refit` have in common with it."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import cast

import datasets

from ser.corpora import corpora_within
from ser.corpora import corpus_of
from ser.corpora.splits import drawn_from
from ser.files import read_json
from ser.reporting.provenance import SPLIT
from ser.reporting.provenance import split_difference
from ser.reporting.provenance import weights_fingerprint
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report
from ser.reporting.report_file import Split
from ser.reporting.report_file import read_report
from ser.reporting.report_file import report_of
from ser.training.arguments import LOCAL
from ser.training.arguments import Arguments
from ser.training.arguments import DataArguments
from ser.training.arguments import corpus_title
from ser.training.arguments import on_the_hub

RUN_FILE = "run.json"  # beside the checkpoints: which run they are of


def identity(arguments: Arguments, facts: Split) -> dict:
    """What makes a run the one that it is, by the fields of its report.

    Args:
        arguments: As given.
        facts: Of its split, by the fields `SPLIT`.
    """
    data, training, start = arguments.data, arguments.training, arguments.options.model_name_or_path
    teachers = training.teachers if training.teacher_share else []
    return {
        "recipe": data.recipe,
        "variant": data.variant,
        **facts,
        "fine_tuned_from": trained_name(start) if start else None,
        "weights_before": weights_fingerprint(start) if start else None,
        "teachers": [trained_name(folder) for folder in teachers],
        "seed": training.seed,
        "processes": training.world_size,
        "command": repeatable(data.command, training.world_size),
    }


def split_of(data: DataArguments, clips: datasets.Dataset) -> Split:
    """Which clips are in which part, as reports tell it."""
    corpus = corpus_of(clips, corpus_title(data))
    within = [title for title in corpora_within(clips) if title != corpus]
    found = {"corpus": corpus, "drawn_from": drawn_from(clips, data.protocol), "contains": within}
    return cast(Split, {name: found[name] if name in found else getattr(data, name) for name in SPLIT})


def repeatable(command: str, processes: int) -> str:
    """The command that repeats a run in as many processes."""
    launcher = f"torchrun --nproc_per_node {processes}" if processes > 1 else "python"
    return command.replace("python", launcher, 1)


def trained_name(source: str) -> str:
    """What a report calls a model that was gone on from, or learned from: its id, or the recipe of its training."""
    if on_the_hub(source):
        return source
    report = report_of(source)
    if report is None:
        return Path(source).resolve().name
    return f"ser-{report['recipe']}{' (refit)' if report.get('refit') else ''}"


def alike(earlier: Mapping[str, Any], this: Mapping[str, Any]) -> bool:
    """Whether two runs have the same settings and sources, data, split and seed aside."""
    one, other = (
        # Older reports have no teachers, or their number.
        (changes(run["command"]), run.get("fine_tuned_from"), run.get("teachers") or [])
        for run in (earlier, this)
    )
    return one == other and earlier.get("weights_before", this["weights_before"]) == this["weights_before"]


def told(report: Mapping[str, Any]) -> str:
    """The command of a run, and where its weights and targets came from."""
    origin = f", from {report['fine_tuned_from']}" if report.get("fine_tuned_from") else ""
    origin += f" (weights {report['weights_before']})" if report.get("weights_before") else ""
    origin += f", taught by {', '.join(report['teachers'])}" if report.get("teachers") else ""
    return f"{report['command']}{origin}"


def refuse_to_overwrite(folder: Path, this: dict) -> None:
    """Keep the report of a run that said otherwise; a run may take the place of an earlier one of its own kind."""
    earlier = read_report(folder)
    if earlier is not None and (not alike(earlier, this) or earlier["labels"] != this["labels"]):
        raise ValueError(
            f"{folder} holds the report of another run ({told(earlier)}); "
            "set another --results_dir, or remove that folder"
        )


def check_same_run(checkpoint: str, this: dict) -> None:
    """Refuse to go on from a checkpoint that may have heard this run's test part, or is not of the command it tells."""
    if not (file := Path(checkpoint).parent / RUN_FILE).is_file():
        return
    earlier = read_json(file)
    if difference := split_difference(earlier, this):
        raise ValueError(f"{checkpoint} was trained {difference}: start anew, with another --output_dir")
    same = all(earlier[name] == this[name] for name in ("recipe", "variant", "seed", "processes"))
    if not same or not alike(earlier, this):
        raise ValueError(
            f"{checkpoint} was trained by another command ({told(earlier)}): go on with that one, or start anew, with "
            "another --output_dir"
        )


def report_before(arguments: Arguments, this: dict) -> Report:
    """The report of the run with the same settings, whose dev part is now trained on."""
    if arguments.data.protocol == "leaky":
        raise ValueError("--refit would train on the test part, which is the dev part of leaky; leave it out")
    folder = replace(arguments, data=replace(arguments.data, refit=False)).results_dir
    earlier, place = read_report(folder), folder / REPORT
    if earlier is None:
        raise ValueError(f"--refit follows a run that has chosen on the dev part: run this without it first ({place})")
    if "temperature" not in earlier:
        raise ValueError(f"--refit: {place} is an older report, without a temperature; run that command again")
    if earlier["processes"] != this["processes"]:
        raise ValueError(f"--refit expects as many processes as the run before it had: {earlier['processes']}")
    if difference := split_difference(earlier, this | {"refit": None}):
        raise ValueError(f"--refit: the run before it was trained {difference}; run it again")
    if not alike(earlier, this):
        raise ValueError(f"--refit expects the settings of the run before it; that was {told(earlier)}")
    return earlier


# Options that change nothing of what is learned, or that a report has a field for.
BESIDE: tuple[str, ...] = ("seed", "use_cpu", "bf16", "per_device_eval_batch_size", "license")


BESIDE += ("dataloader_num_workers", "dataloader_persistent_workers")


BESIDE += ("model_name_or_path", "teachers", *LOCAL)


WHAT_IS_READ = ("dataset_config", "audio_column", "label_column")  # of a dataset: other clips or labels of one name


def changes(command: str) -> dict[str, str]:
    """What a run's command says otherwise than its recipe, by the name of the option; data, split and seed left out.

    Example:
        >>> changes("python train.py --recipe cnn2d --data_dir DIR --seed 3 --num_train_epochs 21.0")
        {'num_train_epochs': '21.0'}
    """
    options: dict[str, str] = {}
    words = shlex.split(command)
    for word in words[words.index("train.py") + 1 :]:  # torchrun has options of its own before it
        if word.startswith("--"):
            name, _, value = word.removeprefix("--").partition("=")
            options[name] = value
        else:
            options[name] = f"{options[name]} {word}".lstrip()
    beside = {*DataArguments.__dataclass_fields__, *BESIDE} - {*WHAT_IS_READ}
    return {name: value for name, value in options.items() if name not in beside}


__all__ = [
    "BESIDE",
    "RUN_FILE",
    "WHAT_IS_READ",
    "changes",
    "check_same_run",
    "identity",
    "refuse_to_overwrite",
    "report_before",
    "split_of",
]
