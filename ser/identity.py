"""Which run a run is: what its report, its checkpoints and the run before `--refit` have in common with it."""

from dataclasses import replace
from pathlib import Path

import datasets

from ser.arguments import Arguments
from ser.arguments import DataArguments
from ser.arguments import changes
from ser.arguments import corpus_title
from ser.arguments import on_the_hub
from ser.corpora import corpora_within
from ser.corpora import corpus_of
from ser.corpora.splits import drawn_from
from ser.files import read_json
from ser.provenance import REPORT
from ser.provenance import SPLIT
from ser.provenance import different
from ser.provenance import report_of
from ser.provenance import weights_of

RUN_FILE = "run.json"  # beside the checkpoints: which run they are of


def identity(arguments: Arguments, facts: dict) -> dict:
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
        "weights_before": weights_of(start) if start else None,
        "teachers": [trained_name(folder) for folder in teachers],
        "seed": training.seed,
        "processes": training.world_size,
        "command": repeatable(data.command, training.world_size),
    }


def split_of(data: DataArguments, clips: datasets.Dataset) -> dict:
    """Which clips are in which part, as reports tell it."""
    corpus = corpus_of(clips, corpus_title(data))
    within = [title for title in corpora_within(clips) if title != corpus]
    found = {"corpus": corpus, "drawn_from": drawn_from(clips, data.protocol), "contains": within}
    return {name: found[name] if name in found else getattr(data, name) for name in SPLIT}


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
    parts = f" (without fifth {report['held_out']} of the speakers)" if report.get("held_out") else ""
    return f"ser-{report['recipe']}{' (refit)' if report.get('refit') else ''}{parts}"


def read_report(folder: Path) -> dict | None:
    """The report in a folder of this machine; None if there is none."""
    path = folder / REPORT
    return read_json(path) if path.is_file() else None


def alike(earlier: dict, this: dict) -> bool:
    """Whether two runs have the same settings and sources, data, split and seed aside."""
    one, other = (
        # Older reports have no teachers, or their number.
        (changes(run["command"]), run.get("fine_tuned_from"), run.get("teachers") or [])
        for run in (earlier, this)
    )
    return one == other and earlier.get("weights_before", this["weights_before"]) == this["weights_before"]


def told(report: dict) -> str:
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
    if difference := different(earlier, this):
        raise ValueError(f"{checkpoint} was trained {difference}: start anew, with another --output_dir")
    same = all(earlier[name] == this[name] for name in ("recipe", "variant", "seed", "processes"))
    if not same or not alike(earlier, this):
        raise ValueError(
            f"{checkpoint} was trained by another command ({told(earlier)}): go on with that one, or start anew, with "
            "another --output_dir"
        )


def report_before(arguments: Arguments, this: dict) -> dict:
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
    if difference := different(earlier, this | {"refit": None}):
        raise ValueError(f"--refit: the run before it was trained {difference}; run it again")
    if not alike(earlier, this):
        raise ValueError(f"--refit expects the settings of the run before it; that was {told(earlier)}")
    return earlier


__all__ = [
    "RUN_FILE",
    "check_same_run",
    "identity",
    "read_report",
    "refuse_to_overwrite",
    "report_before",
    "split_of",
]
