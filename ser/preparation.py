"""A training run, loaded and checked before it starts: what is wrong is told at once, and not after hours."""

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import datasets
import numpy as np
from transformers import PreTrainedModel
from transformers import SchedulerType
from transformers import set_seed
from transformers.integrations.integration_utils import get_available_reporting_integrations

from ser.arguments import Arguments
from ser.arguments import DataArguments
from ser.arguments import SERTrainingArguments
from ser.augmentation import AugmentationArguments
from ser.augmentation import WaveformAugmentation
from ser.building import as_trained
from ser.building import build_model
from ser.building import load_start
from ser.building import new_front_end
from ser.building import overrides_of
from ser.building import replace_head
from ser.clips import ClipDataset
from ser.clips import with_features
from ser.corpora import CORPORA
from ser.corpora import load_crema_d
from ser.corpora import load_labelled_audio
from ser.corpora.splits import fixed_share
from ser.corpora.splits import hold_out
from ser.corpora.splits import join_dev
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.corpora.splits import with_copies
from ser.distillation import Teacher
from ser.distillation import load_teacher
from ser.evaluation import listeners_votes
from ser.evaluation import score
from ser.feature_extraction_ser import SERFeatureExtractor
from ser.files import check_replaceable
from ser.files import check_writable
from ser.hub import check_card
from ser.hub import check_token
from ser.hub import claim_repository
from ser.identity import check_same_run
from ser.identity import identity
from ser.identity import read_report
from ser.identity import refuse_to_overwrite
from ser.identity import report_before
from ser.identity import split_of
from ser.model_card import unfinished_card
from ser.provenance import REPORT
from ser.provenance import check_unheard
from ser.provenance import git_commit
from ser.provenance import heard_splits
from ser.recipes import FINE_TUNING
from ser.recipes import load_recipe
from ser.trainer import last_checkpoint

logger = logging.getLogger(__name__)

FOR_IMAGES: tuple[str, ...] = ("gain_db", "frequency_shift", "equalizer_db")
FOR_IMAGES += ("channel_probability", "floor_probability", "voice_probability")


@dataclass
class Run(Arguments):
    """All that one training run needs, checked before it starts."""

    identity: dict  # what makes it the run that it is, by the fields of its report
    parts: datasets.DatasetDict
    extractor: SERFeatureExtractor
    in_use: dict  # of its fields, those that are others once the network is trained
    model: PreTrainedModel
    heard_before: list[dict] | None  # splits that the model to go on from was trained on; None: not known
    teachers: Sequence[Teacher]
    before: dict | None  # report of the run that has chosen on the dev part, where that is trained on
    git_commit: str | None

    @property
    def repo_id(self) -> str:
        """Where on the Hub it is pushed to, as `prepare` claimed it."""
        return cast(str, self.training.hub_model_id)


def prepare(arguments: Arguments) -> Run:
    """Load, check and split the clips, extract features, build the model.

    Raises:
        ValueError: An argument or the data cannot be used; the message says what to change.
        ConnectionError: The corpus could not be fetched.
    """
    data, options, training = arguments.data, arguments.options, arguments.training
    set_seed(training.seed)
    check_arguments(arguments)
    training.resume_from_checkpoint = find_checkpoint(training)
    recipe = load_recipe(data.recipe, data.variant)
    start = load_start(options) if options.model_name_or_path else None
    extractor, in_use = as_trained(start.extractor, recipe) if start else new_front_end(recipe, options)
    check_images(arguments.augmentation, extractor)
    with training.main_process_first(desc="reading the clips"):  # the other processes find them in the cache
        clips = fixed_share(load_clips(data), data.share_of_clips)
        facts = split_of(data, clips)
        if start:
            check_unheard(start.source, start.report, facts)
        labels = clips.features["label"].names
        teachers = load_teachers(training, facts, labels)
        this = identity(arguments, facts)
        if training.resume_from_checkpoint:
            check_same_run(training.resume_from_checkpoint, this)
        before = report_before(arguments, this) if data.refit else None
        refuse_to_overwrite(arguments.results_dir, this | {"labels": labels})
        parts = parts_of(data, clips)  # what is wrong with them is told before the features are made
        if arguments.augmentation.vote_share and listeners_votes(parts["train"]) is None:
            raise ValueError("--vote_share needs clips with listeners' votes, as CREMA-D has them; set it to 0")
        overrides = overrides_of(options.model, "model")
        model = replace_head(start.model, labels) if start else build_model(recipe, overrides, extractor, labels)
        if training.push_to_hub and training.process_index == 0:  # before hours of training, not after
            claim(arguments)
        clips = hear(clips, data, arguments.augmentation, extractor)
    parts = parts_of(data, clips)
    if before and training.max_steps > 0:  # an epoch has more of them now
        training.max_steps = math.ceil(training.max_steps * len(parts["train"]) / before["parts"]["train"]["clips"])
    warn_of(parts, data.protocol)
    if not start and extractor.normalization == "corpus":
        train = ClipDataset(parts["train"], extractor)
        extractor.fit_normalization(train.raw_features(range(len(train))))
    return Run(
        **vars(arguments),
        identity=this,
        parts=parts,
        extractor=extractor,
        in_use=in_use,
        model=model,
        heard_before=heard_splits(start.report) if start else [],
        teachers=teachers,
        before=before,
        git_commit=git_commit(),
    )


