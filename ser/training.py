"""From command-line arguments to a model folder and a report: the run that `train.py` starts."""

import argparse
import functools
import json
import logging
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from importlib.metadata import version
from pathlib import Path

import datasets
import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForAudioClassification
from transformers import EarlyStoppingCallback
from transformers import HfArgumentParser
from transformers import PreTrainedModel
from transformers import SchedulerType
from transformers import TrainerState
from transformers import TrainingArguments
from transformers import set_seed
from transformers.trainer_utils import get_last_checkpoint

from ser.augmentation import AugmentationArguments
from ser.augmentation import FeatureAugmentation
from ser.augmentation import FeatureMasking
from ser.augmentation import waveform_augmentation
from ser.clips import ClipDataset
from ser.clips import with_features
from ser.configuration_ser import SERConfig
from ser.corpora import load_crema_d
from ser.corpora import load_emodb
from ser.corpora import load_labelled_audio
from ser.corpora import split
from ser.corpora.crema_d import CremaD
from ser.corpora.emodb import EmoDB
from ser.corpora.splits import PROTOCOLS
from ser.corpora.splits import check_leakage
from ser.corpora.splits import with_copies
from ser.evaluation import describe_part
from ser.evaluation import predict_logits
from ser.evaluation import report_on_test
from ser.evaluation import score
from ser.feature_extraction_ser import SERFeatureExtractor
from ser.memory import keep_freed_memory
from ser.memory import peak_memory
from ser.recipes import Recipe
from ser.recipes import load_recipe
from ser.recipes import recipe_names
from ser.report import write_report
from ser.trainer import SERTrainer
from ser.trainer import has_bf16

logger = logging.getLogger(__name__)

LOCAL = ("--cache_dir", "--output_dir", "--model_dir", "--results_dir", "--resume_from_checkpoint")
PACKAGES = ("torch", "transformers", "datasets", "numpy", "soundfile", "soxr", "audiomentations")


