"""The command line of `train.py`, with a recipe's values as defaults, and the name of a run."""

import argparse
import json
import logging
import shlex
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from pathlib import Path
from typing import Any
from typing import cast

import torch
from transformers import SchedulerType
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy
from transformers.trainer_utils import SaveStrategy

from ser.corpora import CORPORA
from ser.corpora import title_of
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d_download import SIZE
from ser.corpora.given_splits import brings_splits
from ser.corpora.several_corpora import check_emotional
from ser.corpora.several_corpora import training_corpora
from ser.corpora.splits import ACROSS_CORPORA
from ser.corpora.splits import LEAVE_ONE_CORPUS_OUT
from ser.corpora.splits import PER_CORPUS
from ser.corpora.splits import PROTOCOLS
from ser.models.folding_ser import has_bfloat16
from ser.nearest_name import nearest
from ser.recipes import DEFAULT_RECIPE
from ser.recipes import load_recipe
from ser.recipes import recipe_names
from ser.training.augmentation import AugmentationArguments
from ser.training.augmentation import check_range
from ser.training.option_parser import OptionParser

logger = logging.getLogger(__name__)

# Options that a report's command leaves out, as it does all that begin with hub_.
LOCAL: tuple[str, ...] = ("cache_dir", "output_dir", "model_dir", "results_dir", "resume_from_checkpoint")
LOCAL += ("push_to_hub", "disable_tqdm", "report_to", "run_name", "project", "logging_dir")
# Options written as DIR in that command if they name a local folder.
FOLDERS = ("data_dir", "dataset_dir", "dataset_name", "model_name_or_path", "teachers")
# Options of `TrainingArguments` that `--help` shows, in the groups "training" and "publishing".
COMMON = [
    *("num_train_epochs", "max_steps", "per_device_train_batch_size", "learning_rate", "weight_decay"),
    *("lr_scheduler_type", "warmup_steps", "bf16", "use_cpu", "dataloader_num_workers"),
    "report_to",
]
PUBLISHING = [
    *("push_to_hub", "hub_model_id", "hub_private_repo", "hub_revision", "hub_strategy", "hub_token", "license"),
]


