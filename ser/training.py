"""From arguments to a model folder and a report: the run that `train.py` starts."""

import functools
import itertools
import json
import logging
import math
import platform
import shlex
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from typing import cast

import datasets
import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForAudioClassification
from transformers import PreTrainedModel
from transformers import SchedulerType
from transformers import TrainerCallback
from transformers import TrainerState
from transformers import set_seed
from transformers.integrations.integration_utils import get_available_reporting_integrations

from ser.arguments import DataArguments
from ser.arguments import ModelArguments
from ser.arguments import SERTrainingArguments
from ser.arguments import on_the_hub
from ser.arguments import run_name
from ser.augmentation import AugmentationArguments
from ser.augmentation import FeatureAugmentation
from ser.augmentation import FeatureMasking
from ser.augmentation import WaveformAugmentation
from ser.augmentation import soft_targets
from ser.calibration import fit_temperature
from ser.calibration import reliability
from ser.clips import ClipDataset
from ser.clips import with_features
from ser.configuration_ser import SERConfig
from ser.corpora import CORPORA
from ser.corpora import load_crema_d
from ser.corpora import load_labelled_audio
from ser.corpora.splits import check_leakage
from ser.corpora.splits import fixed_share
from ser.corpora.splits import hold_out
from ser.corpora.splits import join_dev
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.corpora.splits import with_copies
from ser.distillation import Teacher
from ser.distillation import load_teacher
from ser.distillation import teachers_say
from ser.evaluation import describe_part
from ser.evaluation import listeners_votes
from ser.evaluation import predict_logits
from ser.evaluation import report_on_test
from ser.evaluation import score
from ser.feature_extraction_ser import SERFeatureExtractor
from ser.files import check_replaceable
from ser.files import check_writable
from ser.files import write_text
from ser.hub import check_card
from ser.hub import check_token
from ser.hub import claim_repository
from ser.hub import commit_model
from ser.hub import push_model
from ser.identity import RUN_FILE
from ser.identity import check_same_run
from ser.identity import identity
from ser.identity import read_report
from ser.identity import refuse_to_overwrite
from ser.identity import report_before
from ser.identity import report_folder
from ser.identity import split_of
from ser.loading import check_own
from ser.loading import labels_of
from ser.loading import load_trained
from ser.memory import keep_freed_memory
from ser.memory import peak_memory
from ser.model_card import unfinished_card
from ser.modeling_ser import CNNForAudioClassification
from ser.provenance import REPORT
from ser.provenance import check_unheard
from ser.provenance import git_commit
from ser.provenance import heard_splits
from ser.provenance import report_of
from ser.recipes import FINE_TUNING
from ser.recipes import Recipe
from ser.recipes import load_recipe
from ser.report import write_report
from ser.trainer import PatientStopping
from ser.trainer import SERTrainer
from ser.trainer import StoppingAfter
from ser.trainer import last_checkpoint

logger = logging.getLogger(__name__)

FOR_IMAGES: tuple[str, ...] = ("gain_db", "frequency_shift", "equalizer_db")
FOR_IMAGES += ("channel_probability", "floor_probability", "voice_probability")
PACKAGES = ("torch", "transformers", "datasets", "numpy", "soundfile", "soxr", "audiomentations")


@dataclass
class Run:
    """All that one training run needs, checked before it starts."""

    data: DataArguments
    options: ModelArguments
    augmentation: AugmentationArguments
    training: SERTrainingArguments
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
    def name(self) -> str:
        """Folder of the run below `runs/` and `results/`."""
        return run_name(self.data, self.options, self.training)

    @property
    def repo_id(self) -> str:
        """Where on the Hub it is pushed to, as `prepare` claimed it."""
        return cast(str, self.training.hub_model_id)

    @property
    def model_dir(self) -> Path:
        """Where the finished model goes."""
        return model_folder(self.options, self.training)

    @property
    def results_dir(self) -> Path:
        """Where the report goes."""
        return report_folder(self.data, self.options, self.training)


