"""The hinge loss, a baseline."""

import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan.losses.adversarial import GeneratorLoss, real_logit
from lit_improved_gan.precision import wide
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["HingeDiscriminatorLoss", "HingeGeneratorLoss", "hinge_discriminator_loss"]


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    r""":math:`E_{real}[\max(0, 1 - s)] + E_{fake}[\max(0, 1 + s)]`, for logits s ``(N,)`` and ``(M,)``; >= 0.

    Source: Lim and Ye 2017, Geometric GAN (arXiv:1705.02894).
    """
    real, fake = wide(real), wide(fake)
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


class HingeDiscriminatorLoss(nn.Module):
    """:func:`hinge_discriminator_loss` of D's two outputs."""

    def forward(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The loss for a batch of real and a batch of generated images, a scalar."""
        return hinge_discriminator_loss(real_logit(real.logits), real_logit(fake.logits))


class HingeGeneratorLoss(GeneratorLoss):
    """Raise the logit of generated images: :math:`-E[s]`.

    Source: Lim and Ye 2017, Geometric GAN (arXiv:1705.02894).
    """

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar."""
        return -real_logit(fake.logits).mean()
