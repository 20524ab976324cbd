"""The released Adam in float64 NumPy, epsilon inside the root (settings of the paper's released MNIST script)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def step(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    t: int,
    rate: float = 0.003,
    beta1: float = 0.5,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """One update, t from 1: new (theta, m, v); theta -= rate * m_hat / sqrt(v_hat + eps).

    m_hat = m / (1 - beta1^t) and v_hat = v / (1 - beta2^t). The released code has eps inside the root, where
    the usual Adam has sqrt(v_hat) + eps.
    """
    m = beta1 * m + (1.0 - beta1) * grad
    v = beta2 * v + (1.0 - beta2) * grad**2
    m_hat = m / (1.0 - beta1**t)
    v_hat = v / (1.0 - beta2**t)
    return theta - rate * m_hat / np.sqrt(v_hat + eps), m, v


def run(
    theta: Array,
    grads: Sequence[Array],
    rate: float = 0.003,
    beta1: float = 0.5,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> list[Array]:
    """Parameters after every update of a given sequence of gradients, the start first (released code)."""
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    out = [theta]
    for t, grad in enumerate(grads, start=1):
        theta, m, v = step(theta, grad, m, v, t, rate, beta1, beta2, eps)
        out.append(theta)
    return out
