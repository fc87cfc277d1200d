"""The 1D CNN, the 2D CNN and the CRNN: blocks that keep padding at zero, pooling over real frames, dense layers.

Padding does not affect the result: each block zeroes the frames beyond a clip's length, just as a convolution pads a
single clip with zeros, so the logits of a clip are the same alone and in a batch.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from typing import Any
from typing import cast

import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndNoAttention
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from .configuration_ser import CNN1DConfig
from .configuration_ser import CNN2DConfig
from .configuration_ser import CRNNConfig
from .configuration_ser import SERConfig
from .folding_ser import FoldedBlocks
from .folding_ser import has_bfloat16
from .folding_ser import hooks_of

if TYPE_CHECKING:  # so that saving a model also copies the pipeline's file
    from .pipeline_ser import SERPipeline  # noqa: F401

CONVOLUTION: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
CLOSE = 0.01  # probability; bfloat16 changes it by less than half of this
BATCH_NORM: dict[int, Callable[..., nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
MAX_POOL: dict[int, Callable[..., nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
FITTING = "n_features, channels, kernel_sizes, hidden_sizes and num_labels (id2label)"  # fields that shape weights


def _tuple(value: int | list | tuple, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank


def _same_padding(kernel: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size // 2 for size in kernel)


def batch_norm(config: SERConfig, rank: int, channels: int) -> nn.Module:
    """Batch norm with the constants of a configuration."""
    return BATCH_NORM[rank](channels, eps=config.batch_norm_epsilon, momentum=config.batch_norm_momentum)


def frame_mask(x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor | None:
    """1 for real frames, 0 for padding: `(batch, 1, frames)` or `(batch, 1, frames, 1)`, to multiply `x` with.

    None if nothing is padded and that is cheap to find out: not on a GPU, nor in an exported graph.
    """
    if lengths is None or (x.device.type == "cpu" and not becomes_a_graph() and int(lengths.min()) >= x.shape[2]):
        return None
    mask = torch.arange(x.shape[2], device=x.device) < lengths[:, None]  # (batch, frames)
    return mask.view(lengths.shape[0], 1, -1, *[1] * (x.ndim - 3)).to(x.dtype)


def becomes_a_graph() -> bool:
    """Whether torch is tracing, for example for ONNX: then the graph must not depend on the current clip."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]


