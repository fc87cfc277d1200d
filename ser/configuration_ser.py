"""Typed configurations of the 1D and the 2D CNN; every architecture number lives here."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

BLOCKS = ("plain", "residual")
POOLINGS = ("mean", "max", "attentive_statistics", "flatten")
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
        block: "plain" (convolution, batch norm, ReLU, max pool) or "residual" (two convolutions around a shortcut,
            the first of them strided instead of a pool; the first block stays plain).
        kernel_sizes: Kernel per block; for the 2D network also a pair `[time, frequency]`.
        pool_sizes: Down-sampling per block, 1 for none; for the 2D network also a pair.
        pool_strides: Step of the pooling per block, if not its size.
        squeeze_excitation: Channel reduction of the squeeze-excitation gates of residual blocks; 0 for none.
        batch_norm: Whether plain blocks have batch norm.
        block_dropout: Dropout after each block.
        pooling: "mean", "max" or "attentive_statistics" over the frames of the clip; "flatten" for none at all, which
            needs `input_length`; "lstm" for the CRNN.
        input_length: Frames of every clip, for "flatten"; shorter ones are padded with zeros, longer ones cropped.
        hidden_sizes: Sizes of the dense layers between pooling and output.
        hidden_batch_norm: Whether dense layers have batch norm.
        dropout: Dropout before the output layer.
        calibration_temperature: Logits are divided by it; fitted on the dev part after training, 1 before.
    """

    poolings: ClassVar[tuple[str, ...]] = POOLINGS

    n_features: int = 80
    channels: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    block: str = "plain"
    kernel_sizes: int | list | tuple = 3
    pool_sizes: int | list | tuple = 2
    pool_strides: int | list | tuple | None = None
    squeeze_excitation: int = 0
    batch_norm: bool = True
    block_dropout: float | int = 0.0
    pooling: str = "mean"
    input_length: int | None = None
    hidden_sizes: list[int] | tuple[int, ...] = (128,)
    hidden_batch_norm: bool = False
    dropout: float | int = 0.2
    calibration_temperature: float | int = 1.0

    def validate_choices(self) -> None:
        """Raise if a choice or the length of a per-block field is not one the network knows."""
        if self.block not in BLOCKS:
            raise ValueError(f"expected block to be one of {BLOCKS}; got {self.block!r}")
        if self.pooling not in self.poolings:
            raise ValueError(f"expected pooling to be one of {self.poolings}; got {self.pooling!r}")
        if self.pooling == "flatten" and not self.input_length:
            raise ValueError("expected input_length in frames with pooling='flatten'; set it")
        if not self.calibration_temperature > 0:
            raise ValueError(f"expected calibration_temperature above 0; got {self.calibration_temperature}")
        for name in ("kernel_sizes", "pool_sizes", "pool_strides"):
            value = getattr(self, name)
            if isinstance(value, (list, tuple)) and len(value) != len(self.channels):
                raise ValueError(f"expected one of {name} per block ({len(self.channels)}); got {len(value)}")
        kernels = [
            size for value in self.per_block("kernel_sizes") for size in ([value] if isinstance(value, int) else value)
        ]
        if self.block == "residual" and not all(size % 2 for size in kernels):
            raise ValueError(f"expected odd kernel_sizes with residual blocks; got {self.kernel_sizes}")

    def per_block(self, name: str) -> list:
        """The field `name` with one entry per block."""
        value = getattr(self, name)
        return list(value) if isinstance(value, (list, tuple)) else [value] * len(self.channels)

    def to_dict(self) -> dict:
        """As the base class, plus the reference to the pipeline that travels with the model."""
        return super().to_dict() | {"custom_pipelines": CUSTOM_PIPELINES}


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

    image_size: list[int] | tuple[int, int] | None = None


@strict
class CRNNConfig(CNN2DConfig):
    r"""2D CNN whose output is read by a bidirectional LSTM, frame by frame.

    Args:
        lstm_size: Units of each direction.
    """

    model_type = "ser-crnn"

    poolings = ("lstm",)

    pooling: str = "lstm"
    lstm_size: int = 128


__all__ = ["CNN1DConfig", "CNN2DConfig", "CRNNConfig", "SERConfig"]
