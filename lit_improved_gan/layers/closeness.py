"""Pairwise closeness without the tensor of all pairwise differences."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lit_improved_gan.precision import wide

__all__ = ["pairwise_closeness"]


def pairwise_closeness(rows: Tensor, columns: Tensor, first: int = 0, groups: Tensor | None = None) -> Tensor:
    r"""For each row, its closeness to each group of columns: :math:`\sum_j \exp(-\lVert r_{ib} - c_{jb} \rVert_1)`.

    Args:
        rows: ``(n, B, C)``; row i is column ``first + i``, and is not close to itself.
        columns: ``(m, B, C)``; ``rows`` itself where they are the same.
        first: the column of row 0.
        groups: which columns belong to which of G groups, ``(m, G)``; ``None``: one group of all.

    Returns:
        ``(n, B, G)``, in float32 or the inputs' wider type.
    """
    same, rows = columns is rows, wide(rows)
    columns = rows if same else wide(columns)
    if groups is None:
        groups = rows.new_ones(len(columns), 1)
    groups = groups.to(rows.dtype)
    with torch.autocast(rows.device.type, enabled=False):
        if torch.compiler.is_compiling():  # the compiler fuses it, and makes no large tensor either
            return _plain(rows, columns, first, groups)
        closeness: Tensor = _Closeness.apply(rows, columns, first, groups)[0]
        return closeness


def _plain(rows: Tensor, columns: Tensor, first: int, groups: Tensor) -> Tensor:
    closeness = torch.exp(-(rows.unsqueeze(1) - columns.unsqueeze(0)).abs().sum(3))
    numbers = torch.arange(len(rows), device=rows.device)
    itself = (numbers + first).unsqueeze(1) == torch.arange(len(columns), device=rows.device)
    closeness = closeness.masked_fill(itself.unsqueeze(2), 0.0)
    return torch.einsum("ijb,jg->ibg", closeness, groups)


class _Closeness(torch.autograd.Function):
    """Keeps the closeness of all pairs, (B, n, m), for the gradient: -sum_j (g_ij + g_ji) c_ij sign(r_i - c_j)."""

    @staticmethod
    def forward(rows: Tensor, columns: Tensor, first: int, groups: Tensor) -> tuple[Tensor, Tensor]:
        by_kernel = _by_kernel(rows)
        others = by_kernel if columns is rows else _by_kernel(columns)
        closeness = rows.new_empty(rows.shape[1], len(rows), len(columns))
        for part in _parts(closeness, rows.shape[2]):
            torch.exp(-torch.cdist(by_kernel[part], others[part], p=1.0), out=closeness[part])
        closeness.diagonal(first, 1, 2)[:, : len(rows)].zero_()
        return (closeness @ groups).transpose(0, 1), closeness

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, Tensor], output: tuple[Tensor, Tensor]) -> None:
        rows, columns, ctx.first, groups = inputs
        ctx.save_for_backward(rows, columns, groups, output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # no zeros in the place of the gradient of output[1]

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], rows: Tensor, columns: Tensor, first: int, groups: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """Several batches of examples, of the same groups, are one with as many more kernels."""
        size = info.batch_size
        groups = groups if in_dims[3] is None else groups.select(in_dims[3], 0)
        folded, others = (
            value.movedim(dim, 1).flatten(1, 2) if dim is not None else value.repeat(1, size, 1)
            for value, dim in ((rows, in_dims[0]), (columns, in_dims[1]))
        )
        result, closeness = _Closeness.apply(folded, others, first, groups)
        return (result.unflatten(1, (size, -1)), closeness.unflatten(0, (size, -1))), (1, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, Tensor | None, None, None]:
        if gradients[0] is None:
            return None, None, None, None
        with torch.autocast(gradients[0].device.type, enabled=False):
            return _Closeness._gradients(ctx, gradients[0])

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        rows, columns, groups, closeness = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            return _differentiable_gradients(rows, columns, ctx.first, groups, gradient)
        same = columns is rows
        gradient, by_kernel = gradient.transpose(0, 1), _by_kernel(rows)
        others = by_kernel if same else _by_kernel(columns)
        on_rows, on_columns = torch.empty_like(by_kernel), None if same else torch.empty_like(others)
        for part in _parts(closeness, rows.shape[2]):
            weights = (gradient[part] @ groups.T).mul_(closeness[part]).neg_()
            if same:
                weights = weights + weights.transpose(1, 2)
            on_rows[part] = _signed_sums(weights, by_kernel[part], others[part])
            if on_columns is not None:
                on_columns[part] = _signed_sums(weights.transpose(1, 2).contiguous(), others[part], by_kernel[part])
        return on_rows.transpose(0, 1), None if on_columns is None else on_columns.transpose(0, 1), None, None


def _by_kernel(m: Tensor) -> Tensor:
    return m.detach().transpose(0, 1).contiguous()


def _parts(closeness: Tensor, kernel_dim: int) -> Iterator[slice]:
    """Kernels worked on at a time: few enough for a processor's cache, or for all differences that CUDA's sums make."""
    kernels, n, m = closeness.shape
    step = max(1, (2**24 // kernel_dim if closeness.is_cuda else 2**17) // max(1, n * m))
    yield from (slice(start, start + step) for start in range(0, kernels, step))


def _signed_sums(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sum over j of w_ij sign(x_i - y_j): what torch computes for the gradient of an L1 distance."""
    return torch.ops.aten._cdist_backward(weights, x, y, 1.0, weights)  # type: ignore[no-any-return]  # torch says Any


def _differentiable_gradients(
    rows: Tensor, columns: Tensor, first: int, groups: Tensor, gradient: Tensor
) -> tuple[Tensor | None, Tensor | None, None, None]:
    with torch.enable_grad():
        r = rows.view_as(rows)  # views: the columns may have been computed from the rows
        c = r if columns is rows else columns.view_as(columns)
        wanted = [m for m in ([r] if c is r else [r, c]) if m.requires_grad]
        found = torch.autograd.grad(_plain(r, c, first, groups), wanted, gradient, create_graph=True)
    by_input = dict(zip(map(id, wanted), found, strict=True))
    return by_input.get(id(r)), None if c is r else by_input.get(id(c)), None, None
