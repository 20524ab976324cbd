"""What a batch is when several processes train together: theirs, taken as one."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["gathered", "mean_over_ranks", "share_statistics", "world_size"]


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(x: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes in the order of their ranks, with gradients, and where this process's begin.

    Every process should have as many rows as the others.
    """
    if world_size() == 1:
        return x, 0
    whole: Tensor = _Gather.apply(x)
    return whole, dist.get_rank() * len(x)


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of ``value`` over all processes.

    Its gradient is that of this process's own ``value``: the mean that DDP takes of the gradients makes it the whole.
    """
    if world_size() == 1:
        return value
    own = value.detach()
    total = own.clone()
    dist.all_reduce(total)
    return value + (total / world_size() - own)


@torch.no_grad()
def share_statistics(*networks: nn.Module) -> None:
    """Make the running statistics of batch norm, ``running_mean`` and ``running_var``, the mean over all processes.

    Each process moves them towards those of its own batch, and under manual optimization DDP passes them on once only:
    processes would evaluate with different ones, and a checkpoint would have those of the first process.
    """
    if world_size() == 1:
        return
    names = ("running_mean", "running_var")
    found = [value for network in networks for name, value in network.named_buffers() if name.endswith(names)]
    if found:
        total = torch.cat([value.flatten() for value in found])
        dist.all_reduce(total)
        means = (total / world_size()).split([value.numel() for value in found])
        for value, mean in zip(found, means, strict=True):
            value.copy_(mean.view_as(value))


class _Gather(torch.autograd.Function):
    """All processes' rows; its gradient is :class:`_Share`, whose gradient is this one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        share: Tensor = _Share.apply(gradients[0])
        return share


class _Share(torch.autograd.Function):
    """This process's rows of the sum over all processes."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor) -> Tensor:
        total = whole.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[dist.get_rank()]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole: Tensor = _Gather.apply(gradients[0])
        return whole
