"""Distances between real and generated samples, computed once for all that is read from them."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Distances"]


class Distances(NamedTuple):
    """Euclidean distances within and between N real and M generated samples.

    Attributes:
        real: between two real samples, ``(N, N)``.
        fake: between two generated ones, ``(M, M)``.
        across: of each real sample from each generated one, ``(N, M)``.
        nearest_real: of each real sample from the nearest other real one, ``(N,)``.
        nearest_fake: of each generated sample from the nearest other generated one, ``(M,)``.
    """

    real: Tensor
    fake: Tensor
    across: Tensor
    nearest_real: Tensor
    nearest_fake: Tensor

    @classmethod
    def between(cls, real: Tensor, fake: Tensor) -> "Distances":
        """Of samples ``(N, ...)`` and ``(M, ...)``, in float32."""
        x, g = (samples.flatten(1).float() for samples in (real, fake))
        real, fake, across = torch.cdist(x, x), torch.cdist(g, g), torch.cdist(x, g)
        nearest = (within.clone().fill_diagonal_(torch.inf).amin(1) for within in (real, fake))
        return cls(real, fake, across, *nearest)