def prepare(
    data: DataArguments, options: ModelArguments, augmentation: AugmentationArguments, training: SERTrainingArguments
) -> Run:
    """Load, check and split the clips, extract features, build the model.

    Raises:
        ValueError: An argument or the data cannot be used; the message says what to change.
        ConnectionError: The corpus could not be fetched.
    """
    set_seed(training.seed)
    for folder in (training.output_dir, options.results_dir):
        check_writable(folder)
    check_replaceable(model_folder(options, training), holding=REPORT)
    check_apart(data, options, training)
    check_selection(training, refit=data.refit)
    check_reporting(cast(list, training.report_to))  # a list by now
    if data.refit:
        check_kept(model_folder(options, training))
    if training.label_smoothing_factor:
        raise ValueError("--label_smoothing_factor is not used here; set --label_smoothing, which is")
    training.resume_from_checkpoint = find_checkpoint(training)
    if training.push_to_hub:
        check_token(training.hub_token)
    recipe = load_recipe(data.recipe, data.variant)
    if data.variant == FINE_TUNING and not options.model_name_or_path:
        raise ValueError(f"--variant {FINE_TUNING} goes on from a trained model: name one with --model_name_or_path")
    start = load_start(options) if options.model_name_or_path else None
    overrides = _overrides(options.model, "model")
    extractor, in_use = as_trained(start.extractor, recipe) if start else new_front_end(recipe, options)
    for name in FOR_IMAGES:
        if getattr(augmentation, name) and (extractor.features != ["log_mel"] or extractor.statistics):
            raise ValueError(f"{name} needs images of log_mel alone; set it to 0 for other features")
    with training.main_process_first(desc="reading the clips"):  # the other processes find them in the cache
        clips = fixed_share(load_clips(data), data.share_of_clips)
        facts = split_of(data, clips)
        if start:
            check_unheard(start.source, start.report, facts)
        labels = clips.features["label"].names
        teachers = load_teachers(training, facts, labels)
        this = identity(data, options, training, facts)
        if training.resume_from_checkpoint:
            check_same_run(training.resume_from_checkpoint, this)
        before = report_before(data, options, training, this) if data.refit else None
        refuse_to_overwrite(report_folder(data, options, training), this | {"labels": labels})
        parts = parts_of(data, clips)  # what is wrong with them is told before the features are made
        if augmentation.vote_share and listeners_votes(parts["train"]) is None:
            raise ValueError("--vote_share needs clips with listeners' votes, as CREMA-D has them; set it to 0")
        model = replace_head(start.model, labels) if start else build_model(recipe, overrides, extractor, labels)
        if training.push_to_hub and training.process_index == 0:  # before hours of training, not after
            claim(data, options, training)
        clips = hear(clips, data, augmentation, extractor)
    parts = parts_of(data, clips)
    if before and training.max_steps > 0:  # an epoch has more of them now
        training.max_steps = math.ceil(training.max_steps * len(parts["train"]) / before["parts"]["train"]["clips"])
    warn_of(parts, data.protocol)
    if not start and extractor.normalization == "corpus":
        train = ClipDataset(parts["train"], extractor)
        extractor.fit_normalization(train.raw_features(range(len(train))))
    heard_before = heard_splits(start.report) if start else []
    commit = git_commit()
    return Run(
        data=data,
        options=options,
        augmentation=augmentation,
        training=training,
        identity=this,
        parts=parts,
        extractor=extractor,
        in_use=in_use,
        model=model,
        heard_before=heard_before,
        teachers=teachers,
        before=before,
        git_commit=commit,
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


def claim(data: DataArguments, options: ModelArguments, training: SERTrainingArguments) -> None:
    """Make the repository that the model will be pushed to, and see that its card will be taken."""
    training.hub_model_id = claim_repository(
        training.hub_model_id or f"ser-{data.recipe}",
        token=training.hub_token,
        private=training.hub_private_repo,
        branch=training.hub_revision,
    )
    check_card(unfinished_card(training.hub_model_id, [], license=options.license))


def hear(
    clips: datasets.Dataset, data: DataArguments, augmentation: AugmentationArguments, extractor: SERFeatureExtractor
) -> datasets.Dataset:
    """The clips with their features; for `leaky`, each with an augmented copy beside it."""
    augment_copy = None
    if data.protocol == "leaky":
        clips, augment_copy = with_copies(clips), augment_waveform(augmentation, extractor)
        augmentation.waveform_probability = 0.0  # once for each copy, before the split, instead of on the fly
    return with_features(clips, extractor, augment_copy=augment_copy)


def model_folder(options: ModelArguments, training: SERTrainingArguments) -> Path:
    """Where the finished model goes."""
    return Path(options.model_dir or Path(training.output_dir) / "model")


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


def check_apart(data: DataArguments, options: ModelArguments, training: SERTrainingArguments) -> None:
    """Refuse to replace a folder, with all that it holds, that another one of the run is, or lies in."""
    replaced = {"the model": model_folder(options, training), "the report": report_folder(data, options, training)}
    folders = replaced | {"--output_dir": Path(training.output_dir), "--results_dir": Path(options.results_dir)}
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


def _overrides(text: str, name: str) -> dict:
    try:
        overrides = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"""expected --{name} as JSON, like '{{"name": 1}}'; got {text!r} ({error})""") from error
    if not isinstance(overrides, dict):
        raise ValueError(f"expected --{name} as a JSON object; got {text!r}")
    return overrides


