"""The game between the two players, with one-sided label smoothing."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan.precision import wide
from lit_improved_gan.types import DiscriminatorOutput

__all__ = [
    "AdversarialLoss",
    "GeneratorLoss",
    "MinimaxLoss",
    "NonSaturatingLoss",
    "check_target",
    "discriminator_loss",
    "real_logit",
]


def real_logit(logits: Tensor) -> Tensor:
    r"""The logit s of "real", so that D(x) = sigmoid(s).

    With K logits and the (K+1)-th, "generated", fixed at 0: :math:`s = \log \sum_k \exp l_k`. With a single logit that
    is the logit itself, so every loss here takes both kinds of discriminator.

    Args:
        logits: ``(N, K)``, K >= 1, or ``(N,)``.

    Returns:
        ``(N,)``, in float32 or wider.

    Source: paper section 5.
    """
    logits = wide(logits)
    if logits.dim() == 1:
        return logits
    return logits.squeeze(1) if logits.shape[1] == 1 else torch.logsumexp(logits, 1)


def discriminator_loss(real: Tensor, fake: Tensor, real_target: float = 1.0) -> Tensor:
    r"""Cross-entropy of real against generated, the target of real images smoothed on one side.

    .. math:: E_{real}[\mathrm{softplus}(s) - \alpha s] + E_{fake}[\mathrm{softplus}(s)]

    which is :math:`-E[\alpha \log D + (1-\alpha) \log(1-D)] - E[\log(1-D)]`. The best D is
    :math:`\alpha p_{data} / (p_{data} + p_{model})`. The target of generated images stays 0: a positive one would
    reward the generator for staying where it errs.

    Args:
        real: logits s of real images, ``(N,)``.
        fake: logits s of generated images, ``(M,)``.
        real_target: alpha, in (0, 1]; 1 is no smoothing.

    Returns:
        a scalar in nats, >= 0.

    Raises:
        ValueError: ``real_target`` is out of its range.

    Source: paper section 3.4.
    """
    check_target("discriminator_loss", real_target)
    real, fake = wide(real), wide(fake)
    # softplus(s) - alpha s, written so that no two large terms cancel: softplus(s) - s = softplus(-s)
    on_real = F.softplus(-real).mean()
    if real_target != 1:
        on_real = on_real + (1 - real_target) * real.mean()
    return on_real + F.softplus(fake).mean()


def check_target(loss: nn.Module | str, value: float, name: str = "real_target") -> float:
    """Return a target of a loss, in (0, 1].

    Args:
        loss: or its name.
        value: the target.
        name: of the parameter.

    Raises:
        ValueError: it is out of its range.
    """
    of = loss if isinstance(loss, str) else type(loss).__name__
    if not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"Parameter `{name}` of {of} should be in (0, 1]. Found {name}={value}.")
    return value


class AdversarialLoss(nn.Module):
    """The discriminator's loss, :func:`discriminator_loss` of its two outputs.

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
        return discriminator_loss(real_logit(real.logits), real_logit(fake.logits), self.real_target)


class GeneratorLoss(nn.Module, ABC):
    """What every generator loss is: called with D's output on generated and, where it asks for them, on real images.

    Attributes:
        needs_real: whether ``real`` is used. The module then draws a stream of real images for the generator.
    """

    needs_real: bool = False

    @abstractmethod
    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar."""


class NonSaturatingLoss(GeneratorLoss):
    r"""Maximise log D(G(z)): :math:`E[\mathrm{softplus}(-s)]`, in nats, >= 0.

    Source: Goodfellow et al. 2014, section 3.
    """

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar."""
        return F.softplus(-real_logit(fake.logits)).mean()


class MinimaxLoss(GeneratorLoss):
    r"""Minimise log(1 - D(G(z))): :math:`-E[\mathrm{softplus}(s)]`, in nats, <= 0; its gradient vanishes where D wins.

    Source: Goodfellow et al. 2014, equation 1.
    """

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar."""
        return -F.softplus(real_logit(fake.logits)).mean()
