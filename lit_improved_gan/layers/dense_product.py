"""The product of a dense layer, by the faster of torch's two libraries."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["dense_product"]

_WORTHWHILE = 1 << 23
"""Multiplications from which on a conversion pays."""


def dense_product(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T``, as ``torch.nn.functional.linear`` without a bias.

    For float32 on a CPU torch calls MKL, which uses half the width of an AMD processor. Large products go through
    oneDNN there, which is twice as fast; values differ by rounding. On Intel's own processors it would be slower.

    Args:
        x: ``(N, A)``.
        weight: ``(B, A)``.

    Returns:
        ``(N, B)``, differentiable any number of times.
    """
    if not torch.compiler.is_compiling() and _on_amd() and _suits(x, weight):
        return _Product.apply(x, weight)  # type: ignore[no-any-return]
    return F.linear(x, weight)


@cache
def _on_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # another system than Linux
        return False


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dim() == 2
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and len(x) * weight.numel() >= _WORTHWHILE
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()  # torch.func has no rule for it
    )


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        """``a @ b.T``."""
        ctx.save_for_backward(a, b)
        return F.linear(a.contiguous().to_mkldnn(), b.contiguous()).to_dense()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """By products of the same kind."""
        a, b = ctx.saved_tensors
        (gradient,) = gradients
        on_a = dense_product(gradient, b.T) if ctx.needs_input_grad[0] else None
        on_b = dense_product(gradient.T, a.T) if ctx.needs_input_grad[1] else None
        return on_a, on_b