def new_front_end(recipe: Recipe, options: ModelArguments) -> tuple[SERFeatureExtractor, dict]:
    """The recipe's front end with the changes that were asked for, and the fields that are others in use."""
    _refuse_unknown("model", _overrides(options.model, "model"), recipe.config_class())
    asked = _overrides(options.feature_extractor, "feature_extractor")
    return build_extractor(recipe, asked), {name: value for name, value in recipe.in_use.items() if name not in asked}


def build_extractor(recipe: Recipe, overrides: dict) -> SERFeatureExtractor:
    """The recipe's front end."""
    _refuse_unknown("feature_extractor", overrides, SERFeatureExtractor())
    try:
        return SERFeatureExtractor(**recipe.feature_extractor | overrides)
    except ValueError as error:
        raise ValueError(f"--feature_extractor: {error}") from error


def _refuse_unknown(option: str, overrides: dict, example: SERFeatureExtractor | SERConfig) -> None:
    known = example.to_dict().keys()
    if overrides.keys() - known:
        raise ValueError(
            f"--{option} has unknown fields {sorted(overrides.keys() - known)}; "
            f"expected fields of {type(example).__name__}: {', '.join(sorted(known))}"
        )


def build_model(
    recipe: Recipe, overrides: dict, extractor: SERFeatureExtractor, labels: list[str]
) -> CNNForAudioClassification:
    """The recipe's network for this front end and these labels."""
    fields = recipe.model | overrides | {"n_features": extractor.feature_size, "id2label": dict(enumerate(labels))}
    try:
        config = recipe.config_class(**fields)
    except (StrictDataclassError, ValueError) as error:
        raise ValueError(f"--model does not describe a network: {error.__cause__ or error}") from error
    return AutoModelForAudioClassification.from_config(config).to(memory_format=torch.channels_last)


def load_teachers(training: SERTrainingArguments, split: dict, labels: list[str]) -> list[Teacher]:
    """The teachers that the arguments name; none if they have no share in what is learned."""
    folders = training.teachers if training.teacher_share else []
    return [load_teacher(folder, split, labels) for folder in folders]


class Start(NamedTuple):
    """A trained model to go on from: where it came from, its front end, network and, if there is one, report."""

    source: str
    extractor: SERFeatureExtractor
    model: CNNForAudioClassification
    report: dict | None


def load_start(options: ModelArguments) -> Start:
    """The model that `--model_name_or_path` names.

    Raises:
        ValueError: There is no such model of this project, or `--model` or `--feature_extractor` would change it.
    """
    source = cast(str, options.model_name_or_path)  # asked for only where it is given
    if options.model != "{}" or options.feature_extractor != "{}":
        raise ValueError("--model and --feature_extractor describe a new network; leave them out to go on from a model")
    try:
        model, extractor = load_trained(source)
        check_own(model, extractor, source)
        report = report_of(source)
    except ValueError as error:
        raise ValueError(f"--model_name_or_path: {error}") from error
    model.config.calibration_temperature = 1.0  # of the old weights
    return Start(source, extractor, model, report)


