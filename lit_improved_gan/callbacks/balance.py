"""Which of the two players is ahead, from what the discriminator says of real and of generated samples."""

from typing import Literal

import torch
from torch import Tensor

from lit_improved_gan.callbacks.collapse import missed_variety, spread
from lit_improved_gan.callbacks.distances import Distances
from lit_improved_gan.callbacks.looks import Looks

__all__ = ["BalanceWindow", "State", "look", "nearest_neighbour_accuracy"]

State = Literal["balanced", "too strong", "too weak"]
SATURATED = 0.01


def nearest_neighbour_accuracy(samples: Distances) -> Tensor:
    """Share of samples whose nearest neighbour among all others is of their own kind.

    About 0.5 where the two kinds are of one distribution, and 1 where they lie apart.

    Args:
        samples: of as many generated as real ones.

    Returns:
        a scalar in [0, 1].

    Source: Lopez-Paz and Oquab 2017 (arXiv:1610.06545); as a measure of GANs, Xu et al. 2018 (arXiv:1806.07755).
    """
    real_right = samples.nearest_real <= samples.across.amin(1)
    fake_right = samples.nearest_fake < samples.across.amin(0)
    return torch.cat([real_right, fake_right]).float().mean()


def look(real: Tensor, fake: Tensor, d_real: Tensor, d_fake: Tensor, pairs: int = 128) -> dict[str, Tensor]:
    """What can be said of a batch of real and as many generated samples.

    Args:
        real: ``(N, ...)``.
        fake: ``(N, ...)``.
        d_real: logits of "real" of the real samples, ``(N,)``.
        d_fake: those of the generated ones, ``(N,)``.
        pairs: samples of each kind that are compared with each other.

    Returns:
        scalars, in [0, 1] but for the last two: ``d_real``, ``d_fake``, the mean probabilities of "real";
        ``accuracy_real``, ``accuracy_fake``, the shares that D is right about; ``saturation``, the share that it is
        sure about, to 1 %; ``neighbour_accuracy``, see :func:`nearest_neighbour_accuracy`; ``missed`` and ``spread``,
        see :mod:`~lit_improved_gan.callbacks.collapse`.
    """
    each = torch.stack([d_real, -d_fake]).float().sigmoid()  # probabilities of what the samples are
    right, sure = each > 0.5, (each - 0.5).abs() > 0.5 - SATURATED
    means = torch.cat([each, right.float(), sure.float()]).mean(1)  # in one pass: many small ones cost more
    real_is, fake_is, accuracy_real, accuracy_fake, sure_of_real, sure_of_fake = means.unbind()
    compared = Distances.between(real[:pairs], fake[:pairs])
    return {
        "d_real": real_is,
        "d_fake": 1 - fake_is,
        "accuracy_real": accuracy_real,
        "accuracy_fake": accuracy_fake,
        "saturation": (sure_of_real + sure_of_fake) / 2,
        "neighbour_accuracy": nearest_neighbour_accuracy(compared),
        "missed": missed_variety(compared),
        "spread": spread(compared),
    }


class BalanceWindow(Looks):
    """The last looks, and what they say together.

    D is too strong where it is right about ``strong`` of the samples or more. It is too weak where it is right about
    ``weak`` of them or fewer, while their nearest neighbours say that they differ: right about ``differ`` or more. (D
    is right about half of them at the equilibrium, too, but there the neighbours are as well.) A state ends when its
    threshold is missed by ``margin``.

    Args:
        size: looks in the window.
        strong: in (0.5, 1).
        weak: in (0.5, 1).
        differ: in (0.5, 1).
        margin: in [0, 0.5).
    """

    def __init__(self, size: int, strong: float, weak: float, differ: float, margin: float = 0.05) -> None:
        super().__init__(size)
        self.strong, self.weak, self.differ, self.margin = strong, weak, differ, margin
        self.state: State = "balanced"

    @property
    def accuracy(self) -> float:
        """Share of all samples that D is right about."""
        return (self.mean("accuracy_real") + self.mean("accuracy_fake")) / 2

    def add(self, values: dict[str, float], may_begin: bool = True) -> State:
        """Take in a look, and return the state; unless it may begin, only one that was there already goes on."""
        self.looks.append(values)
        before = self.state
        if len(self.looks) == self.size:
            strong = self.strong - self.margin * (self.state == "too strong")
            slack = self.margin * (self.state == "too weak")
            if self.accuracy >= strong:
                self.state = "too strong"
            elif self.accuracy <= self.weak + slack and self.mean("neighbour_accuracy") >= self.differ - slack:
                self.state = "too weak"
            else:
                self.state = "balanced"
        if self.state != before and not may_begin:
            self.state = "balanced"
        return self.state
