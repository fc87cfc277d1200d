"""The blocks of a network as they are fastest in inference: batch norms folded into the convolutions before them.

The folded blocks are a copy, so that training and saving know nothing of it, and they are made anew whenever a weight
has changed since.
"""

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# oneDNN's convolution of weights in its own layout: a fifth faster than torch's, which lays them out in each call.
CONVOLVE: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)  # None on other processors
LAY_OUT: Any = getattr(torch.ops.mkldnn, "_reorder_convolution_weight", None)


class FoldedBlocks:
    """The folded copy of some blocks, valid as long as their weights are what they were.

    Args:
        blocks: Stay as they are.
        compute_type: In which the 2D convolutions compute, but the first, whose rounding would matter most.
    """

    def __init__(self, blocks: nn.ModuleList, compute_type: torch.dtype | None = None):
        self.modules = [*blocks.modules()]
        self.state = state_of(self.modules)
        # Kept, so that no other takes their place in memory.
        self.weights = [weight.detach() for weight in weights_of(self.modules)]
        with torch.inference_mode(False), torch.no_grad():
            self.blocks = folded(blocks, compute_type)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """A copy of the model, also one sent to another process, starts with none."""
        return type(None), ()

    def valid(self) -> bool:
        """Whether the modules and their weights are still the same, and no weight has changed since."""
        return state_of(self.modules) == self.state


def weights_of(modules: list[nn.Module]) -> list[torch.Tensor]:
    """Parameters and statistics, each module's own; faster than torch's generators, since every answer asks."""
    own = [(*module._parameters.values(), *module._buffers.values()) for module in modules]
    return [weight for weights in own for weight in weights if weight is not None]


def state_of(modules: list[nn.Module]) -> tuple[list[Any], list[tuple[int, int]]]:
    """What they contain, where each weight lies, and how often torch has seen it changed in place."""
    children = [child for module in modules for child in module._modules.values()]
    return children, [(weight.data_ptr(), weight._version) for weight in weights_of(modules)]


def has_hooks(modules: list[nn.Module]) -> bool:
    """Whether somebody wants to see or change what goes into a module or comes out of it."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


class LaidOutConvolution(nn.Module):
    """A 2D convolution on the CPU whose weights are laid out as oneDNN reads them."""

    def __init__(self, conv: nn.Conv2d, padding: list[int], dtype: torch.dtype):
        super().__init__()
        self.geometry = (padding, conv.stride, conv.dilation, conv.groups)
        self.dtype = dtype
        self.weight = LAY_OUT(conv.weight.detach().to(dtype), *self.geometry)
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the convolution that it was made of, in the type of `x`."""
        return CONVOLVE(x.to(self.dtype), self.weight, self.bias, *self.geometry, "none", [], "").to(x.dtype)


def folded(blocks: nn.ModuleList, compute_type: torch.dtype | None = None) -> nn.ModuleList:
    """A copy in which each batch norm behind a convolution is part of it."""
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
    """The convolution in oneDNN's layout where that is possible and pays: one of a single cell is a matrix product."""
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


__all__ = ["FoldedBlocks", "has_bfloat16", "has_hooks"]
