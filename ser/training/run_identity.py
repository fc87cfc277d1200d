"""Run identity: decides whether a report or a checkpoint belongs to the same run."""

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import cast

import datasets

from ser.corpora import corpora_within
from ser.corpora import corpus_of
from ser.corpora import title_of
from ser.corpora.splits import drawn_from
from ser.files import read_json
from ser.reporting.provenance import SPLIT
from ser.reporting.provenance import split_difference
from ser.reporting.provenance import weights_fingerprint
from ser.reporting.report_file import OLDER
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

RUN_FILE = "run.json"  # beside the checkpoints: their run
NOT_RECORDED = "not recorded"  # in place of a field that older reports lack
SETTINGS = frozenset({"changes", "fine_tuned_from", "weights_before", "teachers", "labels"})  # not data, split or seed
# Options that do not change the result, or for which a report has a field.
BESIDE: tuple[str, ...] = ("seed", "use_cpu", "bf16", "per_device_eval_batch_size", "license")
BESIDE += ("dataloader_num_workers", "dataloader_persistent_workers", "model_name_or_path", "teachers", *LOCAL)
WHAT_IS_READ = ("dataset_config", "audio_column", "label_column")  # of a dataset: they select other clips or labels


@dataclass(frozen=True)
class RunIdentity:
    """Two runs are the same run if these fields are equal.

    Args:
        recipe: Its name.
        variant: Of the recipe.
        split: Which clips are for training, selection and test.
        seed: Of weights, batches and augmentation.
        processes: Number that train together.
        changes: Options that differ from the recipe, and their values; see `changes`.
        fine_tuned_from: Name of the model that training starts from.
        weights_before: Digest of its weights.
        teachers: Their names.
        labels: Of the clips.
        command: Repeats the run; not compared.
    """

    recipe: str
    variant: str | None
    split: Split
    seed: int
    processes: int
    changes: frozenset[tuple[str, str]]
    fine_tuned_from: str | None
    weights_before: str | None
    teachers: tuple[str, ...]
    labels: tuple[str, ...] | str
    command: str = field(compare=False)

    @classmethod
    def of(cls, arguments: Arguments, split: Split, labels: list[str]) -> "RunIdentity":
        """The identity of the run with these arguments."""
        data, training, start = arguments.data, arguments.training, arguments.options.model_name_or_path
        teachers = training.teachers if training.teacher_share else []
        return cls(
            recipe=data.recipe,
            variant=data.variant,
            split=split,
            seed=training.seed,
            processes=training.world_size,
            changes=frozenset(changes(data.command).items()),
            fine_tuned_from=trained_name(start) if start else None,
            weights_before=weights_fingerprint(start) if start else None,
            teachers=tuple(trained_name(folder) for folder in teachers),
            labels=tuple(labels),
            command=repeatable(data.command, training.world_size),
        )

    @classmethod
    def from_report(cls, content: Mapping[str, Any]) -> "RunIdentity":
        """The identity of the run that wrote a `results.json` or `run.json`, possibly with an older version."""
        report = OLDER | dict(content)
        teachers = report.get("teachers") or []
        return cls(
            recipe=report["recipe"],
            variant=report["variant"],
            split=cast(Split, {name: report.get(name) for name in SPLIT}),
            seed=report["seed"],
            processes=report["processes"],
            changes=frozenset(changes(report["command"]).items()),
            fine_tuned_from=report["fine_tuned_from"],
            weights_before=report.get("weights_before", NOT_RECORDED),
            teachers=tuple(teachers) if isinstance(teachers, list) else (f"{teachers} models",),
            labels=tuple(report["labels"]) if "labels" in report else NOT_RECORDED,
            command=report["command"],
        )

    def report_fields(self) -> dict[str, Any]:
        """The fields of a report that `from_report` reads."""
        fields = dataclasses.asdict(self)
        del fields["changes"]  # the command contains them
        return fields.pop("split") | fields | {"teachers": list(self.teachers), "labels": list(self.labels)}

    def differences(self, other: "RunIdentity") -> set[str]:
        """Names of the fields in which two runs differ, among those that both have recorded."""
        names = [each.name for each in dataclasses.fields(self) if each.compare]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names if name != "split"}
        found = {name for name, (one, two) in pairs.items() if one != two and NOT_RECORDED not in (one, two)}
        return found | ({"split"} if split_difference(self.split, other.split) else set())

    def __str__(self) -> str:
        """The command, and the origin of its weights and targets."""
        text = self.command
        text += f", fine-tuned from {self.fine_tuned_from}" if self.fine_tuned_from else ""
        if self.weights_before not in (None, NOT_RECORDED):
            text += f" (weights {self.weights_before})"
        return text + (f", with the teachers {', '.join(self.teachers)}" if self.teachers else "")