def parts_of(data: DataArguments, clips: datasets.Dataset) -> datasets.DatasetDict:
    """Train, dev and test, as the arguments say; without dev where that is trained on."""
    parts = split(clips, data.protocol, fold=data.fold, split_seed=data.split_seed)
    if data.refit:
        parts = join_dev(parts)
    return parts if data.held_out is None else hold_out(parts, data.held_out)


def warn_of(parts: datasets.DatasetDict, protocol: str) -> None:
    """Say what the figures of these parts will not be."""
    if protocol == "speakers" and speakers_of(parts["train"]) is None:
        logger.warning("speakers are not known: parts are drawn by clip, so the figures are not for unseen speakers")
    for name, part in parts.items():
        labels = part.features["label"]
        if absent := set(range(labels.num_classes)) - set(part["label"]):
            logger.warning("the %s part has no clip of %s", name, ", ".join(labels.int2str(sorted(absent))))


def claim(arguments: Arguments) -> None:
    """Make the repository that the model will be pushed to, and see that its card will be taken."""
    training = arguments.training
    training.hub_model_id = claim_repository(
        training.hub_model_id or f"ser-{arguments.data.recipe}",
        token=training.hub_token,
        private=training.hub_private_repo,
        branch=training.hub_revision,
    )
    check_card(unfinished_card(training.hub_model_id, [], license=arguments.options.license))


def hear(
    clips: datasets.Dataset, data: DataArguments, augmentation: AugmentationArguments, extractor: SERFeatureExtractor
) -> datasets.Dataset:
    """The clips with their features; for `leaky`, each with an augmented copy beside it."""
    augment_copy = None
    if data.protocol == "leaky":
        clips, augment_copy = with_copies(clips), augment_waveform(augmentation, extractor)
        augmentation.waveform_probability = 0.0  # once for each copy, before the split, instead of on the fly
    return with_features(clips, extractor, augment_copy=augment_copy)


def check_arguments(arguments: Arguments) -> None:
    """Refuse what can be seen to be wrong before a model or a clip is read."""
    data, options, training = arguments.data, arguments.options, arguments.training
    for folder in (training.output_dir, options.results_dir):
        check_writable(folder)
    check_replaceable(arguments.model_dir, holding=REPORT)
    check_apart(arguments)
    check_selection(training, refit=data.refit)
    check_reporting(cast(list, training.report_to))  # a list by now
    if data.refit:
        check_kept(arguments.model_dir)
    if training.label_smoothing_factor:
        raise ValueError("--label_smoothing_factor is not used here; set --label_smoothing, which is")
    if data.variant == FINE_TUNING and not options.model_name_or_path:
        raise ValueError(f"--variant {FINE_TUNING} goes on from a trained model: name one with --model_name_or_path")
    if training.push_to_hub:
        check_token(training.hub_token)


def check_selection(training: SERTrainingArguments, *, refit: bool) -> None:
    """Refuse to choose an epoch by a figure that there will not be."""
    if refit and training.lr_scheduler_type in (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY):
        raise ValueError("--refit leaves no dev part to lower the learning rate by; set another --lr_scheduler_type")
    figures = ("loss", *score(np.arange(2), np.arange(2)))
    if training.metric_for_best_model.removeprefix("eval_") not in figures:
        raise ValueError(
            f"expected --metric_for_best_model out of {', '.join(figures)}; got {training.metric_for_best_model!r}"
        )
    if training.eval_strategy == "no" and training.early_stopping_patience:
        raise ValueError("--eval_strategy no leaves nothing to stop early by; add --early_stopping_patience 0")


