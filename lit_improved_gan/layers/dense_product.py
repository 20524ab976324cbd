"""A dense layer, its product by the faster of torch's two libraries."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Dense", "dense_product"]

_WORTHWHILE = 1 << 23
"""Multiplications from which on it pays."""


def dense_product(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T``, as ``torch.nn.functional.linear`` without a bias.

    For float32 on a CPU torch calls MKL, which uses half the width of an AMD processor. Large products go through
    oneDNN there, which is twice as fast; values differ by rounding. On Intel's own processors it would be slower.
    So do those of S members, given as they are or within ``torch.vmap``.

    Args:
        x: ``(N, A)``, or ``(S, N, A)``.
        weight: ``(B, A)``, or ``(S, B, A)``.

    Returns:
        ``(N, B)``, or ``(S, N, B)``, differentiable any number of times.
    """
    if _suits(x, weight):
        return _Product.apply(x, weight)  # type: ignore[no-any-return]  # torch says Any
    return F.linear(x, weight) if weight.dim() == 2 else x @ weight.mT


class Dense(nn.Linear):
    """``torch.nn.Linear`` by :func:`dense_product`.

    Shapes:
        ``(N, A)`` to ``(N, B)``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, A)`` to ``(N, B)``."""
        if not _suits(x, self.weight):
            return super().forward(x)
        product: Tensor = _Product.apply(x, self.weight)
        return product if self.bias is None else product + self.bias


@cache
def _on_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # another system than Linux
        return False


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and _on_amd()
        and x.dim() == weight.dim()
        and weight.dim() in (2, 3)
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.shape[-2] * weight.shape[-2:].numel() >= _WORTHWHILE
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
        and _vmap_at_most()
    )


def _vmap_at_most() -> bool:
    """Whether no transform of torch.func is active but one torch.vmap."""
    if not torch._C._are_functorch_transforms_active():
        return True
    active = torch._C._functorch.get_interpreter_stack() or []
    return [one.key() for one in active] == [torch._C._functorch.TransformType.Vmap]


def _by_onednn(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a.contiguous(), b.contiguous(), None, "none", [], "")
    return product


class _Product(torch.autograd.Function):
    """``a @ b.mT``, of matrices or of as many pairs of them."""

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        if a.dim() == 2:
            return _by_onednn(a, b)
        return torch.stack([_by_onednn(*pair) for pair in zip(a.unbind(), b.unbind(), strict=True)])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """By products of the same kind."""
        a, b = ctx.saved_tensors
        (gradient,) = gradients
        on_a = dense_product(gradient, b.mT) if ctx.needs_input_grad[0] else None
        on_b = dense_product(gradient.mT, a.mT) if ctx.needs_input_grad[1] else None
        return on_a, on_b

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], a: Tensor, b: Tensor) -> tuple[Tensor, int]:
        """Each member's product."""
        whole = (
            value.movedim(dim, 0) if dim is not None else value.expand(info.batch_size, *value.shape)
            for value, dim in zip((a, b), in_dims, strict=True)
        )
        return dense_product(*whole), 0
