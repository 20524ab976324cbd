"""Whether the generator makes a few kinds of samples only, from distances between samples, without labels."""

from typing import Any, Literal

import torch
from torch import Tensor

from lit_improved_gan.callbacks.distances import Distances
from lit_improved_gan.callbacks.looks import Looks

__all__ = ["CollapseWindow", "Variety", "missed_variety", "spread"]

Variety = Literal["varied", "collapsing"]


def spread(samples: Distances) -> Tensor:
    r"""How far generated samples lie apart, as a multiple of real ones.

    .. math:: \frac{\sum_{ij} |g_i - g_j|}{\sum_{ij} |x_i - x_j|}

    Args:
        samples: of as many generated as real ones.

    Returns:
        a scalar, >= 0; about 1 where the two are of one distribution, 0 where all generated samples are the same; not
        finite where all real ones are.
    """
    return samples.fake.sum() / samples.real.sum()


def missed_variety(samples: Distances) -> Tensor:
    r"""How far real samples are from the nearest generated one: 0, as from the nearest real; 1, as from any real.

    .. math:: \frac{m - a}{b - a}, \quad m = \mathrm{mean}_i \min_j |x_i - g_j|, \quad
        a = \mathrm{mean}_i \min_{k \ne i} |x_i - x_k|, \quad b = \mathrm{mean}_{i \ne k} |x_i - x_k|

    A generator that repeats one real sample has 1 on average, one that lies beside the data more. Few modes of
    many, each with good samples, lie between: on a ring of 8, one mode has 1, two opposite ones 0.6, every other 0.3.

    Args:
        samples: of 3 real ones or more.

    Returns:
        a scalar; not a number where the real samples do not differ more from each other than from the nearest.
    """
    n = len(samples.real)
    any_other = samples.real.sum() / (n * (n - 1))
    nearest = samples.nearest_real.mean()
    missed = samples.across.amin(1).mean()
    return torch.where(any_other > nearest, (missed - nearest) / (any_other - nearest), torch.nan)


class CollapseWindow(Looks):
    """The last looks, and whether all of them say that the generator collapses.

    A look says so where ``missed`` is at least that of the window while ``spread`` is at most that of it: real samples
    have no generated one near them, and generated ones lie close together (beside the data, but wide, is another
    fault). The state begins where all looks say so, and ends where none does. Every generator starts narrow: the looks
    of a first window are passed over.

    Args:
        size: looks in the window.
        missed: in (0, 1).
        spread: above 0.
    """

    def __init__(self, size: int, missed: float, spread: float) -> None:
        super().__init__(size)
        self.missed, self.spread = missed, spread
        self.passed_over = 0
        self.state: Variety = "varied"

    def add(self, values: dict[str, float]) -> Variety:
        """Take in a look, ``missed`` and ``spread``, and return the state."""
        if self.passed_over < self.size:
            self.passed_over += 1
            return self.state
        self.looks.append({name: values[name] for name in ("missed", "spread")})
        if len(self.looks) == self.size:
            said = [one["missed"] >= self.missed and one["spread"] <= self.spread for one in self.looks]
            if all(said):
                self.state = "collapsing"
            elif not any(said):
                self.state = "varied"
        return self.state

    def state_dict(self) -> dict[str, Any]:
        """The looks, how many were passed over, and the state."""
        return super().state_dict() | {"passed_over": self.passed_over}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them."""
        super().load_state_dict(state_dict)
        self.passed_over = state_dict["passed_over"]
