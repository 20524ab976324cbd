"""Label smoothing as a divergence, and a target for the generator: the form of the released ImageNet code."""

from math import log

import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan.losses.adversarial import GeneratorLoss, check_target, real_logit
from lit_improved_gan.precision import wide
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["DivergenceDiscriminatorLoss", "DivergenceGeneratorLoss", "target_divergence"]


def target_divergence(logits: Tensor, target: float) -> Tensor:
    r"""The mean divergence of D from a target probability t of "real", 0 where D says t.

    .. math:: E[\mathrm{softplus}(s) - t s] - H(t), \quad H(t) = -t \log t - (1-t) \log(1-t)

    It is the cross-entropy less a constant: the gradients are the same.

    Args:
        logits: s, ``(N,)``.
        target: t, in [0, 1].

    Returns:
        a scalar in nats, >= 0.

    Source: openai/improved-gan @ 4f5d1ec, ``imagenet/ops.py``, ``sigmoid_kl_with_logits``.
    """
    entropy = -sum(p * log(p) for p in (target, 1 - target) if p > 0)
    # softplus(s) - t s without a difference of large terms: softplus(s) - s = softplus(-s)
    logits = wide(logits)
    return (target * F.softplus(-logits) + (1 - target) * F.softplus(logits)).mean() - entropy


class DivergenceDiscriminatorLoss(nn.Module):
    """:func:`target_divergence` of real images from ``real_target``, and of generated ones from 0.

    Args:
        real_target: alpha, in (0, 1]; the ``LabelSmoothing`` callback sets it, too.

    Raises:
        ValueError: ``real_target`` is out of its range.

    Source: openai/improved-gan @ 4f5d1ec, ``imagenet/build_model.py``.
    """

    def __init__(self, real_target: float = 0.75) -> None:
        super().__init__()
        self.real_target = check_target(self, real_target)

    def forward(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The loss for a batch of real and a batch of generated images, a scalar in nats, >= 0."""
        return target_divergence(real_logit(real.logits), self.real_target) + target_divergence(
            real_logit(fake.logits), 0.0
        )


class DivergenceGeneratorLoss(GeneratorLoss):
    """:func:`target_divergence` of generated images from a target; half of D's target is a draw.

    Args:
        target: in (0, 1].

    Raises:
        ValueError: ``target`` is out of its range.

    Source: openai/improved-gan @ 4f5d1ec, ``imagenet/build_model.py``.
    """

    def __init__(self, target: float = 0.375) -> None:
        super().__init__()
        self.target = check_target(self, target, "target")

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar in nats, >= 0."""
        return target_divergence(real_logit(fake.logits), self.target)