@dataclass
class DataArguments:
    """Training data, and how to split it."""

    recipe: str = field(default=DEFAULT_RECIPE, metadata={"help": f"The system to train: {', '.join(recipe_names())}."})
    variant: str | None = field(
        default=None, metadata={"help": "A named change of the recipe; its file in ser/recipes lists them."}
    )
    data_dir: str | None = field(
        default=None,
        metadata={"help": f"Folder with the corpus. By default data/CORPUS; CREMA-D is downloaded there ({SIZE})."},
    )
    corpus: str = field(default="crema-d", metadata={"help": f"The corpus: {', '.join(CORPORA)}."})
    corpora: list[str] = field(
        default_factory=list,
        metadata={"help": "Instead of --corpus: several corpora together, each with its folder: NAME=DIR NAME=DIR ..."},
    )
    test_corpus: str | None = field(
        default=None, metadata={"help": "The one of --corpora to test on instead of training on it."}
    )
    dataset_name: str | None = field(
        default=None, metadata={"help": "Instead of a corpus: a dataset on the Hub or on disk, with audio and labels."}
    )
    dataset_config: str | None = field(
        default=None, metadata={"help": "Configuration of that dataset; needed if it has several."}
    )
    dataset_dir: str | None = field(
        default=None,
        metadata={
            "help": "Instead of a corpus: a folder with your own clips and metadata.csv (file, label, speaker), "
            "or with a subfolder for each label."
        },
    )
    audio_column: str = field(default="audio", metadata={"help": "The dataset's column with audio."})
    label_column: str = field(default="label", metadata={"help": "The dataset's column with labels."})
    protocol: str = field(
        default="tfds",
        metadata={
            "help": f"How to split (see docs/training.md): {', '.join(PROTOCOLS)}. For your own clips or a "
            "dataset, the default is given where they have splits, else speakers; --corpora sets its own."
        },
    )
    fold: int | None = field(
        default=None, metadata={"help": "The fold to test on, of actor-5fold (1 to 5), new-sentences (1 to 3) or loso."}
    )
    split_seed: int = field(
        default=0, metadata={"help": "Seed of splits that are drawn at random: given, speakers, random, leaky."}
    )
    refit: bool = field(
        default=False,
        metadata={
            "help": "Train on the training and dev splits together. If dev chooses the epoch, run the same command "
            "without --refit first: this run takes over its number of epochs and its calibration temperature."
        },
    )
    share_of_clips: float = field(
        default=1.0, metadata={"help": "Use a fixed random share of the clips, the same in each run."}
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Folder where tables and features are cached."})
    command: str = field(init=False, default="")  # that repeats the run

    def __post_init__(self) -> None:
        """Refuse unknown names, and a corpus of ordinary speech only."""
        protocols = (*PROTOCOLS, *ACROSS_CORPORA)
        for name, known in (("recipe", recipe_names()), ("corpus", CORPORA), ("protocol", protocols)):
            if (given := getattr(self, name)) not in known:
                raise ValueError(
                    f"expected --{name} to be one of {', '.join(known)}; got {given!r}{nearest(given, known)}"
                )
        if not (self.corpora or self.dataset_name or self.dataset_dir):
            check_emotional(CORPORA[self.corpus])
        self._check_corpora()

    def _check_corpora(self) -> None:
        """Refuse options that require several corpora, or exclude them."""
        protocol = _protocol_across(self.corpora, self.test_corpus)
        if protocol is None and (self.test_corpus or self.protocol in ACROSS_CORPORA):
            raise ValueError("--test_corpus and the protocols of several corpora need --corpora with two or more")
        if protocol is None:
            return
        training_corpora(self.corpora, self.test_corpus)
        if self.protocol != protocol or self.fold is not None:
            raise ValueError(
                f"--corpora goes with --protocol {PER_CORPUS}, or with --test_corpus and {LEAVE_ONE_CORPUS_OUT}, and "
                "with no --fold"
            )


@dataclass
class ModelArguments:
    """Changes to the recipe's network and feature extractor, and where the results go."""

    model: str = field(default="{}", metadata={"help": """Fields of the network, as JSON: '{"dropout": 0.4}'."""})
    feature_extractor: str = field(
        default="{}", metadata={"help": """Fields of the feature extractor, as JSON: '{"n_mels": 64}'."""}
    )
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "A trained model to fine-tune; it gets a new output layer if its labels differ."},
    )
    license: str | None = field(
        default=None, metadata={"help": "License of the model, for its card: apache-2.0, mit, ..."}
    )
    model_dir: str | None = field(
        default=None, metadata={"help": "Model folder, replaced if it exists; default: OUTPUT_DIR/model."}
    )
    results_dir: str = field(
        default="results",
        metadata={"help": "Folder for reports, one folder a run; with --share_of_clips below 1: runs/results."},
    )


