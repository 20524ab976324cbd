"""What several processes are for a measure: objects whose states are summed."""

from collections.abc import Sequence
from typing import TypeVar

from lit_improved_gan.metrics import FeatureMetric

Measure = TypeVar("Measure", bound=FeatureMetric)


def summed(metrics: Sequence[Measure]) -> Measure:
    """The first, with the states of all."""
    first = metrics[0]
    for name in first._defaults:
        if first._reductions[name].__name__ == "dim_zero_sum":
            setattr(first, name, sum(getattr(metric, name) for metric in metrics))
    first._update_count = 1
    return first
