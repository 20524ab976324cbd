"""The discriminator's loss when it is a classifier that also tells real from generated."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan.losses.adversarial import check_target, discriminator_loss, real_logit
from lit_improved_gan.precision import wide

__all__ = ["SemiSupervisedLoss", "SemiSupervisedTerms", "implicit_logits"]


def implicit_logits(logits: Tensor) -> Tensor:
    """From K+1 logits, the last that of "generated", to the K that mean the same where that one is fixed at 0.

    Every loss here takes K logits. Softmax does not change when a number is added to all its logits, so a discriminator
    with K+1 of them says the same as one with their differences from the last.

    Args:
        logits: ``(N, K + 1)``, K >= 1.

    Returns:
        ``(N, K)``.

    Raises:
        ValueError: there are fewer than two logits.

    Source: paper section 5.
    """
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"Parameter `logits` of implicit_logits should be (N, K + 1), K >= 1. Found {tuple(logits.shape)}."
        )
    return logits[:, :-1] - logits[:, -1:]


class SemiSupervisedTerms(NamedTuple):
    """The loss and its two parts: ``total = supervised + unlabelled_weight * unsupervised``, scalars in nats."""

    total: Tensor
    supervised: Tensor
    unsupervised: Tensor


class SemiSupervisedLoss(nn.Module):
    r"""Classify the labelled images; tell the unlabelled from the generated.

    K logits, the (K+1)-th, "generated", fixed at 0. With s the :func:`~lit_improved_gan.losses.real_logit`:

    .. math:: E[-\log p(y|x)] + w\left(\tfrac12 E_{unl}[\mathrm{softplus}(s) - \alpha s]
              + \tfrac12 E_{gen}[\mathrm{softplus}(s)]\right)

    Args:
        unlabelled_weight: w, >= 0. The released code uses 1; because of its factor 1/2 that is half the weight that
            the paper's formula gives.
        real_target: alpha in (0, 1], the target of unlabelled real images; the ``LabelSmoothing`` callback sets it,
            too. Class labels are never smoothed by it.

    Raises:
        ValueError: a value is out of its range.

    Source: paper section 5, with the factor 1/2 of openai/improved-gan @ 4f5d1ec,
    ``mnist_svhn_cifar10/train_mnist_feature_matching.py``.
    """

    def __init__(self, unlabelled_weight: float = 1.0, real_target: float = 1.0) -> None:
        super().__init__()
        if not unlabelled_weight >= 0:
            raise ValueError(
                "Parameter `unlabelled_weight` of SemiSupervisedLoss should be 0 or more. "
                f"Found unlabelled_weight={unlabelled_weight}."
            )
        self.unlabelled_weight = unlabelled_weight
        self.real_target = check_target(self, real_target)

    def forward(
        self, labelled_logits: Tensor, labels: Tensor, unlabelled_logits: Tensor, fake_logits: Tensor
    ) -> SemiSupervisedTerms:
        """Compute the loss.

        Args:
            labelled_logits: of the labelled images, ``(N, K)``.
            labels: their classes, ``(N,)``, int64 in 0..K-1.
            unlabelled_logits: of the unlabelled images, ``(M, K)``.
            fake_logits: of the generated ones, ``(M', K)``.

        Raises:
            ValueError: they are no logits of the same K, one of them is empty, or there is no label for each.
        """
        _check_logits(labelled_logits=labelled_logits, unlabelled_logits=unlabelled_logits, fake_logits=fake_logits)
        if labels.shape != labelled_logits.shape[:1]:
            raise ValueError(
                "Parameter `labels` of SemiSupervisedLoss should be the class of each labelled image, "
                f"({len(labelled_logits)},). Found {tuple(labels.shape)}."
            )
        labelled_logits = wide(labelled_logits)
        supervised = F.cross_entropy(labelled_logits, labels)
        unsupervised = 0.5 * discriminator_loss(
            real_logit(unlabelled_logits), real_logit(fake_logits), self.real_target
        )
        return SemiSupervisedTerms(supervised + self.unlabelled_weight * unsupervised, supervised, unsupervised)


def _check_logits(**logits: Tensor) -> None:
    classes: int | None = None
    for name, value in logits.items():
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if not isinstance(value, Tensor) or value.dim() != 2 or not len(value) or classes not in (None, value.shape[1]):
            wanted = f"logits (N, {classes or 'K'}), N >= 1"
            raise ValueError(f"Parameter `{name}` of SemiSupervisedLoss should be {wanted}. Found {found}.")
        classes = value.shape[1]
