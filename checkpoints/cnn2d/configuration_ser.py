"""Typed configurations of the 1D CNN, the 2D CNN and the CRNN, with all numbers of their architectures."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any
from typing import ClassVar

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from .ordinary_voice_ser import SETTINGS

BLOCKS = ("plain", "residual")
POOLINGS = ("mean", "max", "attentive_statistics", "flatten")
NORMED = ("convolution", "relu", "pool")  # layers that a batch norm may follow
INITIALIZATIONS = ("he", "glorot")
CHOICES = {"block": BLOCKS, "batch_norm_after": NORMED, "initialization": INITIALIZATIONS}
PER_BLOCK = ("kernel_sizes", "pool_sizes", "pool_strides")
SIZES = (*PER_BLOCK, "n_features", "channels", "input_length", "hidden_sizes", "image_size", "lstm_size")
LARGEST = 2**20  # size, and product of the sides of an image: a damaged number must not fill the memory
LARGEST_BIAS = 100  # of a logit
# Older models lack these fields, whose defaults do not change their predictions.
ADDED_LATER: tuple[str, ...] = ("calibration_bias", "certain_threshold", "ordinary_voice", "initialization")
ADDED_LATER += ("batch_norm_after", "batch_norm_momentum", "batch_norm_epsilon")
NOT_HERE = "is not what these models learn: they choose one label out of several"
DTYPES = ("float16", "bfloat16", "float32", "float64")
# Written into every config.json: pipeline(..., trust_remote_code=True) finds the code that travels with the model.
CUSTOM_PIPELINES = {
    "audio-classification": {
        "impl": "pipeline_ser.SERPipeline",
        "pt": ["AutoModelForAudioClassification"],
        "type": "audio",
    }
}


@strict
class SERConfig(PreTrainedConfig):
    r"""Fields shared by the convolutional networks: a stack of blocks, pooling over time, dense layers.

    One entry per block, or a single number for all of them, wherever a field says "per block".

    Args:
        n_features: Feature columns the network reads, the extractor's `feature_size`.
        channels: Output channels of each block.
        block: "plain" (convolution, ReLU, max pool, with batch norm as below) or "residual" (two convolutions around a
            shortcut, the first of them strided instead of a pool; the first block stays plain).
        kernel_sizes: Kernel per block; for the 2D network also a pair `[time, frequency]`.
        pool_sizes: Down-sampling per block, 1 for none; for the 2D network also a pair.
        pool_strides: Step of the pooling per block, if not its size.
        squeeze_excitation: Channel reduction of the squeeze-excitation gates of residual blocks; 0 for none.
        batch_norm: Whether plain blocks have batch norm.
        batch_norm_after: The layer that it follows in plain blocks: "convolution", "relu" or "pool".
        batch_norm_momentum: Share of the new batch in the running statistics, 1 less what Keras calls momentum.
        batch_norm_epsilon: Added to the variance.
        block_dropout: Dropout after each block.
        pooling: "mean", "max" or "attentive_statistics" over the frames of the clip; "flatten" for none at all, which
            needs `input_length` or `image_size`; "lstm" for the CRNN.
        input_length: Frames of every clip, for "flatten" without `image_size`; shorter ones are padded with zeros,
            longer ones cropped.
        hidden_sizes: Sizes of the dense layers between pooling and output.
        hidden_batch_norm: Whether dense layers have batch norm.
        dropout: Dropout before the output layer.
        initialization: Of the convolutions of a new network: "he" (normal) or "glorot" (uniform, as Keras has it).
        calibration_temperature: Logits are divided by it; fitted on the dev split after training, 1 before.
        calibration_bias: Added to the logits then, one number for each label; None for none. Fitted together with the
            temperature on speech of other corpora (`python -m ser calibrate`).
        certain_threshold: Probability from which the most probable label is right often enough to be certain, as
            measured on corpora that the model was not trained on; None if that was not measured.
        ordinary_voice: Calibration of answers relative to a speaker's ordinary voice (`relative_to`): "temperature",
            "bias" and "certain_threshold"; None for none.
    """

    poolings: ClassVar[tuple[str, ...]] = POOLINGS
    rank: ClassVar[int] = 1  # dimensions that the convolutions run over

    n_features: int = 80
    channels: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    block: str = "plain"
    kernel_sizes: int | list | tuple = 3
    pool_sizes: int | list | tuple = 2
    pool_strides: int | list | tuple | None = None
    squeeze_excitation: int = 0
    batch_norm: bool = True
    batch_norm_after: str = "convolution"
    batch_norm_momentum: float | int = 0.1
    batch_norm_epsilon: float | int = 1e-5
    block_dropout: float | int = 0.0
    pooling: str = "mean"
    input_length: int | None = None
    hidden_sizes: list[int] | tuple[int, ...] = (128,)
    hidden_batch_norm: bool = False
    dropout: float | int = 0.2
    initialization: str = "he"
    calibration_temperature: float | int = 1.0
    calibration_bias: list[float | int] | tuple[float | int, ...] | None = None
    certain_threshold: float | int | None = None
    ordinary_voice: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, config_dict: dict, **kwargs: Any) -> Any:
        """As the base class, but a file that lacks a field or holds a wrong one is refused in one sentence.

        Raises:
            ValueError: Names the field.
        """
        for field in own_fields(cls):
            if field not in (*config_dict, *ADDED_LATER):  # a default would change the model's predictions
                raise ValueError(f"config.json has no {field}; take the whole file as it was saved")
        try:
            return super().from_dict(config_dict, **kwargs)
        except (StrictDataclassError, ValueError) as error:
            reason = str(error.__cause__ or error).partition(". Errors:")[0]
            raise ValueError(f"config.json: {reason}") from error

    def __post_init__(self, **kwargs: Any) -> None:
        """Check what the base class does not check."""
        refuse_misspelt(kwargs, own_fields(type(self)))
        if self.dtype is not None and str(self.dtype).removeprefix("torch.") not in DTYPES:
            raise ValueError(f"expected dtype to be one of {DTYPES}; got {self.dtype!r}")
        if not isinstance(number := kwargs.get("num_labels", 2), int) or number < 2:
            raise ValueError(
                f"expected num_labels as a whole number above 1; got {number!r}; a number on a scale {NOT_HERE}"
            )
        if self.id2label is not None and not _is_numbered(self.id2label):
            raise ValueError(f"expected id2label to name the classes 0, 1, 2, ...; got {self.id2label!r}")
        super().__post_init__(**kwargs)
        numbers = self._numbers_of_labels()
        as_text = {label: str(number) for label, number in numbers.items()}  # as the Hub's guide has them
        if self.label2id in (None, as_text):
            self.label2id = numbers

    def validate_labels(self) -> None:
        """Raise unless each class has a name of its own and `label2id` knows it by that."""
        names: list[Any] = list((self.id2label or {}).values())
        if len(names) < 2 or not all(isinstance(name, str) and name for name in names) or len({*names}) < len(names):
            raise ValueError(f"expected id2label with a name of its own for each of at least two classes; got {names}")
        if self.label2id != self._numbers_of_labels():
            raise ValueError(f"expected label2id to be id2label the other way round; got {self.label2id!r}")

    def _numbers_of_labels(self) -> dict[str, Any]:
        return {label: index for index, label in (self.id2label or {}).items()}

    def validate_choices(self) -> None:
        """Raise if a choice is not one the network knows."""
        if self.problem_type not in (None, "single_label_classification"):
            raise ValueError(f"problem_type {self.problem_type!r} {NOT_HERE}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"expected {name} to be one of {choices}; got {getattr(self, name)!r}")
        if self.pooling not in self.poolings:
            raise ValueError(f"expected pooling to be one of {self.poolings}; got {self.pooling!r}")
        if self.pooling == "flatten" and not (self.input_length or getattr(self, "image_size", None)):
            raise ValueError("expected input_length in frames with pooling='flatten'; set it")

    def validate_numbers(self) -> None:
        """Raise if a number is out of its range."""
        for name in ("dropout", "block_dropout", "batch_norm_momentum", "batch_norm_epsilon"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} between 0 and 1; got {getattr(self, name)}")
        most = min(self.channels[1:], default=0) if self.block == "residual" else LARGEST
        if not 0 <= self.squeeze_excitation <= most:
            raise ValueError(f"expected squeeze_excitation between 0 and {most:,}; got {self.squeeze_excitation}")

    def validate_calibration(self) -> None:
        """Raise if a calibration lacks a number, or has one out of its range."""
        names = ["calibration_temperature", "calibration_bias", "certain_threshold"]
        self._check_calibration(*(getattr(self, name) for name in names), names=names)
        if (voice := self.ordinary_voice) is None:
            return
        if voice.keys() != {*SETTINGS} or not _are_numbers(voice["temperature"], voice["certain_threshold"]):
            raise ValueError(f"expected ordinary_voice with numbers for {', '.join(SETTINGS)}; got {voice}")
        if not (isinstance(voice["bias"], (list, tuple)) and _are_numbers(*voice["bias"])):
            raise ValueError(f"expected ordinary_voice with a list of numbers as bias; got {voice['bias']!r}")
        self._check_calibration(*map(voice.get, SETTINGS), names=[f"ordinary_voice: {name}" for name in SETTINGS])

    def _check_calibration(self, temperature: Any, bias: Any, threshold: Any, *, names: Sequence[str]) -> None:
        """Raise if a number of a calibration is out of its range; `names` are the fields'."""
        if not 0.001 <= temperature <= 1000:
            raise ValueError(f"expected {names[0]} between 0.001 and 1000; got {temperature}")
        if bias is not None and not (
            len(bias) == len(self.id2label or {}) and all(abs(number) <= LARGEST_BIAS for number in bias)
        ):
            raise ValueError(
                f"expected {names[1]} as a number between -{LARGEST_BIAS} and {LARGEST_BIAS} for each label; got {bias}"
            )
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"expected {names[2]} between 0 and 1; got {threshold}")

    def validate_sizes(self) -> None:
        """Raise if a size is not a positive integer or, per block of a 2D network, a pair of them."""
        for name in SIZES:
            value = getattr(self, name, None)
            entries = value if isinstance(value, (list, tuple)) else [value]
            if name in PER_BLOCK:
                if isinstance(value, (list, tuple)) and len(value) != len(self.channels):
                    raise ValueError(f"expected one of {name} per block ({len(self.channels)}); got {len(value)}")
                entries = [part for entry in entries for part in self._parts(entry)]
            if value is not None and not all(_is_size(entry) for entry in entries):
                raise ValueError(f"expected {name} as whole numbers between 1 and {LARGEST:,}; got {value}")
        if not self.channels:
            raise ValueError("expected channels of at least one block; got none")
        kernels = [part for kernel in self.per_block("kernel_sizes") for part in self._parts(kernel)]
        if self.block == "residual" and not all(size % 2 for size in kernels):
            raise ValueError(f"expected odd kernel_sizes with residual blocks; got {self.kernel_sizes}")

    def _parts(self, entry: int | list | tuple | None) -> list:
        """Both numbers of a pair if the network has two dimensions; any other entry as a list of one."""
        return list(entry) if isinstance(entry, (list, tuple)) and len(entry) == self.rank == 2 else [entry]

    def per_block(self, name: str) -> list:
        """The field `name` with one entry per block."""
        value = getattr(self, name)
        return list(value) if isinstance(value, (list, tuple)) else [value] * len(self.channels)

    def to_dict(self) -> dict:
        """As the base class, plus references to the pipeline and the encoder that travel with the model."""
        settings = super().to_dict() | {"custom_pipelines": CUSTOM_PIPELINES}
        if code := settings.get("auto_map"):
            encoder = f"modeling_ser.{type(self).__name__.removesuffix('Config')}Model"
            settings["auto_map"] = {"AutoModel": encoder} | code
        return settings