def check_reporting(names: Sequence[str]) -> None:
    """Refuse to show the training where it could not be."""
    if missing := set(names) - set(get_available_reporting_integrations()):
        raise ValueError(f"--report_to {', '.join(sorted(missing))} is not installed here; install it, or leave it out")


def check_apart(arguments: Arguments) -> None:
    """Refuse to replace a folder, with all that it holds, that another one of the run is, or lies in."""
    output_dir, results_dir = Path(arguments.training.output_dir), Path(arguments.options.results_dir)
    replaced = {"the model": arguments.model_dir, "the report": arguments.results_dir}
    folders = replaced | {"--output_dir": output_dir, "--results_dir": results_dir}
    for (name, folder), (other, inside) in itertools.product(replaced.items(), folders.items()):
        if name != other and inside.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{name} takes the place of the folder {str(folder)!r}, in which {other} is; set another --model_dir, "
                "--output_dir or --results_dir"
            )


def check_kept(folder: Path) -> None:
    """Refuse to let a model take the place of that of the run before it."""
    earlier = read_report(folder)
    if earlier is not None and not earlier.get("refit"):
        raise ValueError(f"{folder} holds the model of the run before --refit; set another --model_dir")


def check_images(augmentation: AugmentationArguments, extractor: SERFeatureExtractor) -> None:
    """Refuse to change images where the features are others."""
    for name in FOR_IMAGES:
        if getattr(augmentation, name) and (extractor.features != ["log_mel"] or extractor.statistics):
            raise ValueError(f"{name} needs images of log_mel alone; set it to 0 for other features")


def find_checkpoint(training: SERTrainingArguments) -> str | None:
    """The checkpoint to go on from; refuses to mix a new run with the checkpoints of an earlier one."""
    wanted, folder, last = training.resume_from_checkpoint, Path(training.output_dir), last_checkpoint(training)
    if wanted == "last" and last is None:
        raise ValueError(f"there is no checkpoint in {folder} to go on from; start without --resume_from_checkpoint")
    if wanted is None and last is not None:
        raise ValueError(
            f"{folder} holds the checkpoints of an earlier run; go on from them with --resume_from_checkpoint last, "
            "remove that folder, or set another --output_dir"
        )
    if wanted is not None and wanted != "last" and not Path(wanted).is_dir():
        raise ValueError(f"expected a checkpoint folder or 'last' for --resume_from_checkpoint; got {wanted!r}")
    return last if wanted == "last" else wanted


def load_clips(data: DataArguments) -> datasets.Dataset:
    """The clips that the arguments name."""
    if [data.data_dir, data.dataset_name, data.dataset_dir].count(None) != 2:
        raise ValueError(
            "expected --data_dir (a folder with a corpus), --dataset_name (a dataset) or --dataset_dir (a folder with "
            "your own clips); give one of them"
        )
    if data.data_dir and data.corpus == "crema-d":
        return load_crema_d(data.data_dir, download=data.download, cache_dir=data.cache_dir)
    if data.download:
        raise ValueError("--download fetches CREMA-D alone; leave it out, or name a folder for that with --data_dir")
    if data.data_dir:
        return CORPORA[data.corpus].load(data.data_dir, cache_dir=data.cache_dir)
    if data.dataset_dir and not Path(data.dataset_dir).is_dir():
        raise ValueError(f"expected a folder with your clips at {data.dataset_dir!r}; check --dataset_dir")
    return load_labelled_audio(
        cast(str, data.dataset_name or data.dataset_dir),  # one of three, as checked above
        config=data.dataset_config,
        audio_column=data.audio_column,
        label_column=data.label_column,
        cache_dir=data.cache_dir,
    )


def load_teachers(training: SERTrainingArguments, split: dict, labels: list[str]) -> list[Teacher]:
    """The teachers that the arguments name; none if they have no share in what is learned."""
    folders = training.teachers if training.teacher_share else []
    return [load_teacher(folder, split, labels) for folder in folders]


def augment_waveform(
    augmentation: AugmentationArguments, extractor: SERFeatureExtractor
) -> WaveformAugmentation | None:
    """`(samples,)` to `(samples,)`, or None where waveforms are left alone."""
    if not augmentation.waveform_probability:
        return None
    return WaveformAugmentation(augmentation.waveform_probability, extractor.sampling_rate)


__all__ = ["Run", "augment_waveform", "prepare"]