@dataclass
class SERTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of this project."""

    output_dir: str = field(
        default="trainer_output", metadata={"help": "Folder for checkpoints; default: runs/RECIPE/PROTOCOL/seed-SEED."}
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate on dev."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    save_total_limit: int | None = field(
        default=1, metadata={"help": "How many checkpoints to keep beside the best one."}
    )
    load_best_model_at_end: bool = field(
        default=True, metadata={"help": "Keep the weights of the epoch that is best on dev."}
    )
    metric_for_best_model: str = field(default="uar", metadata={"help": "Metric on dev that chooses the epoch."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Leave losses that are not finite out of the log; slower on a GPU."}
    )
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Clips per batch on dev and test."})
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={"help": "Continue an interrupted run: last for its last checkpoint, or the folder of another one."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of weights, batches and augmentation."})
    push_to_hub: bool = field(default=False, metadata={"help": "Push the finished model to the Hugging Face Hub."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Repository; default: YOUR_NAME/ser-RECIPE."})
    hub_strategy: str = field(
        default="end",
        metadata={
            "help": "When to push with --push_to_hub: end, or also at every checkpoint (checkpoint, every_save). "
            "Optimizer states stay local."
        },
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Not needed: every network here uses all its parameters."}
    )
    early_stopping_patience: int = field(
        default=15, metadata={"help": "Stop after this many epochs without improvement on dev; 0 for never."}
    )
    ema_decay: float = field(
        default=0.0, metadata={"help": "Decay per step of the weights' moving average; 0 for none."}
    )
    start_share: float = field(
        default=0.0,
        metadata={
            "help": "With --model_name_or_path: average the trained weights with those of that model, which count for "
            "this share (Wortsman et al. 2022, arXiv:2109.01903)."
        },
    )
    teachers: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of models trained on the same split, whose probabilities the network learns as well as "
            "the labels (distillation)."
        },
    )
    teacher_share: float = field(
        default=0.5, metadata={"help": "Weight of the teachers in the training target; 0 trains without them."}
    )
    chooses_epoch: bool = field(init=False, default=True)  # on dev, here or, with --refit, in the run before

    def __getstate__(self) -> dict:
        """Without the token: `Trainer` pickles its arguments into each checkpoint."""
        return self.__dict__ | {"hub_token": None}

    def __post_init__(self) -> None:
        """Check shares and sizes, use one GPU per process, and set whether a plateau is of a maximum or a minimum."""
        self.remove_unused_columns = False  # all columns are used
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            check_range(name, getattr(self, name), at_least=1)
        for name in ("num_train_epochs", "learning_rate", "dataloader_num_workers"):
            check_range(name, getattr(self, name))
        for name in ("teacher_share", "ema_decay", "start_share"):
            check_range(name, getattr(self, name), at_most=1)
        self.chooses_epoch = self.load_best_model_at_end or self.early_stopping_patience > 0
        if self.accelerator_config is None and not self.use_cpu:
            self.accelerator_config = {"non_blocking": True}  # copies a batch to the GPU while the GPU computes
        super().__post_init__()
        if self.n_gpu > 1:
            logger.info("one of %d GPUs is used; for all: torchrun --nproc_per_node %d train.py ...", *2 * [self.n_gpu])
            self._n_gpu = 1  # else Trainer would multiply the batch size by the number of GPUs, in one process
        if self.lr_scheduler_type == SchedulerType.REDUCE_ON_PLATEAU:
            mode = {"mode": "max" if self.greater_is_better else "min"}
            self.lr_scheduler_kwargs = mode | cast(dict, self.lr_scheduler_kwargs or {})  # JSON is read by now


@dataclass
class Arguments:
    """All command-line options."""

    data: DataArguments
    options: ModelArguments
    augmentation: AugmentationArguments
    training: SERTrainingArguments

    @property
    def name(self) -> str:
        """`RECIPE/PROTOCOL/seed-N`, with the fold or split seed, the corpus if not CREMA-D, and what else differs."""
        data = self.data
        protocol = data.protocol
        if corpus_title(data) != CremaD.TITLE:
            protocol = f"{corpus_title(data).lower().replace(' ', '')}-{protocol}"
        prefix = f"fold-{data.fold}-" if data.fold else f"test-{data.test_corpus}-" if data.test_corpus else ""
        if data.protocol.startswith(("random", "leaky", "speakers", "given", *ACROSS_CORPORA)):
            prefix += f"split-{data.split_seed}-"
        if data.variant:
            prefix += f"{data.variant}-"
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


def parse_arguments(arguments: list[str] | None = None, *, description: str | None = None) -> Arguments:
    """Parse a command line; the recipe sets the defaults.

    Args:
        arguments: Without the name of the program; default: those of this process.
        description: Shown above the options by `--help`.

    Raises:
        ValueError: An option is unknown or has a wrong value.
        SystemExit: Help was asked for, and printed.
    """
    dataclasses = (DataArguments, ModelArguments, AugmentationArguments, SERTrainingArguments)
    parser = OptionParser(dataclasses)
    parser.set_defaults(use_cpu=not torch.cuda.is_available())  # else bf16 on a CPU is refused
    peeked = _peek(arguments)
    if peeked.recipe in recipe_names():
        recipe = load_recipe(peeked.recipe, peeked.variant)
        own_data = _own_protocol(peeked)
        parser.set_defaults(**recipe.data | own_data, **recipe.augmentation, **recipe.training)
    if peeked.help or peeked.help_all:
        groups, epilog = option_groups(), "--help_all also lists the other options of transformers.TrainingArguments."
        if peeked.help_all:
            shown = {name for names in groups.values() for name in names}
            groups["all others, of transformers.TrainingArguments"] = [n for n in parser.fields if n not in shown]
        parser.print_groups(groups, description=description, epilog=None if peeked.help_all else epilog)
        raise SystemExit(0)
    known: Any = parser.parse_known_args(arguments)[0]  # has the fields of all four
    if known.lr_scheduler_type != parser.get_default("lr_scheduler_type"):
        parser.set_defaults(lr_scheduler_kwargs=None)  # those of the recipe are for its own
    output_dir = Path("runs") / Arguments(known, known, known, known).name
    parser.set_defaults(bf16=has_bf16(known.use_cpu) and not known.fp16, output_dir=str(output_dir))
    if known.share_of_clips < 1:  # a trial, whose report should not be published
        parser.set_defaults(results_dir="runs/results")
    data, options, augmentation, training = parser.parse_all(arguments)
    given, recipe_alone = (vars(parser.parse_known_args(a)[0]) for a in (arguments, ["--recipe", peeked.recipe]))
    changed = {name: value for name, value in given.items() if value != recipe_alone[name]}
    if data.refit:  # whatever the command says, for it is that of the run before
        training.eval_strategy, training.eval_on_start = IntervalStrategy.NO, False
        training.load_best_model_at_end, training.early_stopping_patience = False, 0
        if training.save_strategy == SaveStrategy.BEST:
            training.save_strategy = SaveStrategy.EPOCH
    data.command = command_line({"recipe": peeked.recipe} | changed)
    return Arguments(data, options, augmentation, training)


def _peek(arguments: list[str] | None) -> argparse.Namespace:
    """The options that determine the defaults of the others."""
    peek = OptionParser()
    peek.add_argument("--recipe", default=DEFAULT_RECIPE)
    for name in ("--variant", "--dataset_name", "--dataset_config", "--dataset_dir", "--protocol", "--test_corpus"):
        peek.add_argument(name, name.replace("_", "-"))
    peek.add_argument("--corpora", nargs="+", default=[])
    peek.add_argument("-h", "--help", action="store_true")
    peek.add_argument("--help_all", "--help-all", action="store_true")
    return peek.parse_known_args(arguments)[0]


def _protocol_across(corpora: list[str], test_corpus: str | None) -> str | None:
    """The protocol of a run on several corpora; None for other runs."""
    if not corpora:
        return None
    return LEAVE_ONE_CORPUS_OUT if test_corpus else PER_CORPUS


def _own_protocol(peeked: argparse.Namespace) -> dict[str, str]:
    """The default protocol of clips that are not one of our corpora, if the command gives none."""
    if protocol := _protocol_across(peeked.corpora, peeked.test_corpus):
        return {"protocol": protocol}
    name = peeked.dataset_name or peeked.dataset_dir
    if not name:
        return {}
    looked_at = not (peeked.protocol or peeked.help or peeked.help_all)
    return {"protocol": "given" if looked_at and brings_splits(name, peeked.dataset_config) else "speakers"}


def option_groups() -> dict[str, list[str]]:
    """The options that `--help` shows, by the title of their group."""
    own = {
        "what to train on": DataArguments,
        "network": ModelArguments,
        "augmentation": AugmentationArguments,
        "training": SERTrainingArguments,
    }
    groups = {
        title: [each.name for each in fields(kind) if each.init and each.name in kind.__annotations__]
        for title, kind in own.items()
    }
    groups["training"] = [*COMMON, *groups["training"]]
    groups = {title: [name for name in names if name not in PUBLISHING] for title, names in groups.items()}
    return groups | {"publishing": list(PUBLISHING)}


def has_bf16(use_cpu: bool) -> bool:
    """Whether bf16 arithmetic is fast here: on a CUDA device that has it, or on a CPU with AVX-512 BF16 or AMX."""
    if not use_cpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return has_bfloat16()


def corpus_title(data: DataArguments) -> str:
    """The title of the corpus in a card; of several, those that are trained on."""
    if data.corpora:
        return " + ".join(corpus.TITLE for corpus in training_corpora(data.corpora, data.test_corpus))
    return title_of(data.dataset_name or data.dataset_dir or data.corpus)


def command_line(given: dict) -> str:
    """The command that repeats a run, without local folders, secrets and Hub repositories.

    Args:
        given: Options that differ from the recipe, by name.

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
    if name == "corpora":
        return f"{text.partition('=')[0]}=DIR"
    local = (name in FOLDERS and not on_the_hub(text)) or text.startswith(("/", "~"))
    return "DIR" if local else text


def on_the_hub(name: str | None) -> bool:
    """Whether a dataset or model is named by its Hub id rather than by a local folder."""
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
