"""Checks of the arguments before any clip is read."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from transformers import SchedulerType
from transformers import Trainer
from transformers.integrations.integration_utils import get_available_reporting_integrations

from ser.evaluation.scores import score
from ser.files import check_replaceable
from ser.files import check_writable
from ser.hub.access import check_token
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.recipes import FINE_TUNING
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import read_report
from ser.training.arguments import Arguments
from ser.training.arguments import SERTrainingArguments
from ser.training.augmentation import AugmentationArguments
from ser.training.trainer import last_checkpoint

FOR_IMAGES: tuple[str, ...] = ("gain_db", "frequency_shift", "equalizer_db")


FOR_IMAGES += ("channel_probability", "floor_probability", "voice_probability")


def check_arguments(arguments: Arguments) -> None:
    """Refuse invalid arguments before a model or a clip is read."""
    data, options, training = arguments.data, arguments.options, arguments.training
    for folder in (training.output_dir, options.results_dir):
        check_writable(folder)
    check_replaceable(arguments.model_dir, holding=REPORT)
    check_apart(arguments)
    check_selection(training, refit=data.refit)
    check_reporting(cast(list, training.report_to))  # a list by now
    if data.refit:
        if data.protocol == "leaky":
            raise ValueError("--refit would train on the test clips, which are the dev clips of leaky; leave it out")
        check_kept(arguments.model_dir)
    if training.label_smoothing_factor:
        raise ValueError("--label_smoothing_factor is not used here; set --label_smoothing, which is")
    check_optimizer(training)
    if training.gradient_checkpointing:
        raise ValueError("--gradient_checkpointing is not supported by these networks, which are small; leave it out")
    for folder in training.teachers if training.teacher_share else []:
        if not Path(folder).is_dir():
            raise ValueError(
                f"--teachers: expected a model folder with its {REPORT}; got {folder!r}: name others (those of the "
                "recipe are in a clone of the project), or train without any: --teacher_share 0"
            )
    if data.variant == FINE_TUNING and not options.model_name_or_path:
        raise ValueError(f"--variant {FINE_TUNING} starts from a trained model: name one with --model_name_or_path")
    if training.start_share and not options.model_name_or_path:
        raise ValueError(
            "--start_share needs the weights of a trained model: name one with --model_name_or_path "
            "(docs/training.md says from which the bundled models continue)"
        )
    if training.push_to_hub:
        check_token(training.hub_token)


def check_selection(training: SERTrainingArguments, *, refit: bool) -> None:
    """Refuse to choose an epoch by a metric that will not be available."""
    if refit and training.lr_scheduler_type in (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY):
        raise ValueError("--refit leaves no dev split to lower the learning rate by; set another --lr_scheduler_type")
    metrics = ("loss", *score(np.arange(2), np.arange(2)))
    if training.metric_for_best_model.removeprefix("eval_") not in metrics:
        raise ValueError(
            f"expected --metric_for_best_model out of {', '.join(metrics)}; got {training.metric_for_best_model!r}"
        )
    if training.eval_strategy == "no" and training.early_stopping_patience:
        raise ValueError("--eval_strategy no leaves nothing to stop early on; add --early_stopping_patience 0")


def check_optimizer(training: SERTrainingArguments) -> None:
    """Refuse an optimizer whose package is not installed."""
    try:
        Trainer.get_optimizer_cls_and_kwargs(training)
    except ImportError as error:
        raise ValueError(f"--optim: {error}; or leave it out") from error


def check_reporting(names: Sequence[str]) -> None:
    """Refuse a training logger whose package is not installed."""
    if missing := set(names) - set(get_available_reporting_integrations()):
        raise ValueError(f"--report_to {', '.join(sorted(missing))} is not installed here; install it, or leave it out")


def check_apart(arguments: Arguments) -> None:
    """Refuse to replace a folder that is, or contains, another folder of the run."""
    output_dir, results_dir = Path(arguments.training.output_dir), Path(arguments.options.results_dir)
    replaced = {"the model": arguments.model_dir, "the report": arguments.results_dir}
    folders = replaced | {"--output_dir": output_dir, "--results_dir": results_dir}
    for (name, folder), (other, inside) in itertools.product(replaced.items(), folders.items()):
        if name != other and inside.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{name} would replace the folder {str(folder)!r}, which contains {other}; set another --model_dir, "
                "--output_dir or --results_dir"
            )


def check_kept(folder: Path) -> None:
    """Refuse to replace the model of the run before --refit."""
    earlier = read_report(folder)
    if earlier is not None and not earlier.get("refit"):
        raise ValueError(f"{folder} holds the model of the run before --refit; set another --model_dir")


def check_images(augmentation: AugmentationArguments, extractor: SERFeatureExtractor) -> None:
    """Refuse image augmentation of features that are not images."""
    for name in FOR_IMAGES:
        if getattr(augmentation, name) and (extractor.features != ["log_mel"] or extractor.statistics):
            raise ValueError(f"{name} needs images of log_mel alone; set it to 0 for other features")


def find_checkpoint(training: SERTrainingArguments) -> str | None:
    """The checkpoint to resume from; refuses to mix a new run with the checkpoints of an earlier one."""
    wanted, folder, last = training.resume_from_checkpoint, Path(training.output_dir), last_checkpoint(training)
    if wanted == "last" and last is None:
        raise ValueError(f"there is no checkpoint in {folder} to resume from; start without --resume_from_checkpoint")
    if wanted is None and last is not None:
        raise ValueError(
            f"{folder} holds the checkpoints of an earlier run; continue it with --resume_from_checkpoint last, "
            "remove that folder, or set another --output_dir"
        )
    if wanted is not None and wanted != "last" and not Path(wanted).is_dir():
        raise ValueError(f"expected a checkpoint folder or 'last' for --resume_from_checkpoint; got {wanted!r}")
    return last if wanted == "last" else wanted


__all__ = [
    "FOR_IMAGES",
    "check_apart",
    "check_arguments",
    "check_images",
    "check_kept",
    "check_optimizer",
    "check_reporting",
    "check_selection",
    "find_checkpoint",
]
