"""The least-squares loss, a baseline."""

from torch import Tensor, nn

from lit_improved_gan.losses.adversarial import GeneratorLoss, check_target, real_logit
from lit_improved_gan.precision import wide
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["LeastSquaresDiscriminatorLoss", "LeastSquaresGeneratorLoss", "least_squares_discriminator_loss"]


def least_squares_discriminator_loss(real: Tensor, fake: Tensor, real_target: float = 1.0) -> Tensor:
    r""":math:`E_{real}[(s - \alpha)^2] + E_{fake}[s^2]`, for outputs s ``(N,)`` and ``(M,)``; >= 0.

    Source: Mao et al. 2016, equation 2 without its factor 1/2 (arXiv:1611.04076).
    """
    real, fake = wide(real), wide(fake)
    return (real - real_target).square().mean() + fake.square().mean()


class LeastSquaresDiscriminatorLoss(nn.Module):
    """:func:`least_squares_discriminator_loss` of D's two outputs.

    Args:
        real_target: alpha, in (0, 1]; the ``LabelSmoothing`` callback sets it, too.

    Raises:
        ValueError: ``real_target`` is out of its range.
    """

    def __init__(self, real_target: float = 1.0) -> None:
        super().__init__()
        self.real_target = check_target(self, real_target)

    def forward(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The loss for a batch of real and a batch of generated images, a scalar."""
        return least_squares_discriminator_loss(real_logit(real.logits), real_logit(fake.logits), self.real_target)


class LeastSquaresGeneratorLoss(GeneratorLoss):
    """Bring D's output for generated images to 1: :math:`E[(s - 1)^2]`.

    Source: Mao et al. 2016, equation 2 without its factor 1/2 (arXiv:1611.04076).
    """

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar."""
        return (real_logit(fake.logits) - 1).square().mean()
