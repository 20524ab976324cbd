"""How many different samples a generator makes, from how often two of them are nearly the same."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["SupportSize", "distance_of_share"]


def distance_of_share(samples: Tensor, share: float = 1e-3) -> float:
    """The distance within which this share of all pairs of samples lies.

    Args:
        samples: real ones, ``(N, ...)``, N >= 2.
        share: in (0, 1].

    Returns:
        a Euclidean distance, >= 0, that of the last pair within it.

    Raises:
        ValueError: an argument is out of its range.
    """
    if len(samples) < 2 or not 0 < share <= 1:
        raise ValueError(
            "distance_of_share takes 2 samples or more, and a share in (0, 1]. "
            f"Found {len(samples)} samples and share={share}."
        )
    distances = _distances(samples)
    return float(distances.kthvalue(max(1, round(share * len(distances)))).values)


class SupportSize(Metric):
    """The number of different samples, as the birthday paradox tells it.

    Of M different samples, all as likely, two that are drawn are the same with probability 1/M. So ``support`` is one
    over the share of pairs that lie within a distance of each other. What counts as the same is a matter of that
    distance; with :func:`distance_of_share` of real samples they have a support of 1 / share themselves, 1,000 by
    default, unless more of them than that are the same; and a generator that covers half as much as evenly has half of
    it. No labels are needed, and no modes.

    Pairs are counted within each call of :meth:`update`.

    Args:
        within: two samples as near as that are the same, >= 0.

    Raises:
        ValueError: an argument is out of its range.

    Source: Arora and Zhang 2017 (arXiv:1706.08224), who look at the nearest pairs of a batch with their own eyes.

    >>> support = SupportSize(within=0.5)
    >>> support.update(torch.tensor([[0.0], [1.0], [2.0], [2.1]]))
    >>> round(float(support.compute()["support"]), 3)
    6.0
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    near: Tensor
    pairs: Tensor

    def __init__(self, within: float) -> None:
        super().__init__()
        if not within >= 0:
            raise ValueError(f"Parameter `within` of SupportSize should be 0 or more. Found within={within}.")
        self.within = within
        for name in ("near", "pairs"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, samples: Tensor) -> None:
        """Add the pairs of a batch ``(N, ...)``."""
        distances = _distances(samples)
        self.near += (distances <= self.within).sum()
        self.pairs += len(distances)

    def compute(self) -> dict[str, Tensor]:
        """``support``, a scalar in float64.

        Where no pair coincides it is the number of pairs, as it is at least; not a number where there is no pair.
        """
        if not int(self.pairs):
            return {"support": torch.full((), torch.nan, dtype=torch.float64, device=self.pairs.device)}
        return {"support": self.pairs.double() / self.near.clamp(min=1)}


def _distances(samples: Tensor) -> Tensor:
    """Between all pairs, each once, and 0 between two that are the same."""
    return torch.pdist(samples.flatten(1).double())
