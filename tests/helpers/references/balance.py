"""The two-sample statistic of the balance of the players in NumPy float64, pair by pair (arXiv:1806.07755)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nearest_neighbour_accuracy(real: Array, fake: Array) -> float:
    """Leave one out: the share of samples whose nearest other sample is of the same kind."""
    x, kinds = np.concatenate([real, fake]), [0] * len(real) + [1] * len(fake)
    right = 0
    for i in range(len(x)):
        others = [(float(np.sum((x[i] - x[j]) ** 2)), kinds[j]) for j in range(len(x)) if j != i]
        right += min(others)[1] == kinds[i]
    return right / len(x)