def split_of(data: DataArguments, clips: datasets.Dataset) -> Split:
    """The split of a run."""
    corpus = corpus_of(clips, corpus_title(data))
    tested = title_of(data.test_corpus) if data.test_corpus else None
    return Split(
        corpus=corpus,
        protocol=data.protocol,
        fold=data.fold,
        split_seed=data.split_seed,
        share_of_clips=data.share_of_clips,
        drawn_from=drawn_from(clips, data.protocol),
        refit=data.refit,
        contains=[title for title in corpora_within(clips) if title not in (corpus, tested)],
        test_corpus=tested,
    )


def repeatable(command: str, processes: int) -> str:
    """The command that repeats a run with the same number of processes."""
    launcher = f"torchrun --nproc_per_node {processes}" if processes > 1 else "python"
    return command.replace("python", launcher, 1)


def trained_name(source: str) -> str:
    """The name of a base model or teacher in a report: its Hub id, or its recipe."""
    if on_the_hub(source):
        return source
    report = report_of(source)
    if report is None:
        return Path(source).resolve().name
    return f"ser-{report['recipe']}{' (refit)' if report.get('refit') else ''}"


def refuse_to_overwrite(folder: Path, this: RunIdentity) -> None:
    """Refuse to replace the report of a run with other settings."""
    report = read_report(folder)
    if report is None:
        return
    earlier = RunIdentity.from_report(report)
    if earlier.differences(this) & SETTINGS:
        raise ValueError(
            f"{folder} holds the report of another run ({earlier}); set another --results_dir, or remove that folder"
        )


def check_same_run(checkpoint: str, this: RunIdentity) -> None:
    """Refuse to resume from a checkpoint of another run."""
    if not (file := Path(checkpoint).parent / RUN_FILE).is_file():
        return
    earlier = RunIdentity.from_report(read_json(file))
    different = earlier.differences(this)
    if "split" in different:
        difference = split_difference(earlier.split, this.split)
        raise ValueError(f"{checkpoint} was trained {difference}: start again, with another --output_dir")
    if different:
        raise ValueError(
            f"{checkpoint} was trained by another command ({earlier}): resume with that one, or start again, with "
            "another --output_dir"
        )


def report_before(arguments: Arguments, this: RunIdentity) -> Report:
    """The report of the same run without `--refit`."""
    folder = replace(arguments, data=replace(arguments.data, refit=False)).results_dir
    report, place = read_report(folder), folder / REPORT
    if report is None:
        raise ValueError(f"--refit repeats a run that has a report: run the command with --refit False first ({place})")
    if "temperature" not in report:
        raise ValueError(f"--refit: {place} is an older report, without a temperature; run that command again")
    earlier = RunIdentity.from_report(report)
    expected = replace(this, split=this.split | {"refit": earlier.split["refit"]})
    different = earlier.differences(expected)
    if "processes" in different:
        raise ValueError(f"--refit expects as many processes as the run before it had: {earlier.processes}")
    if "split" in different:
        raise ValueError(
            f"--refit: the run before it was trained {split_difference(earlier.split, expected.split)}; run it again"
        )
    if different:
        raise ValueError(f"--refit expects the settings of the run before it; that was {earlier}")
    return report


def changes(command: str) -> dict[str, str]:
    """The options of a command that differ from its recipe, without those for data, split and seed.

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
    "RunIdentity",
    "WHAT_IS_READ",
    "changes",
    "check_same_run",
    "refuse_to_overwrite",
    "report_before",
    "split_of",
]