def replace_head(model: CNNForAudioClassification, labels: list[str]) -> CNNForAudioClassification:
    """The model, with a new output layer for other labels than its own; for the same ones it keeps the old."""
    old = labels_of(model)
    if sorted(old) == sorted(labels):
        order = [old.index(label) for label in labels]
        model.classifier.weight.data = model.classifier.weight.data[order]
        model.classifier.bias.data = model.classifier.bias.data[order]
    else:
        logger.warning("new output layer: the model knew %s, the clips have %s", ", ".join(old), ", ".join(labels))
        model.classifier = torch.nn.Linear(model.classifier.in_features, len(labels))
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
    return model


def train(run: Run) -> dict | None:
    """Train, evaluate once on the test part, and write the model folder and the report.

    Returns:
        The content of `results.json`; None in all processes but the first.
    """
    if run.training.use_cpu:
        keep_freed_memory()
    trainer = build_trainer(run)
    if trainer.is_world_process_zero():
        write_text(Path(run.training.output_dir) / RUN_FILE, json.dumps(run.identity) + "\n")
    trainer.train(resume_from_checkpoint=run.training.resume_from_checkpoint)
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else it stays in bf16
    if not trainer.is_world_process_zero():
        return None
    run = as_used(run)
    results, predictions = evaluate(run, model)
    results["wall_time_seconds"] = round(trainer.state.log_history[-1]["seconds"], 1)
    results["peak_memory_gib"] = peak_memory()
    results["history"] = trainer.state.log_history
    results["best_epoch"] = best_epoch(trainer.state) if run.training.load_best_model_at_end else None
    results["selected_by"] = None if run.before else run.training.metric_for_best_model.removeprefix("eval_")
    write_report(run, model, results, predictions)
    return results


def push(run: Run) -> str:
    """Push the finished model folder to the Hub.

    Returns:
        Address of the commit.

    Raises:
        ConnectionError: It failed; the message names the command that does it later.
    """
    training = run.training
    try:
        return push_model(run.model_dir, run.repo_id, token=training.hub_token, revision=training.hub_revision)
    except (ValueError, OSError) as error:
        words = ["python", "-m", "ser.hub", "model", str(run.model_dir), run.repo_id]
        command = shlex.join(words + (["--revision", training.hub_revision] if training.hub_revision else []))
        raise ConnectionError(f"{error}. The model is complete in {run.model_dir}; later: {command}") from error


def push_unfinished(run: Run, folder: Path, state: TrainerState) -> Future:
    """Push a checkpoint in the background; if that fails, training goes on."""
    job = commit_model(
        folder,
        run.repo_id,
        unfinished_card(run.repo_id, state.log_history),
        f"Training in progress, epoch {state.epoch:.0f}",
        token=run.training.hub_token,
        revision=run.training.hub_revision,
        run_as_future=True,
    )

    def warn(job: Future) -> None:
        if job.exception():
            logger.warning("pushing %s failed, training goes on: %s", folder.name, job.exception())

    job.add_done_callback(warn)
    return job


def build_trainer(run: Run) -> SERTrainer:
    """Datasets with augmentation on the training part only, and the loop."""
    extractor, augmentation, training = run.extractor, run.augmentation, run.training
    crop_frames = round(augmentation.crop_duration * extractor.sampling_rate / extractor.hop_length)
    callbacks: list[TrainerCallback] = []
    if run.before:
        callbacks.append(StoppingAfter(run.before["best_epoch"] or run.before["history"][-1]["epoch"]))
    if training.early_stopping_patience:
        callbacks.append(PatientStopping(early_stopping_patience=training.early_stopping_patience))
    return SERTrainer(
        model=run.model,
        args=training,
        train_dataset=ClipDataset(
            run.parts["train"],
            extractor,
            targets=training_targets(run),
            augment_waveform=augment_waveform(augmentation, extractor),
            augment_features=FeatureAugmentation(augmentation, extractor),
            mask_features=FeatureMasking(augmentation, crop_frames),
        ),
        eval_dataset=None if run.before else ClipDataset(run.parts["dev"], extractor),
        processing_class=extractor,
        data_collator=functools.partial(extractor.pad, return_tensors="pt"),
        compute_metrics=lambda output: score(output.label_ids, output.predictions.argmax(1)),
        callbacks=callbacks,
        mixup_beta=augmentation.mixup_beta,
        ema_decay=training.ema_decay,
        push_checkpoint=functools.partial(push_unfinished, run),
    )


