"""Feature matching in float64 NumPy, written out term by term (paper section 3.1).

The paper's objective is statistic "mean" with distance "squared_sum"; the released MNIST script uses "mean" with
"squared" and the released CIFAR-10 and SVHN scripts "mean" with "l1". The other statistics and distances are
extensions of it. A statistic is a list of parts; features of any shape (N, ...) are flattened to (N, F) first.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STATISTICS = ("mean", "mean_variance", "covariance", "mean_covariance")
DISTANCES = ("squared", "squared_sum", "l2", "l1", "l1_sum")


def flatten(features: Array) -> Array:
    """(N, ...) -> (N, F)."""
    flat: Array = features.reshape(features.shape[0], -1)
    return flat


def mean(features: Array) -> Array:
    """Batch mean of every feature, (F,): the statistic of paper section 3.1."""
    x = flatten(features)
    total: Array = np.zeros(x.shape[1])
    for row in x:
        total += row / x.shape[0]
    return total


def variance(features: Array) -> Array:
    """Population variance of every feature, (F,) (extension of paper section 3.1)."""
    x = flatten(features)
    m = mean(features)
    total: Array = np.zeros(x.shape[1])
    for row in x:
        total += (row - m) ** 2 / x.shape[0]
    return total


def covariance(features: Array) -> Array:
    """Population covariance matrix of the features, (F, F) (extension of paper section 3.1)."""
    x = flatten(features)
    m = mean(features)
    total: Array = np.zeros((x.shape[1], x.shape[1]))
    for row in x:
        total += np.outer(row - m, row - m) / x.shape[0]
    return total


def statistic(features: Array, name: str) -> list[Array]:
    """The parts of a statistic: "mean", "mean_variance", "covariance" or "mean_covariance" (section 3.1)."""
    if name == "mean":
        return [mean(features)]
    if name == "mean_variance":
        return [mean(features), variance(features)]
    if name == "covariance":
        return [covariance(features)]
    if name == "mean_covariance":
        return [mean(features), covariance(features)]
    raise ValueError(f"unknown statistic {name!r}")


def distance(a: Array, b: Array, name: str) -> float:
    """Distance of two arrays of statistics (paper section 3.1).

    "squared_sum" is the paper's squared Euclidean norm and "squared" its mean over entries (released MNIST);
    "l2" is the Euclidean norm itself; "l1" the mean absolute difference (released CIFAR-10, SVHN), "l1_sum" its sum.
    """
    difference = (a - b).ravel()
    if name == "squared":
        return float(np.mean(difference**2))
    if name == "squared_sum":
        return float(np.sum(difference**2))
    if name == "l2":
        return float(np.sqrt(np.sum(difference**2)))
    if name == "l1":
        return float(np.mean(np.abs(difference)))
    if name == "l1_sum":
        return float(np.sum(np.abs(difference)))
    raise ValueError(f"unknown distance {name!r}")


def distance_grad(a: Array, b: Array, name: str) -> Array:
    """Gradient of distance(a, b) with respect to b (paper section 3.1); 0 where it is not differentiable."""
    difference = b - a
    if name == "squared":
        return 2.0 * difference / difference.size
    if name == "squared_sum":
        return 2.0 * difference
    if name == "l2":
        norm = float(np.sqrt(np.sum(difference**2)))
        return np.zeros_like(difference) if norm == 0.0 else difference / norm
    if name == "l1":
        return np.sign(difference) / difference.size
    if name == "l1_sum":
        return np.sign(difference)
    raise ValueError(f"unknown distance {name!r}")


def _joined(parts: Sequence[Array]) -> Array:
    """All entries of all parts in one vector."""
    return np.concatenate([part.ravel() for part in parts])


def loss(
    real: Array, fake: Array, statistic_name: str = "mean", distance_name: str = "squared", joined: bool = True
) -> float:
    """Feature matching loss between the statistics of two batches (paper section 3.1).

    A statistic of several parts is either ``joined`` (one distance over the concatenation, whose mean therefore
    runs over all entries of all parts) or the distances of the parts are added. The two agree for the sums.
    """
    a = statistic(real, statistic_name)
    b = statistic(fake, statistic_name)
    if joined:
        return distance(_joined(a), _joined(b), distance_name)
    return sum(distance(p, q, distance_name) for p, q in zip(a, b, strict=True))


def loss_grad(
    real: Array, fake: Array, statistic_name: str = "mean", distance_name: str = "squared", joined: bool = True
) -> Array:
    """Gradient of loss(...) with respect to fake (paper section 3.1).

    Every sample moves the mean by 1 / M, the variance by 2 (x - mean) / M and the covariance, for an upstream
    matrix U, by (U + U^T) (x - mean) / M; the terms through the mean vanish because deviations sum to 0.
    """
    a = statistic(real, statistic_name)
    b = statistic(fake, statistic_name)
    if joined:
        flat = distance_grad(_joined(a), _joined(b), distance_name)
        upstream = []
        start = 0
        for part in b:
            upstream.append(flat[start : start + part.size].reshape(part.shape))
            start += part.size
    else:
        upstream = [distance_grad(p, q, distance_name) for p, q in zip(a, b, strict=True)]
    x = flatten(fake)
    m = mean(fake)
    grad = np.zeros_like(x)
    names = {
        "mean": ["mean"],
        "mean_variance": ["mean", "variance"],
        "covariance": ["covariance"],
        "mean_covariance": ["mean", "covariance"],
    }[statistic_name]
    for name, up in zip(names, upstream, strict=True):
        for i in range(x.shape[0]):
            if name == "mean":
                grad[i] += up / x.shape[0]
            elif name == "variance":
                grad[i] += 2.0 * up * (x[i] - m) / x.shape[0]
            else:
                grad[i] += (up + up.T) @ (x[i] - m) / x.shape[0]
    return grad.reshape(fake.shape)


def per_sample_difference(real: Array, fake: Array) -> float:
    """NOT feature matching: the mean over samples and features of (real_i - fake_i)^2.

    The trap next to paper section 3.1: about 2 on two batches of the same unit normal distribution, where
    loss(...) is about 2 / N.
    """
    return float(np.mean((flatten(real) - flatten(fake)) ** 2))


def kernel(a: Array, b: Array, bandwidths: Sequence[float]) -> float:
    """RBF mixture: mean over bandwidths s of exp(-||a - b||^2 / (2 s^2)) (extension of paper section 3.1)."""
    square = float(np.sum((a - b) ** 2))
    return float(np.mean([np.exp(-square / (2.0 * s**2)) for s in bandwidths]))


def mmd(real: Array, fake: Array, bandwidths: Sequence[float]) -> float:
    """Biased squared MMD: E k(x, x') + E k(y, y') - 2 E k(x, y), self pairs included (extension of section 3.1)."""
    x = flatten(real)
    y = flatten(fake)
    xx = np.mean([[kernel(p, q, bandwidths) for q in x] for p in x])
    yy = np.mean([[kernel(p, q, bandwidths) for q in y] for p in y])
    xy = np.mean([[kernel(p, q, bandwidths) for q in y] for p in x])
    return float(xx + yy - 2.0 * xy)


def mmd_grad(real: Array, fake: Array, bandwidths: Sequence[float]) -> Array:
    """Gradient of mmd(...) with respect to fake (extension of paper section 3.1)."""
    x = flatten(real)
    y = flatten(fake)
    n, m = x.shape[0], y.shape[0]
    grad = np.zeros_like(y)

    def kernel_grad(a: Array, b: Array) -> Array:
        square = float(np.sum((a - b) ** 2))
        total = np.zeros_like(a)
        for s in bandwidths:
            total -= np.exp(-square / (2.0 * s**2)) * (a - b) / s**2
        return total / len(bandwidths)

    for i in range(m):
        for j in range(m):
            grad[i] += 2.0 * kernel_grad(y[i], y[j]) / m**2
        for j in range(n):
            grad[i] -= 2.0 * kernel_grad(y[i], x[j]) / (n * m)
    return grad.reshape(fake.shape)