@dataclass
class DataArguments:
    """What to train on, and how to split it."""

    recipe: str = field(metadata={"help": "The system to train.", "choices": recipe_names()})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the clips of the corpus."})
    corpus: str = field(default="crema-d", metadata={"help": "Which corpus it is.", "choices": ["crema-d", "emodb"]})
    download: bool = field(default=False, metadata={"help": "Fetch CREMA-D into --data_dir first (600 MB, resumable)."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "A dataset on the Hub or on disk with audio and labels, instead of --data_dir."}
    )
    audio_column: str = field(default="audio", metadata={"help": "Its column with audio."})
    label_column: str = field(default="label", metadata={"help": "Its column with labels."})
    protocol: str = field(default="tfds", metadata={"help": "How to split.", "choices": list(PROTOCOLS)})
    fold: int | None = field(default=None, metadata={"help": "With --protocol actor-5fold (1 to 5) or loso."})
    split_seed: int = field(default=0, metadata={"help": "With the random protocols."})
    share_of_clips: float = field(
        default=1.0, metadata={"help": "Use a fixed share of the clips in all parts: a smaller budget, and marked so."}
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Where tables and features are cached."})


@dataclass
class ModelArguments:
    """Changes to the recipe's network and front end, and where its results go."""

    model: str = field(default="{}", metadata={"help": """Fields of the network, as JSON: '{"dropout": 0.4}'."""})
    feature_extractor: str = field(default="{}", metadata={"help": """Its front end, as JSON: '{"n_mels": 64}'."""})
    model_dir: str | None = field(default=None, metadata={"help": "Model folder; default: OUTPUT_DIR/model."})
    results_dir: str = field(default="results", metadata={"help": "Reports go to folders below this one."})


@dataclass
class SERTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of this project."""

    output_dir: str | None = field(
        default=None, metadata={"help": "Checkpoints; default: runs/RECIPE/PROTOCOL/seed-SEED."}
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to look at the dev part."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints kept beside the best one."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Keep the best epoch, judged on dev."})
    metric_for_best_model: str | None = field(default="uar", metadata={"help": "Figure on the dev part that decides."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Clips a batch on dev and test."})
    seed: int = field(default=0, metadata={"help": "Of weights, batches and augmentation."})
    early_stopping_patience: int = field(
        default=15, metadata={"help": "Epochs without a better dev figure; 0 for never."}
    )
    ema_decay: float = field(
        default=0.0, metadata={"help": "Decay per step of the weights' moving average; 0 for none."}
    )

    def __post_init__(self):
        """A plateau of a figure that should grow is not one of a figure that should shrink, torch's default."""
        super().__post_init__()
        if self.lr_scheduler_type == SchedulerType.REDUCE_ON_PLATEAU:
            mode = {"mode": "max" if self.greater_is_better else "min"}
            self.lr_scheduler_kwargs = mode | (self.lr_scheduler_kwargs or {})


@dataclass
class Run:
    """All that one training run needs, checked before it starts."""

    data: DataArguments
    options: ModelArguments
    augmentation: AugmentationArguments
    training: SERTrainingArguments
    parts: datasets.DatasetDict
    extractor: SERFeatureExtractor
    model: PreTrainedModel
    git_commit: str | None

    @property
    def name(self) -> str:
        """Folder of the run below `runs/` and `results/`."""
        return run_name(self.data, self.training.seed)

    @property
    def model_dir(self) -> Path:
        """Where the finished model goes."""
        return Path(self.options.model_dir or Path(self.training.output_dir) / "model")

    @property
    def results_dir(self) -> Path:
        """Where the report goes."""
        return Path(self.options.results_dir) / self.name


def run_name(data: DataArguments, seed: int) -> str:
    """`RECIPE/PROTOCOL/seed-N`, with the fold or the split's seed, and with the corpus if it is not CREMA-D."""
    protocol = data.protocol
    if corpus_title(data) != CremaD.TITLE:
        protocol = f"{corpus_title(data).lower()}-{protocol}"
    prefix = f"fold-{data.fold}-" if data.fold else ""
    if data.protocol.startswith("random") or data.protocol == "leaky":
        prefix = f"split-{data.split_seed}-"
    if data.share_of_clips < 1:
        prefix += f"share-{data.share_of_clips}-"
    return f"{data.recipe}/{protocol}/{prefix}seed-{seed}"


def parse_arguments(arguments: list[str] | None = None) -> tuple:
    """Command line to the four dataclasses; the recipe gives the defaults of all of them."""
    parser = HfArgumentParser((DataArguments, ModelArguments, AugmentationArguments, SERTrainingArguments))
    parser.set_defaults(use_cpu=not torch.cuda.is_available())  # else bf16 on a CPU is refused
    peek = argparse.ArgumentParser(add_help=False)
    peek.add_argument("--recipe", choices=recipe_names())
    recipe_name = peek.parse_known_args(arguments)[0].recipe
    if recipe_name:
        recipe = load_recipe(recipe_name)
        parser.set_defaults(**recipe.data, **recipe.augmentation, **recipe.training)
        known, _ = parser.parse_known_args(arguments)
        parser.set_defaults(bf16=has_bf16(known.use_cpu), output_dir=str(Path("runs") / run_name(known, known.seed)))
    return parser.parse_args_into_dataclasses(arguments)


def prepare(
    data: DataArguments, options: ModelArguments, augmentation: AugmentationArguments, training: SERTrainingArguments
) -> Run:
    """Load, check and split the clips, extract features, build the model.

    Raises:
        ValueError: An argument or the data cannot be used; the message says what to change.
        ConnectionError: The corpus could not be fetched.
    """
    set_seed(training.seed)
    training.resume_from_checkpoint = find_checkpoint(training)
    recipe = load_recipe(data.recipe)
    model_fields = _overrides(options.model, "model")
    _refuse_unknown("model", model_fields, recipe.config_class())
    extractor = build_extractor(recipe, _overrides(options.feature_extractor, "feature_extractor"))
    if (augmentation.gain_db or augmentation.frequency_shift) and extractor.features != ["log_mel"]:
        raise ValueError("gain_db and frequency_shift need features of log_mel alone; set both to 0 for other features")
    clips, augment_copy = fixed_share(load_clips(data), data.share_of_clips), None
    if data.protocol == "leaky":
        clips, augment_copy = with_copies(clips), augment_waveform(augmentation, extractor)
        augmentation.waveform_probability = 0.0  # once for each copy, before the split, instead of on the fly
    clips = with_features(clips, extractor, augment_copy=augment_copy)
    parts = split(clips, data.protocol, fold=data.fold, split_seed=data.split_seed)
    if extractor.normalization == "corpus":
        train = ClipDataset(parts["train"], extractor)
        extractor.fit_normalization(train.raw_features(index) for index in range(len(train)))
    model = build_model(recipe, model_fields, extractor, clips.features["label"].names)
    return Run(data, options, augmentation, training, parts, extractor, model, git_commit())


def find_checkpoint(training: SERTrainingArguments) -> str | None:
    """The checkpoint to go on from; refuses to mix a new run with the checkpoints of an earlier one."""
    wanted, folder = training.resume_from_checkpoint, Path(training.output_dir)
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if wanted == "last" and last is None:
        raise ValueError(f"there is no checkpoint in {folder} to go on from; start without --resume_from_checkpoint")
    if wanted is None and last is not None:
        raise ValueError(
            f"{folder} holds the checkpoints of an earlier run; go on from them with --resume_from_checkpoint last, "
            "remove that folder, or set another --output_dir"
        )
    if wanted not in (None, "last") and not Path(wanted).is_dir():
        raise ValueError(f"expected a checkpoint folder or 'last' for --resume_from_checkpoint; got {wanted!r}")
    return last if wanted == "last" else wanted


def load_clips(data: DataArguments) -> datasets.Dataset:
    """The clips that the arguments name."""
    if bool(data.data_dir) == bool(data.dataset_name):
        raise ValueError(
            "expected either --data_dir (a folder with a corpus) or --dataset_name (a dataset); give one of them"
        )
    if data.data_dir and data.corpus == "emodb":
        return load_emodb(data.data_dir, cache_dir=data.cache_dir)
    if data.data_dir:
        return load_crema_d(data.data_dir, download=data.download, cache_dir=data.cache_dir)
    return load_labelled_audio(
        data.dataset_name, audio_column=data.audio_column, label_column=data.label_column, cache_dir=data.cache_dir
    )


def fixed_share(clips: datasets.Dataset, share: float) -> datasets.Dataset:
    """The same share of the clips, drawn at random, in every run."""
    if not 0 < share <= 1:
        raise ValueError(f"expected --share_of_clips above 0 and at most 1; got {share}")
    if share == 1:
        return clips
    return clips.select(np.sort(np.random.default_rng(0).permutation(len(clips))[: round(share * len(clips))]))


def corpus_title(data: DataArguments) -> str:
    """The corpus as a card calls it."""
    titles = {"crema-d": CremaD.TITLE, "emodb": EmoDB.TITLE}
    return Path(data.dataset_name).name if data.dataset_name else titles[data.corpus]


def _overrides(text: str, name: str) -> dict:
    try:
        overrides = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"""expected --{name} as JSON, like '{{"name": 1}}'; got {text!r} ({error})""") from error
    if not isinstance(overrides, dict):
        raise ValueError(f"expected --{name} as a JSON object; got {text!r}")
    return overrides


