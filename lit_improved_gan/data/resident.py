"""Training images that stay on the accelerator: a batch that travels is row numbers."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Rows", "fits"]


class Rows(NamedTuple):
    """Row numbers in the training set, ``(N,)``, int64, and whether the batch has labels."""

    rows: Tensor
    labelled: bool


def fits(size: int, device: torch.device) -> bool:
    """Whether ``size`` bytes take at most half of what is free on an accelerator; on a CPU they are there already."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size <= free
