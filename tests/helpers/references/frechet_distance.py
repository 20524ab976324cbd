"""Frechet distance between Gaussian fits in float64 NumPy (Heusel et al. 2017, arXiv:1706.08500, equation 6)."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[np.float64]


def mean_and_covariance(x: Array) -> tuple[Array, Array]:
    """Mean (d,) and unbiased covariance (d, d), 1/(N - 1) sum_n (x_n - mean)(x_n - mean)^T, of the rows of x."""
    x = np.asarray(x, dtype=np.float64)
    if x.shape[0] < 2:
        raise ValueError("the unbiased covariance needs at least two samples")
    mean = np.mean(x, axis=0)
    covariance = np.zeros((x.shape[1], x.shape[1]))
    for row in x:
        covariance += np.outer(row - mean, row - mean)
    return mean, covariance / (x.shape[0] - 1)


def frechet_distance(real: Array, generated: Array) -> float:
    """|mu1 - mu2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two (N, d) sets (equation 6; the square, no root of it).

    C1 C2 has real eigenvalues >= 0, so an imaginary part of its root is rounding and is dropped. Nothing is added
    to the diagonals and the result is not clipped at zero.
    """
    mean1, covariance1 = mean_and_covariance(real)
    mean2, covariance2 = mean_and_covariance(generated)
    root = scipy.linalg.sqrtm(covariance1 @ covariance2)
    difference = mean1 - mean2
    return float(difference @ difference + np.trace(covariance1) + np.trace(covariance2) - 2.0 * np.trace(root).real)


def frechet_distance_of_commuting(mean1: Array, var1: Array, mean2: Array, var2: Array) -> float:
    """sum_i (m1_i - m2_i)^2 + (sqrt(v1_i) - sqrt(v2_i))^2: equation 6 for the covariances diag(v1), diag(v2).

    Covariances that commute share eigenvectors; in that basis they are diagonal, with these variances.
    """
    total = 0.0
    for m1, v1, m2, v2 in zip(mean1, var1, mean2, var2, strict=True):
        total += (m1 - m2) ** 2 + (np.sqrt(v1) - np.sqrt(v2)) ** 2
    return float(total)
