"""What a batch is when several processes train together: theirs, taken as one."""

import torch.distributed as dist
from torch import Tensor
from torch.distributed import _functional_collectives as functional

__all__ = ["gathered", "mean_over_ranks", "world_size"]


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(x: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes in the order of their ranks, with gradients, and where this process's begin.

    Every process should have as many rows as the others.
    """
    if world_size() == 1:
        return x, 0
    whole: Tensor = functional.wait_tensor(functional.all_gather_tensor_autograd(x.contiguous(), 0, _everyone()))
    return whole, dist.get_rank() * len(x)


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of ``value`` over all processes.

    Its gradient is that of this process's own ``value``: the mean that DDP takes of the gradients makes it the whole.
    """
    if world_size() == 1:
        return value
    own = value.detach()
    total: Tensor = functional.wait_tensor(functional.all_reduce(own, "sum", _everyone()))
    mean: Tensor = value + (total / world_size() - own)
    return mean


def _everyone() -> dist.ProcessGroup:
    return dist.distributed_c10d._get_default_group()
