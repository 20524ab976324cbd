"""What the parts of the library promise each other: small tuples, protocols and an error, no behaviour."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = [
    "DiscriminatorOutput",
    "DivergedError",
    "LabelledBatch",
    "OptimizerFactory",
    "Prior",
    "SchedulerFactory",
    "TwoPlayers",
    "seeds_of",
]

OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Makes an optimizer for the parameters it is given; in YAML a ``class_path`` of an optimizer."""

SchedulerFactory: TypeAlias = Callable[[Optimizer], LRScheduler]
"""Makes a learning-rate schedule for an optimizer; it is stepped once per training batch."""


class DiscriminatorOutput(NamedTuple):
    """What a discriminator returns for a batch of N images.

    Attributes:
        logits: ``(N, 1)``, the logit of "real", or ``(N, K)``, one logit for each class.
        features: intermediate activations by name, each ``(N, ...)``, in the order they were computed.
    """

    logits: Tensor
    features: dict[str, Tensor]

    @staticmethod
    def of(output: "Tensor | DiscriminatorOutput") -> "DiscriminatorOutput":
        """What a discriminator returned, with no features where it returned logits alone."""
        return DiscriminatorOutput(output, {}) if isinstance(output, Tensor) else output

    def split(self, sizes: list[int]) -> "list[DiscriminatorOutput]":
        """Undo a concatenation along the batch: one output for each of ``sizes``."""
        logits = self.logits.split(sizes)
        features = {name: value.split(sizes) for name, value in self.features.items()}
        return [
            DiscriminatorOutput(part, {name: value[i] for name, value in features.items()})
            for i, part in enumerate(logits)
        ]


class DivergedError(RuntimeError):
    """A loss or a gradient is not finite.

    Args:
        what: whose it is, in which training batch, and what else is known.
        remedy: what to try.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


class LabelledBatch(NamedTuple):
    """Images ``(N, C, H, W)`` in [-1, 1] and their classes ``(N,)``, int64."""

    images: Tensor
    labels: Tensor


@runtime_checkable
class Prior(Protocol):
    """A generator network that draws its own input noise."""

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, latent_size)`` noise from ``generator``, on the generator's device."""
        ...


@runtime_checkable
class TwoPlayers(Protocol):
    """A module that says of its players what others would have to find out again.

    Attributes:
        d_updates: updates of D so far.
        gradient_norms: of the last update of ``"discriminator"`` and ``"generator"``.
    """

    d_updates: int
    gradient_norms: dict[str, Tensor]

    def discriminate(self, *groups: Tensor) -> list[DiscriminatorOutput]:
        """D's output for each group of samples."""
        ...


def seeds_of(module: object) -> list[int | None]:
    """The seeds that train side by side in one of the library's modules; of any other module ``[None]``."""
    seeds: list[int | None] = getattr(module, "seeds", [None]) if isinstance(module, TwoPlayers) else [None]
    return list(seeds)