def build_extractor(recipe: Recipe, overrides: dict) -> SERFeatureExtractor:
    """The recipe's front end."""
    _refuse_unknown("feature_extractor", overrides, SERFeatureExtractor())
    try:
        return SERFeatureExtractor(**recipe.feature_extractor | overrides)
    except TypeError as error:
        raise ValueError(f"--feature_extractor has a value of the wrong type: {error}") from error


def _refuse_unknown(option: str, overrides: dict, example: SERFeatureExtractor | SERConfig) -> None:
    known = example.to_dict().keys()
    if overrides.keys() - known:
        raise ValueError(
            f"--{option} has unknown fields {sorted(overrides.keys() - known)}; "
            f"expected fields of {type(example).__name__}: {', '.join(sorted(known))}"
        )


def build_model(recipe: Recipe, overrides: dict, extractor: SERFeatureExtractor, labels: list[str]) -> PreTrainedModel:
    """The recipe's network for this front end and these labels."""
    fields = recipe.model | overrides | {"n_features": extractor.feature_size}
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    try:
        config = recipe.config_class(**fields, **names)
    except StrictDataclassError as error:
        raise ValueError(f"--model does not describe a network: {error.__cause__ or error}") from error
    return AutoModelForAudioClassification.from_config(config).to(memory_format=torch.channels_last)


def train(run: Run) -> dict:
    """Train, evaluate once on the test part, and write the model folder and the report.

    Returns:
        The content of `results.json`.
    """
    if run.training.use_cpu:
        keep_freed_memory()
    trainer = build_trainer(run)
    trainer.train(resume_from_checkpoint=run.training.resume_from_checkpoint)
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else it stays in bf16
    results, predictions = evaluate(run, model)
    results["wall_time_seconds"] = round(trainer.state.log_history[-1]["seconds"], 1)
    results["peak_memory_gib"] = peak_memory()
    results["history"] = trainer.state.log_history
    results["best_epoch"] = best_epoch(trainer.state)
    results["selected_by"] = run.training.metric_for_best_model.removeprefix("eval_")
    if trainer.is_world_process_zero():
        write_report(run, model, results, predictions)
    return results


