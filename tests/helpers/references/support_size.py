"""The support of a generator by coinciding pairs, in NumPy float64, pair by pair."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pair_distances(samples: Array) -> list[float]:
    """Of each two different samples once."""
    n = len(samples)
    return [
        math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(samples[i], samples[j], strict=True)))
        for i in range(n)
        for j in range(i)
    ]


def distance_of_share(samples: Array, share: float) -> float:
    """That of the last of so many nearest pairs."""
    distances = sorted(pair_distances(samples))
    return distances[max(1, round(share * len(distances))) - 1]


def support(batches: list[Array], within: float) -> float:
    """Pairs for each one that coincides."""
    distances = [d for batch in batches for d in pair_distances(batch)]
    return len(distances) / max(1, sum(d <= within for d in distances))
