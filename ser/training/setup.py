"""Loads and checks a training run before it starts, so that mistakes are reported at once."""

import logging
import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import datasets
from transformers import PreTrainedModel
from transformers import set_seed

from ser.corpora import CORPORA
from ser.corpora import load_labelled_audio
from ser.corpora import title_of
from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.corpora.several_corpora import load_several
from ser.corpora.several_corpora import split_each
from ser.corpora.splits import check_leakage
from ser.corpora.splits import fixed_share
from ser.corpora.splits import join_dev
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.corpora.splits import with_copies
from ser.evaluation.scores import listeners_votes
from ser.hub.access import check_card
from ser.hub.access import claim_repository
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.plural import counted
from ser.recipes import load_recipe
from ser.reporting.model_card import unfinished_card
from ser.reporting.provenance import check_unseen
from ser.reporting.provenance import git_commit
from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Report
from ser.reporting.report_file import Split
from ser.training.arguments import Arguments
from ser.training.arguments import DataArguments
from ser.training.arguments import SERTrainingArguments
from ser.training.augmentation import AugmentationArguments
from ser.training.augmentation import OneChange
from ser.training.augmentation import WaveformAugmentation
from ser.training.checks import check_arguments
from ser.training.checks import check_images
from ser.training.checks import find_checkpoint
from ser.training.distillation import Teacher
from ser.training.distillation import load_teacher
from ser.training.model_setup import as_trained
from ser.training.model_setup import build_model
from ser.training.model_setup import load_start
from ser.training.model_setup import new_front_end
from ser.training.model_setup import overrides_of
from ser.training.model_setup import replace_head
from ser.training.run_identity import RunIdentity
from ser.training.run_identity import check_same_run
from ser.training.run_identity import refuse_to_overwrite
from ser.training.run_identity import report_before
from ser.training.run_identity import split_of

logger = logging.getLogger(__name__)


@dataclass
class Run(Arguments):
    """Everything that one training run needs, checked before it starts."""

    identity: RunIdentity
    splits: datasets.DatasetDict
    extractor: SERFeatureExtractor
    inference_overrides: dict  # fields of the extractor that change once the network is trained
    model: PreTrainedModel
    trained_before: list[Split] | None  # splits that the base model was trained on; None: unknown
    teachers: Sequence[Teacher]
    before: Report | None  # with --refit, where dev chooses the epoch: report of the run without it
    git_commit: str | None

    @property
    def repo_id(self) -> str:
        """The Hub repository that `prepare` created for it."""
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
    extractor, inference_overrides = as_trained(start.extractor, recipe) if start else new_front_end(recipe, options)
    check_images(arguments.augmentation, extractor)
    with training.main_process_first(desc="reading the clips"):  # the other processes find them in the cache
        clips = fixed_share(load_clips(data), data.share_of_clips)
        this_split = split_of(data, clips)
        if start:
            check_unseen(start.source, start.report, this_split)
        labels = clips.features["label"].names
        teachers = load_teachers(training, this_split, labels)
        this = RunIdentity.of(arguments, this_split, labels)
        if training.resume_from_checkpoint:
            check_same_run(training.resume_from_checkpoint, this)
        before = report_before(arguments, this) if data.refit and training.chooses_epoch else None
        refuse_to_overwrite(arguments.results_dir, this)
        splits = split_clips(data, clips)  # may be refused, so before features are extracted
        if arguments.augmentation.vote_share and listeners_votes(splits["train"]) is None:
            raise ValueError("--vote_share needs clips with listeners' votes, such as those of CREMA-D; set it to 0")
        overrides = overrides_of(options.model, "model")
        model = replace_head(start.model, labels) if start else build_model(recipe, overrides, extractor, labels)
        if training.push_to_hub and training.process_index == 0:  # before hours of training, not after
            claim(arguments)
        clips = extract_features(clips, data, arguments.augmentation, extractor)
        splits = split_clips(data, clips)
        if before and training.max_steps > 0:  # an epoch has more of them now
            more = len(splits["train"]) / before["parts"]["train"]["clips"]
            training.max_steps = math.ceil(training.max_steps * more)
        if arguments.augmentation.changed_copies and data.protocol != "leaky":  # whose clips have copies already
            splits["train"] = with_changed_copies(splits["train"], extractor)
    warn_about_splits(splits, data.protocol)
    if not start and extractor.normalization == "corpus":
        train = ClipDataset(splits["train"], extractor)
        extractor.fit_normalization(train.raw_features(range(len(train))))
    return Run(
        **vars(arguments),
        identity=this,
        splits=splits,
        extractor=extractor,
        inference_overrides=inference_overrides,
        model=model,
        trained_before=training_splits(start.report) if start else [],
        teachers=teachers,
        before=before,
        git_commit=git_commit(),
    )


