"""Kernel inception distance in float64 NumPy (Binkowski et al. 2018, arXiv:1801.01401)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def polynomial_kernel(x: Array, y: Array) -> float:
    """k(x, y) = (x . y / d + 1)^3 of two vectors of d features."""
    return float((np.dot(x, y) / x.shape[0] + 1.0) ** 3)


def unbiased_mmd2(x: Array, y: Array) -> float:
    """MMD_u^2 = 1/(m(m-1)) sum_{i!=j} k(x_i,x_j) + 1/(n(n-1)) sum_{i!=j} k(y_i,y_j) - 2/(mn) sum_i sum_j k(x_i,y_j).

    The last sum keeps its pairs i = j. It may be negative: its expectation, not its value, is MMD^2 >= 0.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    m, n = x.shape[0], y.shape[0]
    if m < 2 or n < 2:
        raise ValueError("the unbiased estimator needs at least two samples on either side")
    within_x = 0.0
    for i in range(m):
        for j in range(m):
            if i != j:
                within_x += polynomial_kernel(x[i], x[j])
    within_y = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                within_y += polynomial_kernel(y[i], y[j])
    across = 0.0
    for i in range(m):
        for j in range(n):
            across += polynomial_kernel(x[i], y[j])
    return float(within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2.0 * across / (m * n))


def kernel_distance(
    real: Array, generated: Array, real_indices: Sequence[Indices], generated_indices: Sequence[Indices]
) -> tuple[float, float]:
    """Mean and population standard deviation (ddof 0) of MMD_u^2 over the given pairs of subsets.

    The s-th value compares real[real_indices[s]] with generated[generated_indices[s]].
    """
    values = []
    for i, j in zip(real_indices, generated_indices, strict=True):
        values.append(unbiased_mmd2(real[i], generated[j]))
    return float(np.mean(values)), float(np.std(values, ddof=0))
