"""Distances between real and generated samples, computed once for all that is read from them."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Distances"]


class Distances(NamedTuple):
    """Euclidean distances within and between N real and M generated samples.

    Attributes:
        real: between two real samples, ``(N, N)``.
        fake: between two generated ones, ``(M, M)``.
        across: of each real sample from each generated one, ``(N, M)``.
    """

    real: Tensor
    fake: Tensor
    across: Tensor

    @classmethod
    def between(cls, real: Tensor, fake: Tensor) -> "Distances":
        """Of samples ``(N, ...)`` and ``(M, ...)``, in float32."""
        x, g = (samples.flatten(1).float() for samples in (real, fake))
        return cls(torch.cdist(x, x), torch.cdist(g, g), torch.cdist(x, g))

    def nearest_other(self, kind: Literal["real", "fake"]) -> Tensor:
        """From each sample of a kind to the nearest other one of that kind, ``(N,)`` or ``(M,)``."""
        among: Tensor = getattr(self, kind)
        return among.clone().fill_diagonal_(torch.inf).amin(1)
