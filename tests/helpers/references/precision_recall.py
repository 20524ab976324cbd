"""Improved precision and recall, density and coverage in float64 NumPy.

Precision and recall: Kynkaanniemi et al. 2019, arXiv:1904.06991; density and coverage: Naeem et al. 2020,
arXiv:2002.09797. Real samples are X (N of them), generated ones Y (M of them).

Every ball is closed: a point at a distance equal to the radius is inside (<=). ``closed=False`` is the contrast (<).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def distance(a: Array, b: Array) -> float:
    """Euclidean distance of two vectors, from their difference."""
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return float(np.sqrt(np.sum(difference**2)))


def radii(x: Array, k: int) -> list[float]:
    """NND_k(x_i): distance of each row to its k-th nearest among the other rows (k from 1), itself excluded.

    The row is excluded by its index, not by its distance: an exact copy of it is a neighbour at distance 0.
    """
    if not 1 <= k <= len(x) - 1:
        raise ValueError(f"no {k}-th neighbour among {len(x) - 1} other samples")
    out = []
    for i in range(len(x)):
        others = [distance(x[i], x[j]) for j in range(len(x)) if j != i]
        out.append(sorted(others)[k - 1])
    return out


def in_ball(point: Array, centre: Array, radius: float, closed: bool = True) -> bool:
    """Whether |point - centre| <= radius (<, for an open ball)."""
    d = distance(point, centre)
    return d <= radius if closed else d < radius


def inside_manifold(points: Array, reference: Array, k: int, closed: bool = True) -> float:
    """Share of points that lie in at least one ball B(reference_i, NND_k(reference_i)) (1904.06991, equation 1)."""
    radius = radii(reference, k)
    hits = 0
    for point in points:
        if any(in_ball(point, reference[i], radius[i], closed) for i in range(len(reference))):
            hits += 1
    return hits / len(points)


def precision(real: Array, generated: Array, k: int, closed: bool = True) -> float:
    """(1/M) sum_j 1[Y_j in union_i B(X_i, NND_k(X_i))], X real, Y generated (1904.06991, equation 2)."""
    return inside_manifold(generated, real, k, closed)


def recall(real: Array, generated: Array, k: int, closed: bool = True) -> float:
    """(1/N) sum_i 1[X_i in union_j B(Y_j, NND_k(Y_j))], X real, Y generated (1904.06991, equation 2)."""
    return inside_manifold(real, generated, k, closed)


def density(real: Array, generated: Array, k: int, closed: bool = True) -> float:
    """(1/(k M)) sum_j sum_i 1[Y_j in B(X_i, NND_k(X_i))], X real, Y generated; may exceed 1 (2002.09797)."""
    radius = radii(real, k)
    hits = 0
    for point in generated:
        for i in range(len(real)):
            if in_ball(point, real[i], radius[i], closed):
                hits += 1
    return hits / (k * len(generated))


def coverage(real: Array, generated: Array, k: int, closed: bool = True) -> float:
    """(1/N) sum_i 1[some Y_j in B(X_i, NND_k(X_i))], X real, Y generated (2002.09797).

    Recall asks for generated balls; coverage asks for the balls of the real samples.
    """
    radius = radii(real, k)
    hits = 0
    for i in range(len(real)):
        if any(in_ball(point, real[i], radius[i], closed) for point in generated):
            hits += 1
    return hits / len(real)