def split_clips(data: DataArguments, clips: datasets.Dataset) -> datasets.DatasetDict:
    """Train, dev and test as the arguments say; without dev if it is trained on."""
    try:
        if data.corpora:
            tested = title_of(data.test_corpus) if data.test_corpus else None
            splits = split_each(clips, split_seed=data.split_seed, test_corpus=tested)
        else:
            splits = split(clips, data.protocol, fold=data.fold, split_seed=data.split_seed)
    except ValueError as error:
        if data.share_of_clips < 1:
            kept = counted(len(clips), "clip")
            raise ValueError(f"--share_of_clips {data.share_of_clips} keeps {kept}: {error}") from error
        raise
    return join_dev(splits) if data.refit else splits


def warn_about_splits(splits: datasets.DatasetDict, protocol: str) -> None:
    """Warn of limits to what the scores on these splits show."""
    if protocol in ("given", "speakers") and speakers_of(splits["train"]) is None:
        drawn = "splits are drawn by clip, so" if protocol == "speakers" else "the given splits may share some:"
        logger.warning("speakers are unknown: %s the scores are not for unseen speakers", drawn)
    if protocol == "given":
        for pair, shared in check_leakage(splits).items():
            for what in ("speaker", "clip"):
                if number := shared.get(f"{what}s"):
                    logger.warning(
                        "%s, as the data brings them, share %s: scores are too high", pair, counted(number, what)
                    )
    elif "split" in splits["train"].column_names:
        logger.warning("the data brings splits of its own; --protocol given keeps them")
    for name, clips in splits.items():
        labels = clips.features["label"]
        if absent := set(range(labels.num_classes)) - set(clips["label"]):
            logger.warning("the %s split has no clip of %s", name, ", ".join(labels.int2str(sorted(absent))))


def claim(arguments: Arguments) -> None:
    """Create the repository that the model will be pushed to, and check that the Hub accepts its card."""
    training = arguments.training
    training.hub_model_id = claim_repository(
        training.hub_model_id or f"ser-{arguments.data.recipe}",
        token=training.hub_token,
        private=training.hub_private_repo,
        branch=training.hub_revision,
    )
    check_card(unfinished_card(training.hub_model_id, [], license=arguments.options.license))


def extract_features(
    clips: datasets.Dataset, data: DataArguments, augmentation: AugmentationArguments, extractor: SERFeatureExtractor
) -> datasets.Dataset:
    """The clips with their features; for `leaky`, each with an augmented copy beside it."""
    augment_copy: Callable | None = None
    if data.protocol == "leaky":
        clips, augment_copy = with_copies(clips), augment_waveform(augmentation, extractor)
        if augmentation.changed_copies:
            augment_copy = OneChange(extractor.sampling_rate)
        augmentation.waveform_probability = 0.0  # once for each copy, before the split, instead of on the fly
    return with_features(clips, extractor, augment_copy=augment_copy)


def with_changed_copies(clips: datasets.Dataset, extractor: SERFeatureExtractor) -> datasets.Dataset:
    """Clips with their features, and a changed copy of each with its own."""
    both = with_copies(clips.remove_columns(["features", "frames"]))
    copies = both.select(range(len(clips), len(both)))
    copies = with_features(copies, extractor, augment_copy=OneChange(extractor.sampling_rate))
    return datasets.concatenate_datasets([clips.add_column("copy", [0] * len(clips)), copies])


def load_clips(data: DataArguments) -> datasets.Dataset:
    """The clips that the arguments name."""
    if [data.data_dir, data.dataset_name, data.dataset_dir, data.corpora or None].count(None) < 3:
        raise ValueError(
            "expected only one of --data_dir (a folder with a corpus), --dataset_name (a dataset), --dataset_dir (a "
            "folder with your own clips) and --corpora (several corpora)"
        )
    if data.corpora:
        return load_several(data.corpora, data.test_corpus, cache_dir=data.cache_dir)
    if data.dataset_name is None and data.dataset_dir is None:
        corpus, default = CORPORA[data.corpus], Path("data") / data.corpus
        if data.data_dir is None:
            corpus.fetch(default)
        return corpus.load(data.data_dir or default, cache_dir=data.cache_dir)
    if data.dataset_dir and not Path(data.dataset_dir).is_dir():
        raise ValueError(f"expected a folder with your clips at {data.dataset_dir!r}; check --dataset_dir")
    return load_labelled_audio(
        cast(str, data.dataset_name or data.dataset_dir),  # one of two, as checked above
        config=data.dataset_config,
        audio_column=data.audio_column,
        label_column=data.label_column,
        cache_dir=data.cache_dir,
    )


def load_teachers(training: SERTrainingArguments, split: Split, labels: list[str]) -> list[Teacher]:
    """The teachers that the arguments name; none if their weight is 0."""
    folders = training.teachers if training.teacher_share else []
    return [load_teacher(folder, split, labels) for folder in folders]


def augment_waveform(
    augmentation: AugmentationArguments, extractor: SERFeatureExtractor
) -> WaveformAugmentation | None:
    """Augmentation of a waveform, `(samples,)` to `(samples,)`; None if waveforms are not augmented."""
    if not augmentation.waveform_probability:
        return None
    return WaveformAugmentation(augmentation.waveform_probability, extractor.sampling_rate)


__all__ = ["Run", "augment_waveform", "prepare"]