def masked(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Zeros where there is padding."""
    return x if mask is None else x * mask


def never_largest(x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Far below all that occurs where there is padding."""
    mask = frame_mask(x, lengths)
    if mask is None:
        return x
    lowest = torch.finfo(x.dtype).min / 2  # so that the sum is finite
    return x + (1 - mask) * lowest  # masked_fill would return another memory format


class PairMax(torch.autograd.Function):
    """Max pooling of two frames at a time, `(batch, channels, frames)`, for training on a CPU.

    torch's own, which stores the index of each maximum, takes a fifth of a training step of a 1D network.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """A last frame without a neighbour is kept."""
        pooled = F.max_pool1d(x, 2, ceil_mode=True)  # stores no indices, as no gradient is recorded here
        ctx.save_for_backward(x, pooled)
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """To the larger frame of each pair; of two that are equal, to the first."""
        x, pooled = ctx.saved_tensors
        to_first = gradients[0] * (x[..., ::2] == pooled)
        gradient = torch.empty_like(x)
        gradient[..., ::2] = to_first
        gradient[..., 1::2] = (gradients[0] - to_first)[..., : x.shape[-1] // 2]
        return gradient


class MaskedMaxPool(nn.Module):
    """Max pooling that loses no frame: a partial window at the end counts, so that any length is allowed."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...]):
        super().__init__()
        padding = tuple(max(0, k - s + 1) // 2 for k, s in zip(size, stride, strict=True))
        self.time = size[0], stride[0], padding[0]
        self.pool = MAX_POOL[len(size)](size, stride, padding, ceil_mode=True)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Pool `x`, ignoring frames beyond `lengths`."""
        in_pairs = x.ndim == 3 and self.time == (2, 2, 0) and x.requires_grad and x.device.type == "cpu"
        x = PairMax.apply(x) if in_pairs else self.pool(x)
        lengths = None if lengths is None else self.windows(lengths)
        return masked(x, frame_mask(x, lengths)), lengths

    def windows(self, lengths: torch.Tensor) -> torch.Tensor:
        """Number of frames after pooling, as in torch's ceil mode."""
        size, stride, padding = self.time
        windows = -((size - 2 * padding - lengths) // stride) + 1
        return windows - ((windows - 1) * stride >= lengths + padding).long()


class PlainBlock(nn.Module):
    """Convolution, ReLU, max pool and dropout, with batch norm after one of the first three."""

    def __init__(self, config: SERConfig, in_channels: int, index: int):
        super().__init__()
        rank = config.rank
        kernel = _tuple(config.per_block("kernel_sizes")[index], rank)
        pool = _tuple(config.per_block("pool_sizes")[index], rank)
        stride = _tuple(config.per_block("pool_strides")[index] or pool, rank)
        channels = config.channels[index]
        self.conv = CONVOLUTION[rank](in_channels, channels, kernel, padding="same")
        self.norm = batch_norm(config, rank, channels) if config.batch_norm else nn.Identity()
        self.norm_after = config.batch_norm_after
        self.pool = MaskedMaxPool(pool, stride) if max(pool) > 1 else None
        self.dropout = nn.Dropout(config.block_dropout)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(batch, in_channels, frames[, bands])` to `(batch, channels, fewer frames[, fewer bands])`."""
        x = self.conv(x)
        if self.norm_after == "relu":
            x = self.norm(F.relu(x))
            x = never_largest(x, lengths) if self.pool else masked(x, frame_mask(x, lengths))
        else:
            x = self.norm(x) if self.norm_after == "convolution" else x
            x = masked(x, frame_mask(x, lengths))
        if self.pool is not None:
            x, lengths = self.pool(x, lengths)
        if self.norm_after != "relu":
            x = F.relu(x)  # after the pool: the same result with less work
        if self.norm_after == "pool":
            x = self.norm(x)
            x = masked(x, frame_mask(x, lengths))
        return self.dropout(x), lengths


class SqueezeExcitation(nn.Module):
    """A gate for each channel, computed from its mean over the clip (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor:
        """`(batch, channels, frames[, bands])` to `(batch, channels, 1[, 1])`; `mask` is from `frame_mask`."""
        frames = x.shape[2] if lengths is None else lengths[:, None]
        wide = torch.float32 if x.dtype == torch.float16 else None  # the maximum of float16 is 65,504
        total = masked(x, mask).flatten(2).sum(2, dtype=wide)  # (batch, channels)
        mean = (total / (frames * x.shape[3:].numel())).to(x.dtype)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))
        return gate.view(*gate.shape, *[1] * (x.ndim - 2)).to(x.dtype)


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut (He et al. 2016, arXiv:1512.03385); the first one down-samples."""

    def __init__(self, config: SERConfig, in_channels: int, index: int):
        super().__init__()
        rank = config.rank
        kernel = _tuple(config.per_block("kernel_sizes")[index], rank)
        stride = _tuple(config.per_block("pool_sizes")[index], rank)
        channels = config.channels[index]
        conv, norm, padding = CONVOLUTION[rank], partial(batch_norm, config, rank), _same_padding(kernel)
        self.time_stride = stride[0]
        self.conv1 = conv(in_channels, channels, kernel, stride=stride, padding=padding, bias=False)
        self.norm1 = norm(channels)
        self.conv2 = conv(channels, channels, kernel, padding=padding, bias=False)
        self.norm2 = norm(channels)
        self.gate = SqueezeExcitation(channels, config.squeeze_excitation) if config.squeeze_excitation else None
        self.shortcut = None
        if in_channels != channels or max(stride) > 1:
            self.shortcut = nn.Sequential(conv(in_channels, channels, 1, bias=False), norm(channels))
        # Not a strided convolution: with few channels, oneDNN writes beyond its memory then (oneDNN#6035).
        self.read = tuple(slice(None, None, step) for step in (1, 1, *stride))
        self.dropout = nn.Dropout(config.block_dropout)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(batch, in_channels, frames[, bands])` to `(batch, channels, fewer frames[, fewer bands])`."""
        shortcut = x if self.shortcut is None else self.shortcut(x[self.read])
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        lengths = None if lengths is None else (lengths - 1) // self.time_stride + 1
        mask = frame_mask(x, lengths)
        x = self.norm2(self.conv2(masked(x, mask)))
        if self.gate is not None:
            x = x * self.gate(x, lengths, mask)
        x = x + shortcut
        return self.dropout(masked(F.relu(x, inplace=True), mask)), lengths


class MeanPooling(nn.Module):
    """Mean of the real frames: `(batch, channels, frames)` to `(batch, channels)`."""

    def __init__(self, channels: int):
        super().__init__()
        self.output_size = channels

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Expects `x` to be zero beyond `lengths`."""
        return x.sum(2) / lengths[:, None]


class MaxPooling(MeanPooling):
    """Maximum over the real frames: `(batch, channels, frames)` to `(batch, channels)`."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Frames beyond `lengths` do not count."""
        return never_largest(x, lengths).amax(2)


class FrameLayer(nn.Conv1d):
    """A dense layer for each frame, with the weights of a convolution: as a matrix product, it is faster."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, in_channels, frames)` to `(batch, out_channels, frames)`."""
        return torch.matmul(self.weight.squeeze(2), x) + cast(torch.Tensor, self.bias)[:, None]


class AttentiveStatisticsPooling(nn.Module):
    """Mean and standard deviation over frames, weighted by attention (Okabe et al. 2018, arXiv:1803.10963).

    `(batch, channels, frames)` to `(batch, 2 * channels)`.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.output_size = 2 * channels
        self.hidden = FrameLayer(channels, channels // 2)
        self.score = FrameLayer(channels // 2, channels)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Frames beyond `lengths` get no weight."""
        scores = self.score(torch.tanh(self.hidden(x))).float()
        if (mask := frame_mask(x, lengths)) is not None:
            scores = scores.masked_fill(mask == 0, float("-inf"))
        weights = scores.softmax(2)
        mean = (x * weights).sum(2)
        variance = (x.float().square() * weights).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp(min=1e-6).sqrt()], dim=1).to(self.score.weight.dtype)


class LSTMPooling(nn.Module):
    """Last states of a bidirectional LSTM over the real frames: `(batch, channels, frames)` to `(batch, 2 * size)`."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.output_size = 2 * size
        self.lstm = nn.LSTM(channels, size, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Each direction reads a clip from its first to its last real frame."""
        x = x.to(self.lstm.all_weights[0][0].dtype)
        with torch.autocast(x.device.type, enabled=False):
            packed = nn.utils.rnn.pack_padded_sequence(
                x.transpose(1, 2), lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            _, (states, _) = self.lstm(packed)  # (directions, batch, size)
        return states.transpose(0, 1).flatten(1)


class Flatten(nn.Module):
    """All frames side by side: `(batch, channels, frames)` to `(batch, channels * frames)`, for a fixed `frames`."""

    def __init__(self, channels: int, frames: int):
        super().__init__()
        self.output_size = channels * frames
        self.frames = frames

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Shorter batches are padded with zeros, as are the frames beyond `lengths`."""
        return F.pad(x, (0, self.frames - x.shape[2])).flatten(1)


POOLING = {"mean": MeanPooling, "max": MaxPooling, "attentive_statistics": AttentiveStatisticsPooling}


class SERPreTrainedModel(PreTrainedModel):
    """Weight initialisation and loading shared by the networks."""

    config_class = SERConfig
    base_model_prefix = "network"
    main_input_name = "input_features"

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As `PreTrainedModel`, but only from safetensors; missing or unexpected weights are an error, not a warning.

        Raises:
            OSError: There is no safetensors file.
            ValueError: The weights are not those of this configuration, or damaged.
        """
        kwargs["use_safetensors"] = True  # without it, pickled weights are read if there are no others
        try:
            loaded: Any = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        except SafetensorError as error:
            raise ValueError(f"model.safetensors is damaged ({error}); fetch it again") from error
        except RuntimeError as error:
            if "ignore_mismatched_sizes" not in str(error):
                raise
            raise ValueError(f"the weights are not of the sizes in config.json: check {FITTING}") from error
        model, info = loaded
        for what in ("missing", "unexpected"):
            if names := sorted(info[f"{what}_keys"]):
                raise ValueError(f"weights are {what}, such as {names[0]}; the file is not of this model")
        for name, weight in model.state_dict().items():
            if not weight.isfinite().all() or (name.endswith("running_var") and weight.min() < 0):
                raise ValueError(f"model.safetensors is damaged ({name} holds no usable numbers); fetch it again")
        model.to(memory_format=torch.channels_last)  # so 2D networks are a quarter faster on a CPU
        return (model, info) if output_loading_info else model

    def _init_weights(self, module: nn.Module) -> None:
        """Initialises convolutions as configured; the base class would draw all weights from N(0, 0.02)."""
        if isinstance(module, (nn.Conv1d, nn.Conv2d)) and self.config.initialization == "he":
            init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.LSTM):
            for name, weight in module.named_parameters():
                if "bias" in name:
                    init.zeros_(weight)
                elif "weight_hh" in name:
                    init.orthogonal_(weight)
                else:
                    init.xavier_uniform_(weight)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            init.ones_(module.weight)
            for name, running in module.named_buffers(recurse=False):
                (init.ones_ if name == "running_var" else init.zeros_)(running)
        if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
            init.zeros_(bias)


class CNNModel(SERPreTrainedModel):
    """Blocks and pooling over time: clips to embeddings; subclasses define how features enter the blocks."""

    _keys_to_ignore_on_load_unexpected: list[str] | None = [
        r"^(hidden|hidden_norms|classifier)\."
    ]  # of a model with a head

    def __init__(self, config: SERConfig):
        super().__init__(config)
        self._folded: dict[torch.dtype | None, FoldedBlocks | None] = {}  # by the type in which they compute
        self._hooks: list[dict] = []  # of all modules, once they are needed
        in_channels = self.input_channels(config)
        self.blocks = nn.ModuleList()
        for index, channels in enumerate(config.channels):
            block = ResidualBlock if config.block == "residual" and index > 0 else PlainBlock
            self.blocks.append(block(config, in_channels, index))
            in_channels = channels
        self.pooling = self.build_pooling(config)
        self.build_head(config)
        self.post_init()

    def build_head(self, config: SERConfig) -> None:
        """Layers after the pooling."""

    def input_channels(self, config: SERConfig) -> int:
        """Channels of the tensor that `to_image` returns."""
        raise AttributeError("use one of the subclasses")

    def build_pooling(self, config: SERConfig) -> nn.Module:
        """The layer between blocks and dense layers."""
        if config.pooling == "flatten":
            return Flatten(*self.encoded_size(config.input_length or 1))  # 1: where images are resized
        return POOLING[config.pooling](config.channels[-1])

    def encoded_size(self, frames: int) -> tuple[int, int]:
        """Channels and frames at the pooling, for clips of so many frames."""
        self.blocks.eval()  # so that this does not change the running statistics
        with torch.no_grad():
            size = getattr(self.config, "image_size", None) or (frames, self.config.n_features)
            x = self.columns(self.run_blocks(torch.zeros(1, *size), torch.tensor([size[0]]))[0])
        self.blocks.train()
        return x.shape[1], x.shape[2]

    def to_image(self, input_features: torch.Tensor) -> torch.Tensor:
        """`(batch, frames, n_features)` to the input of the first block."""
        raise AttributeError("use one of the subclasses")

    def fit(self, input_features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Crop `(batch, frames, n_features)` to `input_length`, if set."""
        if self.config.input_length is None:
            return input_features, lengths
        return input_features[:, : self.config.input_length], lengths.clamp(max=self.config.input_length)

    def columns(self, maps: torch.Tensor) -> torch.Tensor:
        """Feature maps to the input of the pooling, `(batch, channels, frames)`."""
        return maps

    def feature_maps(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        hidden_states: list[torch.Tensor] | None = None,
        compute_type: torch.dtype | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Output of the last block, `(batch, channels, frames[, bands])`, and the lengths of the clips in its frames.

        Arguments and errors as in `forward`; the output of each block is added to `hidden_states`. `compute_type` is
        that of the convolutions in inference, if the processor has it.
        """
        if input_features.ndim != 3 or input_features.shape[2] != self.config.n_features:
            raise ValueError(
                f"expected input_features of shape (batch, frames, {self.config.n_features}); "
                f"got {tuple(input_features.shape)}; make them with this model's own feature extractor"
            )
        if attention_mask is None:
            attention_mask = input_features.new_ones(input_features.shape[:2])
        fitted = self.fit(input_features * attention_mask[..., None], attention_mask.sum(1).long())
        return self.run_blocks(*fitted, hidden_states, compute_type)

    def run_blocks(
        self,
        x: torch.Tensor,
        lengths: torch.Tensor,
        hidden_states: list[torch.Tensor] | None = None,
        compute_type: torch.dtype | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`(batch, frames, n_features)` through all blocks, and lengths likewise."""
        x = self.to_image(x)
        real = None if frame_mask(x, lengths) is None else lengths  # blocks need none if nothing is padded
        for block in self.blocks_for(x, compute_type):
            x, real = block(x, real)
            if hidden_states is not None:
                hidden_states.append(x)
        return x, torch.full_like(lengths, x.shape[2]) if real is None else real

    def pooled(self, maps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Embeddings of shape `(batch, size)` from what `feature_maps` returns."""
        return self.pooling(self.columns(maps), lengths)

    def kept(self, output_hidden_states: bool | None) -> list[torch.Tensor] | None:
        """The list to which `feature_maps` adds the output of each block; None if that is not requested."""
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return [] if wanted else None

    def blocks_for(self, x: torch.Tensor, compute_type: torch.dtype | None) -> nn.ModuleList:
        """The blocks, or their folded copy for inference: without gradients, export, autocast or hooks."""
        if (
            self.training
            or torch.is_grad_enabled()
            or torch.is_autocast_enabled(x.device.type)
            or becomes_a_graph()
            or next(self.parameters()).is_inference()
        ):
            return self.blocks
        folded = self._folded.get(compute_type)
        if folded is None or not folded.valid():
            if any(hooks_of([*self.blocks.modules()])):
                return self.blocks
            folded = self._folded[compute_type] = FoldedBlocks(self.blocks, compute_type)
        return folded.blocks

    def train(self, mode: bool = True) -> Any:
        """As the base class."""
        self._folded = {}
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """As the base class: weights change their type or place."""
        self._folded = {}
        return super()._apply(*args, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Embed clips.

        Args:
            input_features: Shape `(batch, frames, n_features)`.
            attention_mask: Shape `(batch, frames)`, 1 for real frames, which come first; None if none is padded.
            output_hidden_states: Whether `hidden_states` are returned, too; default: as the configuration says.
            **kwargs: `return_dict=False` returns a tuple; others, of callers in `transformers`, are ignored.

        Returns:
            `pooler_output` of shape `(batch, size)`, one embedding per clip; `last_hidden_state` of shape
            `(batch, channels, frames[, bands])`, the input of the pooling; and as `hidden_states` the output of each
            block. Each block leaves fewer frames; those beyond the end of a clip are zero.

        Raises:
            ValueError: `input_features` is not of shape `(batch, frames, n_features)`.
        """
        hidden_states = self.kept(output_hidden_states)
        maps, lengths = self.feature_maps(input_features, attention_mask, hidden_states)
        return BaseModelOutputWithPoolingAndNoAttention(
            last_hidden_state=maps,
            pooler_output=self.pooled(maps, lengths),
            hidden_states=None if hidden_states is None else tuple(hidden_states),
        )


class CNN1DModel(CNNModel):
    """1D CNN over time. Each feature column is an input channel."""

    config_class = CNN1DConfig

    def input_channels(self, config: SERConfig) -> int:
        """One channel per feature column."""
        return config.n_features

    def to_image(self, input_features: torch.Tensor) -> torch.Tensor:
        """`(batch, frames, n_features)` to `(batch, n_features, frames)`."""
        return input_features.transpose(1, 2)


class CNN2DModel(CNNModel):
    """2D CNN over the image of frames and mel bands."""

    config_class = CNN2DConfig

    def input_channels(self, config: SERConfig) -> int:
        """One channel."""
        return 1

    def to_image(self, input_features: torch.Tensor) -> torch.Tensor:
        """`(batch, frames, n_mels)` to `(batch, 1, frames, n_mels)`."""
        return input_features[:, None]

    def fit(self, input_features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Crop, and resize to `image_size`, if set."""
        input_features, lengths = super().fit(input_features, lengths)
        if self.config.image_size is None:
            return input_features, lengths
        return resize(input_features, lengths, self.config.image_size)

    def columns(self, maps: torch.Tensor) -> torch.Tensor:
        """Bands become channels if the pooling keeps positions, else they are averaged."""
        if self.config.pooling in ("flatten", "lstm"):
            return maps.transpose(2, 3).flatten(1, 2)
        return maps.mean(3)


def resize(images: torch.Tensor, lengths: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stretch the real frames of each clip to one size: `(batch, frames, bands)` to `(batch, *size)`, new lengths."""
    stretched = [
        F.interpolate(image[None, None, :length].float(), size=tuple(size), mode="bilinear", align_corners=False)[0, 0]
        for image, length in zip(images, lengths.tolist(), strict=True)
    ]
    return torch.stack(stretched).to(images.dtype), torch.full_like(lengths, size[0])


class CRNNModel(CNN2DModel):
    """2D CNN followed by a bidirectional LSTM over its frames, each with all channels and bands."""

    config_class = CRNNConfig

    def build_pooling(self, config: SERConfig) -> nn.Module:
        """A bidirectional LSTM instead of pooling."""
        channels, _ = self.encoded_size(frames=64)
        return LSTMPooling(channels, self.config.lstm_size)


class CNNForAudioClassification(CNNModel):
    """Adds the head: dense layers after the pooling, and the output layer."""

    _keys_to_ignore_on_load_unexpected = None

    def build_head(self, config: SERConfig) -> None:
        """Dense layers and the output layer."""
        sizes = [self.pooling.output_size, *config.hidden_sizes]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.hidden_norms = nn.ModuleList(
            batch_norm(config, 1, size) if config.hidden_batch_norm else nn.Identity() for size in config.hidden_sizes
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(sizes[-1], cast(int, config.num_labels))  # two by default

    def classify(self, maps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits of shape `(batch, num_labels)` from what `feature_maps` returns."""
        x = self.pooled(maps, lengths)
        for layer, norm in zip(self.hidden, self.hidden_norms, strict=True):
            x = F.relu(norm(layer(x)))
        logits = self.classifier(self.dropout(x)).float() / self.config.calibration_temperature
        bias = self.config.calibration_bias
        return logits if bias is None else logits + logits.new_tensor(bias)

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        *,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify clips.

        Args:
            input_features: Shape `(batch, frames, n_features)`.
            attention_mask: Shape `(batch, frames)`, 1 for real frames, which come first; None if none is padded.
            labels: Class indices of shape `(batch,)` or class probabilities of shape `(batch, num_labels)`.
            output_hidden_states: Whether `hidden_states` are returned, too; default: as the configuration says.
            **kwargs: `return_dict=False` returns a tuple; others, of callers in `transformers`, are ignored.

        Returns:
            `logits` of shape `(batch, num_labels)`; with labels, the mean cross-entropy as `loss`; and as
            `hidden_states` the output of each block, `(batch, channels, frames[, bands])`. For embeddings, use
            `AutoModel`.

        Raises:
            ValueError: `input_features` is not of shape `(batch, frames, n_features)`.
        """
        hidden_states = self.kept(output_hidden_states)
        logits = self.classify(*self.feature_maps(input_features, attention_mask, hidden_states))
        loss = None if labels is None else F.cross_entropy(logits, labels)
        states = None if hidden_states is None else tuple(hidden_states)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=states)

    @torch.no_grad()
    def quick_logits(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits for inference, with 2D convolutions in bfloat16 on a CPU that has it: about a third less time.

        Arguments, shapes and errors as in `forward`. Probabilities of the bundled models are within 0.005.
        Where that could change the label, or whether the answer is certain, the logits are those of `forward`, and
        everywhere if there are hooks, which would not see each clip once.
        """
        reducible = self.config.rank == 2 and self.device.type == "cpu" and has_bfloat16()
        self._hooks = self._hooks or hooks_of([*self.modules()])  # to look for the modules takes long
        if not reducible or any(self._hooks):
            return self(input_features, attention_mask).logits
        logits = self.classify(*self.feature_maps(input_features, attention_mask, compute_type=torch.bfloat16))
        close = self.close_calls(logits)
        if close.any():
            mask = None if attention_mask is None else attention_mask[close]
            logits[close] = self(input_features[close], mask).logits
        return logits

    def close_calls(self, logits: torch.Tensor) -> torch.Tensor:
        """Whether rounding could change the label of a clip, or whether it is certain; shape `(batch,)`."""
        first, second = logits.softmax(1).topk(2).values.unbind(1)
        return (first - second < CLOSE) | ((first - (self.config.certain_threshold or 0.0)).abs() < CLOSE)


class CNN1DForAudioClassification(CNNForAudioClassification, CNN1DModel):
    """1D CNN over time with a head."""

    config_class = CNN1DConfig


class CNN2DForAudioClassification(CNNForAudioClassification, CNN2DModel):
    """2D CNN over the image of frames and mel bands, with a head."""

    config_class = CNN2DConfig


class CRNNForAudioClassification(CNNForAudioClassification, CRNNModel):
    """2D CNN and bidirectional LSTM with a head."""

    config_class = CRNNConfig


__all__ = [
    "CNN1DForAudioClassification",
    "CNN1DModel",
    "CNN2DForAudioClassification",
    "CNN2DModel",
    "CRNNForAudioClassification",
    "CRNNModel",
]
