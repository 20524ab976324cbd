"""Terms that are added to a player's own loss."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lit_improved_gan.losses.adversarial import real_logit
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["Penalty", "R1Penalty", "r1_penalty"]


class Penalty(nn.Module, ABC):
    """What every such term is: told its network once, then called at each of the network's updates.

    Attributes:
        over_members: what the term of several networks that run as one is of their own: the ``"sum"``, where it adds up
            over weights, or the ``"mean"``, where it is one over images; ``None``: it cannot be called on such.
    """

    over_members: ClassVar[Literal["sum", "mean"] | None] = None

    def follow(self, network: nn.Module) -> None:
        """Prepare for ``network``; by default there is nothing to prepare."""

    @abstractmethod
    def forward(self, network: nn.Module, real: Tensor | None = None) -> Tensor:
        """The term, a scalar.

        Args:
            network: whose loss it is added to.
            real: the update's real images, ``(N, C, H, W)``, for D; ``None`` for G.
        """


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    r"""The mean squared length of the gradient of D's logit at real images.

    .. math:: \tfrac12 E_{real} \lVert \nabla_x s(x) \rVert_2^2

    Args:
        logits: s of ``images``, ``(N,)``.
        images: ``(N, ...)``, that require gradients.

    Returns:
        a scalar, >= 0, that can be differentiated.

    Source: Mescheder et al. 2018, equation 9 (arXiv:1801.04406).
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2


class R1Penalty(Penalty):
    """:func:`r1_penalty`, for a discriminator. It takes a second derivative, which doubles the cost of D's update.

    Args:
        weight: gamma, >= 0.

    Raises:
        ValueError: ``weight`` is negative; when called: there are no real images.
    """

    over_members = "mean"

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"Parameter `weight` of R1Penalty should be 0 or more. Found weight={weight}.")
        self.weight = weight

    def forward(self, network: nn.Module, real: Tensor | None = None) -> Tensor:
        """The penalty of ``network``, a discriminator, at ``real`` images."""
        if real is None:
            raise ValueError("R1Penalty is a penalty of the discriminator. Found no real images.")
        images = real.detach().requires_grad_(True)
        return self.weight * r1_penalty(real_logit(DiscriminatorOutput.of(network(images)).logits), images)
