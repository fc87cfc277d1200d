"""What the command line can say, with a recipe's values as defaults, and what a run is called."""

import argparse
import json
import logging
import shlex
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import cast

import torch
from transformers import HfArgumentParser
from transformers import SchedulerType
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy
from transformers.trainer_utils import SaveStrategy

from ser.corpora import CORPORA
from ser.corpora import title_of
from ser.corpora.crema_d import CremaD
from ser.corpora.splits import PROTOCOLS
from ser.recipes import load_recipe
from ser.recipes import recipe_names
from ser.training.augmentation import AugmentationArguments
from ser.training.augmentation import check_range

logger = logging.getLogger(__name__)

# Options left out of the command that a report tells, as are all that begin with hub_.
LOCAL: tuple[str, ...] = ("cache_dir", "output_dir", "model_dir", "results_dir", "resume_from_checkpoint")
LOCAL += ("push_to_hub", "disable_tqdm", "report_to", "run_name", "project", "logging_dir", "download")
# Options told as DIR where they name a folder of this machine.
FOLDERS = ("data_dir", "dataset_dir", "dataset_name", "model_name_or_path", "teachers")


@dataclass
class DataArguments:
    """What to train on, and how to split it."""

    recipe: str = field(metadata={"help": "The system to train.", "choices": recipe_names()})
    variant: str | None = field(default=None, metadata={"help": "One change of the recipe, by its name there."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the clips of the corpus."})
    corpus: str = field(default="crema-d", metadata={"help": "Which corpus it is.", "choices": list(CORPORA)})
    download: bool = field(default=False, metadata={"help": "Fetch CREMA-D into --data_dir first (600 MB, resumable)."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "A dataset on the Hub or on disk with audio and labels, instead of --data_dir."}
    )
    dataset_config: str | None = field(
        default=None, metadata={"help": "Configuration of that dataset; needed if it has several."}
    )
    dataset_dir: str | None = field(
        default=None,
        metadata={
            "help": "Your own clips, instead of --data_dir: a folder with metadata.csv (file, label, speaker), "
            "or with a subfolder for each label."
        },
    )
    audio_column: str = field(default="audio", metadata={"help": "Its column with audio."})
    label_column: str = field(default="label", metadata={"help": "Its column with labels."})
    protocol: str = field(
        default="tfds",
        metadata={"help": "How to split; default: tfds, and speakers for a dataset.", "choices": list(PROTOCOLS)},
    )
    fold: int | None = field(
        default=None, metadata={"help": "With --protocol actor-5fold (1 to 5), new-sentences (1 to 3) or loso."}
    )
    split_seed: int = field(default=0, metadata={"help": "With speakers and the random protocols."})
    held_out: int | None = field(
        default=None,
        metadata={"help": "Leave this fifth (1 to 5) of the training speakers out, for a teacher to answer."},
    )
    refit: bool = field(
        default=False,
        metadata={
            "help": "After the same command without it (but for folders and repositories that it names): train on the "
            "dev part, too, for as many epochs as were best on it then, and with the temperature that it gave."
        },
    )
    share_of_clips: float = field(
        default=1.0, metadata={"help": "Use a fixed share of the clips in all parts: a smaller budget, and marked so."}
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Where tables and features are cached."})
    command: str = field(init=False, default="")  # that repeats the run


@dataclass
class ModelArguments:
    """Changes to the recipe's network and front end, and where its results go."""

    model: str = field(default="{}", metadata={"help": """Fields of the network, as JSON: '{"dropout": 0.4}'."""})
    feature_extractor: str = field(default="{}", metadata={"help": """Its front end, as JSON: '{"n_mels": 64}'."""})
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "A trained model to go on from, front end included; other labels get a new output layer."},
    )
    license: str | None = field(default=None, metadata={"help": "Of the model, for its card: apache-2.0, mit, ..."})
    model_dir: str | None = field(
        default=None, metadata={"help": "Model folder, which is replaced if it is there; default: OUTPUT_DIR/model."}
    )
    results_dir: str = field(default="results", metadata={"help": "Reports go to folders below this one."})


@dataclass
class SERTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of this project."""

    output_dir: str = field(
        default="trainer_output", metadata={"help": "Checkpoints; default: runs/RECIPE/PROTOCOL/seed-SEED."}
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to look at the dev part."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints kept beside the best one."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Keep the best epoch, judged on dev."})
    metric_for_best_model: str = field(default="uar", metadata={"help": "Figure on the dev part that decides."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Leave losses that are no numbers out of the log; a GPU is slower with it."}
    )
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Clips a batch on dev and test."})
    seed: int = field(default=0, metadata={"help": "Of weights, batches and augmentation."})
    hub_strategy: str = field(
        default="end",
        metadata={
            "help": "When to push with --push_to_hub: end, or also at every checkpoint (checkpoint, every_save). "
            "Optimizer states stay local."
        },
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Of several processes; every parameter of these networks is used."}
    )
    early_stopping_patience: int = field(
        default=15, metadata={"help": "Epochs without a better dev figure; 0 for never."}
    )
    ema_decay: float = field(
        default=0.0, metadata={"help": "Decay per step of the weights' moving average; 0 for none."}
    )
    teachers: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Models trained on the same parts, whose answers to its clips are learned beside the labels."
        },
    )
    teacher_share: float = field(default=0.5, metadata={"help": "Share of the target that follows the teachers."})

    def __getstate__(self) -> dict:
        """Without the token: `Trainer` pickles its arguments into each checkpoint."""
        return self.__dict__ | {"hub_token": None}

    def __post_init__(self) -> None:
        """Check shares and sizes, keep to one GPU a process, and tell a plateau which way its figure should go."""
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size"):
            check_range(name, getattr(self, name), at_least=1)
        for name in ("teacher_share", "ema_decay"):
            check_range(name, getattr(self, name), at_most=1)
        if self.accelerator_config is None and not self.use_cpu:
            self.accelerator_config = {"non_blocking": True}  # copies a batch to the GPU while that is at work
        super().__post_init__()
        if self.n_gpu > 1:
            logger.info("one of %d GPUs is used; for all: torchrun --nproc_per_node %d train.py ...", *2 * [self.n_gpu])
            self._n_gpu = 1  # else Trainer would multiply the batch by them, within one process
        if self.lr_scheduler_type == SchedulerType.REDUCE_ON_PLATEAU:
            mode = {"mode": "max" if self.greater_is_better else "min"}
            self.lr_scheduler_kwargs = mode | cast(dict, self.lr_scheduler_kwargs or {})  # JSON is read by now


@dataclass
class Arguments:
    """All that the command line can say."""

    data: DataArguments
    options: ModelArguments
    augmentation: AugmentationArguments
    training: SERTrainingArguments

    @property
    def name(self) -> str:
        """`RECIPE/PROTOCOL/seed-N`, with the fold or split's seed, the corpus if not CREMA-D, and what is unusual."""
        data = self.data
        protocol = data.protocol
        if corpus_title(data) != CremaD.TITLE:
            protocol = f"{corpus_title(data).lower()}-{protocol}"
        prefix = f"fold-{data.fold}-" if data.fold else ""
        if data.protocol.startswith(("random", "leaky", "speakers")):
            prefix = f"split-{data.split_seed}-"
        if data.variant:
            prefix += f"{data.variant}-"
        if data.held_out:
            prefix += f"without-{data.held_out}-"
        if data.refit:
            prefix += "refit-"
        if data.share_of_clips < 1:
            prefix += f"share-{data.share_of_clips}-"
        if self.options.model_name_or_path:
            prefix += "fine-tuned-"
        if self.training.teachers and not load_recipe(data.recipe).has_teachers:
            prefix += "distilled-"
        return f"{data.recipe}/{protocol}/{prefix}seed-{self.training.seed}"

    @property
    def model_dir(self) -> Path:
        """Where the finished model goes."""
        return Path(self.options.model_dir or Path(self.training.output_dir) / "model")

    @property
    def results_dir(self) -> Path:
        """Where the report goes."""
        return Path(self.options.results_dir) / self.name


def parse_arguments(arguments: list[str] | None = None) -> Arguments:
    """What a command line says; the recipe gives the defaults of all of it."""
    dataclasses = (DataArguments, ModelArguments, AugmentationArguments, SERTrainingArguments)
    parser = HfArgumentParser(dataclasses, allow_abbrev=False)  # type: ignore[arg-type]  # asks for a NewType of its own
    parser.set_defaults(use_cpu=not torch.cuda.is_available())  # else bf16 on a CPU is refused
    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--recipe", "--variant", "--dataset_name", "--dataset_dir"):
        peek.add_argument(name, name.replace("_", "-"))
    peeked, _ = peek.parse_known_args(arguments)
    if peeked.recipe in recipe_names():
        recipe = load_recipe(peeked.recipe, peeked.variant)
        own_data = {"protocol": "speakers"} if peeked.dataset_name or peeked.dataset_dir else {}
        parser.set_defaults(**recipe.data | own_data, **recipe.augmentation, **recipe.training)
        known: Any = parser.parse_known_args(arguments)[0]  # has the fields of all four
        if known.lr_scheduler_type != parser.get_default("lr_scheduler_type"):
            parser.set_defaults(lr_scheduler_kwargs=None)  # those of the recipe are for its own
        output_dir = Path("runs") / Arguments(known, known, known, known).name
        parser.set_defaults(bf16=has_bf16(known.use_cpu), output_dir=str(output_dir))
    parsed = Arguments(*parser.parse_args_into_dataclasses(arguments))
    given, recipe_alone = (vars(parser.parse_known_args(a)[0]) for a in (arguments, ["--recipe", peeked.recipe]))
    changed = {name: value for name, value in given.items() if value != recipe_alone[name]}
    training = parsed.training
    if parsed.data.refit:  # whatever the command says, for it is that of the run before
        training.eval_strategy, training.eval_on_start = IntervalStrategy.NO, False
        training.load_best_model_at_end, training.early_stopping_patience = False, 0
        if training.save_strategy == SaveStrategy.BEST:
            training.save_strategy = SaveStrategy.EPOCH
    parsed.data.command = command_line({"recipe": peeked.recipe} | changed)
    return parsed


def has_bf16(use_cpu: bool) -> bool:
    """Whether bf16 arithmetic is fast here: on a CUDA device that has it, or on a CPU with AVX-512 BF16 or AMX."""
    if not use_cpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def corpus_title(data: DataArguments) -> str:
    """The corpus as a card calls it."""
    return title_of(data.dataset_name or data.dataset_dir or data.corpus)


def command_line(given: dict) -> str:
    """What to type to repeat a run; folders of this machine, secrets and where the author publishes are left out.

    Args:
        given: What differs from the recipe, by the name of the option.

    Example:
        >>> command_line({"recipe": "cnn2d", "data_dir": "/data/mine", "seed": 3, "hub_token": "hf_x", "bf16": False})
        'python train.py --recipe cnn2d --data_dir DIR --seed 3 --bf16 False'
    """
    words = ["python", "train.py"]
    for name, value in given.items():
        if name in LOCAL or name.startswith("hub_"):
            continue
        texts = [_as_word(name, each) for each in (value if isinstance(value, list) else [value])]
        # A word like -1e-05 after a space is taken for an option.
        words += [f"--{name}={texts[0]}"] if texts[0].startswith("-") else [f"--{name}", *texts]
    return shlex.join(words)


def _as_word(name: str, value: object) -> str:
    text = value if isinstance(value, str) else str(value) if isinstance(value, bool) else json.dumps(value)
    local = (name in FOLDERS and not on_the_hub(text)) or text.startswith(("/", "~"))
    return "DIR" if local else text


def on_the_hub(name: str | None) -> bool:
    """Whether a dataset or model is named by its id rather than by a folder of this machine."""
    if not name:
        return False
    return not Path(name).exists() and name.count("/") == 1 and not name.startswith((".", "/", "~"))


__all__ = [
    "Arguments",
    "DataArguments",
    "ModelArguments",
    "SERTrainingArguments",
    "corpus_title",
    "on_the_hub",
    "parse_arguments",
]
