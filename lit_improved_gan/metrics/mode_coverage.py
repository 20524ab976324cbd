"""How many modes of the data the samples cover, and how evenly."""

from math import log

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ModeCoverage", "divergence_from_uniform"]


def divergence_from_uniform(counts: Tensor) -> Tensor:
    r"""Divergence of a histogram from the even one: :math:`\sum_k p_k \log(M p_k)`, p_k the share of bin k of M.

    Args:
        counts: ``(M,)``, >= 0.

    Returns:
        a scalar in nats, float64, from 0 (even) to log M (all in one bin; also where there is none at all).
    """
    counts = counts.double()
    total = counts.sum()
    if not total > 0:
        return total.new_tensor(log(len(counts)))
    p = counts / total
    return torch.xlogy(p, len(counts) * p).sum().clamp(min=0)


class ModeCoverage(Metric):
    """Modes captured, share of samples of high quality, and evenness, from what a ``ModeJudge`` says of each sample.

    ``modes`` counts the modes with at least one sample that passed, and ``kl`` is :func:`divergence_from_uniform` of
    those that passed. ``modes_ungated`` and ``kl_ungated`` are of all samples, as some papers have them: they mislead,
    as noise lands in most modes. Published numbers are of 2,500 points or 26,000 images; compare at equal numbers.

    Args:
        num_modes: M, >= 1.

    Raises:
        ValueError: an argument is out of its range; there are no samples.

    Source: PacGAN (arXiv:1712.04086), section 4; there the divergence is from the real data's histogram, which is even.

    >>> coverage = ModeCoverage(num_modes=4)
    >>> coverage.update(torch.tensor([0, 0, 1, 2]), torch.tensor([True, True, True, False]))
    >>> {name: round(float(value), 3) for name, value in coverage.compute().items()}
    {'modes': 2.0, 'quality': 0.75, 'kl': 0.75, 'modes_ungated': 3.0, 'kl_ungated': 0.347}
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None
    passed: Tensor
    failed: Tensor

    def __init__(self, num_modes: int) -> None:
        super().__init__()
        if num_modes < 1:
            raise ValueError(f"Parameter `num_modes` of ModeCoverage should be 1 or more. Found num_modes={num_modes}.")
        self.num_modes = num_modes
        for name in ("passed", "failed"):
            self.add_state(name, torch.zeros(num_modes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, modes: Tensor, passed: Tensor) -> None:
        """Add samples.

        Args:
            modes: of each, ``(N,)``, int64 in 0..M-1.
            passed: whether it is of high quality, ``(N,)``, bool.
        """
        if modes.dim() != 1 or modes.shape != passed.shape or modes.dtype != torch.int64 or passed.dtype != torch.bool:
            raise ValueError(
                "ModeCoverage takes modes (N,), int64, and whether each sample passed, (N,), bool. Found "
                f"{tuple(modes.shape)}, {modes.dtype}, and {tuple(passed.shape)}, {passed.dtype}."
            )
        if len(modes) and not 0 <= int(modes.min()) <= int(modes.max()) < self.num_modes:
            raise ValueError(
                f"Parameter `modes` of ModeCoverage.update should be in 0..{self.num_modes - 1}. "
                f"Found {int(modes.min())}..{int(modes.max())}."
            )
        self.passed += torch.bincount(modes[passed], minlength=self.num_modes)
        self.failed += torch.bincount(modes[~passed], minlength=self.num_modes)

    def compute(self) -> dict[str, Tensor]:
        """The values by name, scalars in float64; see the class."""
        every = self.passed + self.failed
        if not int(every.sum()):
            raise ValueError("ModeCoverage has no samples: update it before compute().")
        return {
            "modes": (self.passed > 0).sum().double(),
            "quality": self.passed.sum().double() / every.sum(),
            "kl": divergence_from_uniform(self.passed),
            "modes_ungated": (every > 0).sum().double(),
            "kl_ungated": divergence_from_uniform(every),
        }