def build_trainer(run: Run) -> SERTrainer:
    """Datasets with augmentation on the training part only, and the loop."""
    extractor, augmentation, training = run.extractor, run.augmentation, run.training
    crop_frames = round(augmentation.crop_duration * extractor.sampling_rate / extractor.hop_length)
    callbacks = []
    if training.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=training.early_stopping_patience))
    return SERTrainer(
        model=run.model,
        args=training,
        train_dataset=ClipDataset(
            run.parts["train"],
            extractor,
            augment_waveform=augment_waveform(augmentation, extractor),
            augment_features=FeatureAugmentation(augmentation),
            mask_features=FeatureMasking(augmentation, crop_frames),
        ),
        eval_dataset=ClipDataset(run.parts["dev"], extractor),
        processing_class=extractor,
        data_collator=functools.partial(extractor.pad, return_tensors="pt"),
        compute_metrics=lambda output: score(output.label_ids, output.predictions.argmax(1)),
        callbacks=callbacks,
        augmentation=augmentation,
        ema_decay=training.ema_decay,
    )


def augment_waveform(augmentation: AugmentationArguments, extractor: SERFeatureExtractor) -> Callable | None:
    """`(samples,)` to `(samples,)`, or None where waveforms are left alone."""
    if not augmentation.waveform_probability:
        return None
    return waveform_augmentation(augmentation.waveform_probability, extractor.sampling_rate)


def evaluate(run: Run, model: PreTrainedModel) -> tuple[dict, np.ndarray]:
    """Figures of the three parts and the test part's logits, all in float32 and without augmentation."""
    logits = {
        name: predict_logits(
            model,
            ClipDataset(clips, run.extractor),
            batch_size=run.training.per_device_eval_batch_size,
            desc=f"Evaluating {name}",
        )
        for name, clips in run.parts.items()
    }
    results = {
        "recipe": run.data.recipe,
        "corpus": corpus_title(run.data),
        "protocol": run.data.protocol,
        "fold": run.data.fold,
        "split_seed": run.data.split_seed,
        "share_of_clips": run.data.share_of_clips,
        "valid": run.data.protocol != "leaky",
        "seed": run.training.seed,
        "parameters": model.num_parameters(),
        **report_on_test(run.parts["test"], logits["test"]),
        "leakage": check_leakage(run.parts),
        "parts": {name: describe_part(clips, logits[name]) for name, clips in run.parts.items()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "git_commit": run.git_commit,
        "command": command_line(sys.argv),
        "device": torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type,
        "threads": torch.get_num_threads(),
        "bf16_training": run.training.bf16,
    }
    return results, logits["test"]


def best_epoch(state: TrainerState) -> float | None:
    """The epoch whose weights were kept, judged on the dev part; None where none was judged."""
    epochs = [entry["epoch"] for entry in state.log_history if entry["step"] == state.best_global_step]
    return epochs[0] if epochs else None


def command_line(arguments: list[str]) -> str:
    """What to type to repeat a run; folders of this machine are left out.

    Example:
        >>> command_line(["/home/me/train.py", "--recipe", "cnn2d", "--data_dir", "/data/mine", "--cache_dir", "/tmp"])
        'python train.py --recipe cnn2d --data_dir DIR'
    """
    words = [part for word in arguments[1:] for part in (word.split("=", 1) if word.startswith("--") else [word])]
    kept = ["python", Path(arguments[0]).name]
    for option, word in zip(["", *words], words, strict=False):
        local = option == "--data_dir" or (option == "--dataset_name" and Path(word).exists())
        if word not in LOCAL and option not in LOCAL:
            kept.append("DIR" if local else word)
    return shlex.join(kept)


def git_commit() -> str | None:
    """Commit of the code, with "-dirty" if the code was changed since; None outside a clone."""
    package = Path(__file__).parent
    try:
        head = _git(package.parent, "rev-parse", "HEAD")
        changed = _git(package.parent, "status", "--porcelain", "--", package.name, "train.py", "requirements.txt")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


__all__ = ["parse_arguments", "prepare", "train"]