def own_fields(config_class: type[SERConfig]) -> list[str]:
    """Names of the fields that not every transformers model has."""
    return [field.name for field in fields(config_class) if field.name not in PreTrainedConfig.__dataclass_fields__]


def refuse_misspelt(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse unknown fields that resemble one of ours; others may be fields of some version of transformers.

    Raises:
        ValueError: A field is probably misspelt; its default would be used silently.
    """
    for name in names:
        if name not in known and (meant := get_close_matches(name, known, n=1, cutoff=0.85)):
            raise ValueError(f"unknown field {name!r}; did you mean {meant[0]!r}?")


def _is_numbered(labels: object) -> bool:
    """Whether the keys are 0, 1, 2, ... without a gap, in any order, as numbers or as JSON writes them."""
    return isinstance(labels, dict) and {*map(str, labels)} == {*map(str, range(len(labels)))}


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST


@strict
class CNN1DConfig(SERConfig):
    r"""1D CNN over time; the feature columns are its input channels.

    The defaults are the four-block network of the class projects (587,526 parameters with one feature column).
    """

    model_type = "ser-cnn1d"


@strict
class CNN2DConfig(SERConfig):
    r"""2D CNN over the image of frames and mel bands.

    The defaults are the four-block network of the class projects (1,620,102 parameters).

    Args:
        image_size: `[frames, bands]` to which each clip's image is resized first, as image classifiers do; None for no
            resizing.
    """

    model_type = "ser-cnn2d"
    rank = 2

    image_size: list[int] | tuple[int, int] | None = None

    def validate_image(self) -> None:
        """Raise if `image_size` is not a pair, or too large for memory."""
        if self.image_size and (len(self.image_size) != 2 or math.prod(self.image_size) > LARGEST):
            raise ValueError(f"expected image_size as two numbers, {LARGEST:,} cells at most; got {self.image_size}")


@strict
class CRNNConfig(CNN2DConfig):
    r"""2D CNN followed by a bidirectional LSTM over its frames.

    Args:
        lstm_size: Units of each direction.
    """

    model_type = "ser-crnn"

    poolings = ("lstm",)

    pooling: str = "lstm"
    lstm_size: int = 128


__all__ = ["CNN1DConfig", "CNN2DConfig", "CRNNConfig", "SERConfig"]