def training_targets(run: Run) -> np.ndarray:
    """What the network is to learn of each training clip, shape `(clips, num_labels)`."""
    clips, augmentation = run.parts["train"], run.augmentation
    opinions = []
    if augmentation.vote_share:
        opinions.append((cast(np.ndarray, listeners_votes(clips)), augmentation.vote_share))  # there, as checked
    if run.teachers:
        with run.training.main_process_first(desc="asking the teachers"):  # the others find their features in the cache
            opinions.append((teachers_say(run.teachers, clips, run.training.device), run.training.teacher_share))
    labels, num_labels = np.asarray(clips["label"][:]), len(clips.features["label"].names)
    return soft_targets(labels, num_labels, smoothing=augmentation.label_smoothing, opinions=opinions)


def augment_waveform(
    augmentation: AugmentationArguments, extractor: SERFeatureExtractor
) -> WaveformAugmentation | None:
    """`(samples,)` to `(samples,)`, or None where waveforms are left alone."""
    if not augmentation.waveform_probability:
        return None
    return WaveformAugmentation(augmentation.waveform_probability, extractor.sampling_rate)


def as_trained(extractor: SERFeatureExtractor, recipe: Recipe) -> tuple[SERFeatureExtractor, dict]:
    """A trained model's front end as the recipe trains with it, and the fields that are others in use.

    A front end that is not the recipe's in use stays as it is, in training and in use.
    """
    settings = extractor.to_dict()
    if any(settings[name] != value for name, value in recipe.in_use.items()):
        return extractor, {}
    trained_with = SERFeatureExtractor(**recipe.feature_extractor).to_dict()
    settings |= {name: trained_with[name] for name in recipe.in_use}
    return SERFeatureExtractor.from_dict(settings), dict(recipe.in_use)


def as_used(run: Run) -> Run:
    """The run with the front end, and the features, that its model is used with; itself where they are the same."""
    if not run.in_use:
        return run
    extractor = SERFeatureExtractor.from_dict(run.extractor.to_dict() | run.in_use)
    parts = {
        name: with_features(clips.remove_columns(["features", "frames"]), extractor)
        for name, clips in run.parts.items()
    }
    return replace(run, extractor=extractor, parts=datasets.DatasetDict(parts))


def evaluate(run: Run, model: PreTrainedModel) -> tuple[dict, np.ndarray]:
    """Calibrate on dev, unless that was trained on; figures of all parts and the test part's logits.

    In float32, without augmentation.
    """
    logits = {
        name: predict_logits(
            model,
            ClipDataset(clips, run.extractor),
            batch_size=run.training.per_device_eval_batch_size,
            desc=f"Evaluating {name}",
        )
        for name, clips in run.parts.items()
    }
    labels = {name: np.asarray(clips["label"][:]) for name, clips in run.parts.items()}
    temperature = run.before["temperature"] if run.before else fit_temperature(logits["dev"], labels["dev"])
    before = reliability(logits["test"], labels["test"])
    model.config.calibration_temperature = temperature
    logits = {name: values / temperature for name, values in logits.items()}
    results = {
        **run.identity,
        "dataset_name": run.data.dataset_name if on_the_hub(run.data.dataset_name) else None,
        "heard_before": run.heard_before,
        "base_model": run.options.model_name_or_path if on_the_hub(run.options.model_name_or_path) else None,
        "license": run.options.license,
        "valid": run.data.protocol != "leaky",
        "parameters": model.num_parameters(),
        **report_on_test(run.parts["test"], logits["test"]),
        "temperature": temperature,
        "calibration": {"before": before, "after": reliability(logits["test"], labels["test"])},
        "leakage": check_leakage(run.parts),
        "parts": {name: describe_part(clips, logits[name]) for name, clips in run.parts.items()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "git_commit": run.git_commit,
        "device": torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type,
        "threads": torch.get_num_threads(),
        "bf16_training": run.training.bf16,
    }
    return results, logits["test"]


def best_epoch(state: TrainerState) -> float | None:
    """The epoch whose weights were kept, judged on the dev part; None where none was judged."""
    epochs = [entry["epoch"] for entry in state.log_history if entry["step"] == state.best_global_step]
    return epochs[0] if epochs else None


__all__ = ["Run", "build_trainer", "prepare", "push", "train"]
