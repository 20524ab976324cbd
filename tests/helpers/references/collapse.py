"""What distances between samples say of their variety, in NumPy float64, pair by pair."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def distance(a: Array, b: Array) -> float:
    return float(np.sqrt(np.sum((a - b) ** 2)))


def spread(real: Array, fake: Array) -> float:
    """Mean distance of two generated samples over that of two real ones."""
    means = [np.mean([distance(x[i], x[j]) for i in range(len(x)) for j in range(i)]) for x in (real, fake)]
    return float(means[1] / means[0])


def missed_variety(real: Array, fake: Array) -> float:
    """Where the way to the nearest generated sample is between that to the nearest real one and to any real one."""
    others = [[distance(x, real[j]) for j in range(len(real)) if j != i] for i, x in enumerate(real)]
    nearest, any_other = np.mean([min(row) for row in others]), np.mean([np.mean(row) for row in others])
    missed = np.mean([min(distance(x, g) for g in fake) for x in real])
    return float((missed - nearest) / (any_other - nearest))
