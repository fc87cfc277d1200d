"""The blocks of a network for fast inference: batch norms are folded into the convolutions before them.

The folded blocks are a copy, which does not affect training and saving, and is made again when a weight has changed.
"""

import copy
import operator
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# oneDNN's convolution with weights in its own layout: a fifth faster than torch's, which converts them in each call.
CONVOLVE: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)  # None on other processors
VERSION = operator.attrgetter("_version")
LAY_OUT: Any = getattr(torch.ops.mkldnn, "_reorder_convolution_weight", None)


class FoldedBlocks:
    """The folded copy of some blocks, valid as long as their weights are what they were.

    Args:
        blocks: The original blocks, which are not changed.
        compute_type: Of the 2D convolutions except the first, whose rounding would matter most.
    """

    def __init__(self, blocks: nn.ModuleList, compute_type: torch.dtype | None = None):
        modules = [*blocks.modules()]
        # Every prediction compares what they hold; torch's own generators are slow.
        self.children = [module._modules for module in modules if module._modules]
        self.hooks = hooks_of(modules)
        self.own_weights = [held for module in modules for held in (module._parameters, module._buffers) if held]
        # Kept, so that no other takes their place in memory.
        self.kept = [weight.detach() for weight in self.weights()]
        self.state_then = self.state()
        with torch.inference_mode(False), torch.no_grad():
            self.blocks = folded(blocks, compute_type)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """A copy of the model, also one sent to another process, starts without folded blocks."""
        return type(None), ()

    def valid(self) -> bool:
        """Whether modules and weights are still the same, no weight has been changed, and no module has hooks."""
        return not any(self.hooks) and self.state() == self.state_then

    def state(self) -> tuple[list[Any], list[int], list[int]]:
        """Submodules, and memory address and version counter of each weight."""
        weights = self.weights()
        children = [child for held in self.children for child in held.values()]
        return children, [*map(torch.Tensor.data_ptr, weights)], [*map(VERSION, weights)]

    def weights(self) -> list[torch.Tensor]:
        """Parameters and buffers."""
        return [weight for held in self.own_weights for weight in held.values() if weight is not None]


def hooks_of(modules: list[nn.Module]) -> list[dict]:
    """The hooks of each module."""
    return [hooks for module in modules for hooks in (module._forward_hooks, module._forward_pre_hooks)]


class LaidOutConvolution(nn.Module):
    """A 2D convolution on the CPU with weights in oneDNN's layout."""

    def __init__(self, conv: nn.Conv2d, padding: list[int], dtype: torch.dtype):
        super().__init__()
        self.geometry = (padding, conv.stride, conv.dilation, conv.groups)
        self.dtype = dtype
        self.weight = LAY_OUT(conv.weight.detach().to(dtype), *self.geometry)
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The result of the original convolution, in the type of `x`."""
        return CONVOLVE(x.to(self.dtype), self.weight, self.bias, *self.geometry, "none", [], "").to(x.dtype)


def folded(blocks: nn.ModuleList, compute_type: torch.dtype | None = None) -> nn.ModuleList:
    """A copy in which each batch norm after a convolution is part of it."""
    blocks = copy.deepcopy(blocks).eval()
    for module in list(blocks.modules()):
        norm_is_next = getattr(module, "norm_after", "convolution") == "convolution"
        for (name, conv), (other, norm) in pairwise([*module.named_children(), ("", None)]):
            if isinstance(conv, CONVOLUTIONS):
                if norm_is_next and isinstance(norm, BATCH_NORMS):
                    conv = fuse_conv_bn_eval(conv, norm)
                    setattr(module, other, nn.Identity())
                setattr(module, name, laid_out(conv, compute_type))
    return blocks


def laid_out(conv: nn.Module, compute_type: torch.dtype | None) -> nn.Module:
    """The convolution in oneDNN's layout if that is possible and faster; with 1x1 kernels it is a matrix product."""
    if not (isinstance(conv, nn.Conv2d) and conv.weight.device.type == "cpu" and computes_in(conv.weight.dtype)):
        return conv
    before, after = (conv._reversed_padding_repeated_twice[side::-2] for side in (-2, -1))  # of frames and of bands
    if CONVOLVE is None or LAY_OUT is None or before != after or conv.kernel_size == (1, 1):
        return conv
    own = conv.weight.dtype
    reduced = compute_type if compute_type and conv.in_channels > 1 and computes_in(compute_type) else own
    return LaidOutConvolution(conv, before, reduced)


def computes_in(dtype: torch.dtype) -> bool:
    """Whether this processor has instructions for a type."""
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16())


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16, with AVX-512 BF16 or AMX."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


__all__ = ["FoldedBlocks", "has_bfloat16", "hooks_of"]
