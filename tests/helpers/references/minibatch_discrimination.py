"""Minibatch discrimination in float64 NumPy, written out term by term (paper section 3.2)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def closeness(m: Array) -> Array:
    """Summed closeness o(x_i)_b = sum over j != i of exp(-||M_ib - M_jb||_1) (paper section 3.2).

    The self term is excluded, as in the released code. ``m`` is (N, B, C), the result (N, B).
    """
    samples, kernels, _ = m.shape
    out = np.zeros((samples, kernels))
    for i in range(samples):
        for j in range(samples):
            if j == i:
                continue
            for b in range(kernels):
                out[i, b] += np.exp(-np.sum(np.abs(m[i, b] - m[j, b])))
    return out


def closeness_grad(m: Array, g: Array) -> Array:
    """Gradient of sum(g * closeness(m)) with respect to m (paper section 3.2); sign(0) is 0.

    The pair (i, j) enters the sums of both i and j, hence the factor g_ib + g_jb.
    """
    samples, kernels, _ = m.shape
    grad = np.zeros_like(m)
    for i in range(samples):
        for j in range(samples):
            if j == i:
                continue
            for b in range(kernels):
                difference = m[i, b] - m[j, b]
                c = np.exp(-np.sum(np.abs(difference)))
                grad[i, b] -= (g[i, b] + g[j, b]) * c * np.sign(difference)
    return grad


def normalised_projection(theta: Array, log_scale: Array) -> Array:
    """W = theta * exp(log_scale) / ||theta||, the norm taken over A (paper section 3.2, released form).

    ``theta`` is (A, B, C), ``log_scale`` (B, C). Nothing is added to the norm.
    """
    _, kernels, width = theta.shape
    w = np.zeros_like(theta)
    for b in range(kernels):
        for c in range(width):
            norm = np.sqrt(np.sum(theta[:, b, c] ** 2))
            w[:, b, c] = theta[:, b, c] * np.exp(log_scale[b, c]) / norm
    return w


def project(x: Array, w: Array) -> Array:
    """M_i = f(x_i) T: (N, A) times (A, B, C) gives (N, B, C) (paper section 3.2)."""
    samples = x.shape[0]
    features_in, kernels, width = w.shape
    m = np.zeros((samples, kernels, width))
    for i in range(samples):
        for a in range(features_in):
            m[i] += x[i, a] * w[a]
    return m


def _group_slices(samples: int, groups: Sequence[int] | None) -> list[slice]:
    """Consecutive slices of the given sizes, which must add up to ``samples``; one slice when None."""
    sizes = [samples] if groups is None else list(groups)
    if sum(sizes) != samples:
        raise ValueError(f"groups {sizes} do not add up to {samples} samples")
    slices = []
    start = 0
    for size in sizes:
        slices.append(slice(start, start + size))
        start += size
    return slices


def features(
    x: Array,
    theta: Array,
    log_scale: Array,
    bias: Array,
    groups: Sequence[int] | None = None,
    average: bool = False,
) -> Array:
    """The whole layer: concat(f(x_i), o(x_i) + bias), (N, A) -> (N, A + B) (paper section 3.2).

    Closeness is computed separately in each consecutive group of ``groups`` samples. ``average`` divides the
    closeness sum by (group size - 1) before the bias is added; a group of one keeps its sum, which is 0.
    """
    m = project(x, normalised_projection(theta, log_scale))
    parts = []
    for piece in _group_slices(x.shape[0], groups):
        total = closeness(m[piece])
        if average:
            total = total / max(total.shape[0] - 1, 1)
        parts.append(np.concatenate([x[piece], total + bias], axis=1))
    return np.concatenate(parts, axis=0)


def features_grad(
    x: Array,
    theta: Array,
    log_scale: Array,
    g: Array,
    groups: Sequence[int] | None = None,
    average: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Gradient of sum(g * features(...)) with respect to x, theta, log_scale and bias (paper section 3.2)."""
    features_in, kernels, width = theta.shape
    w = normalised_projection(theta, log_scale)
    m = project(x, w)
    g_closeness = g[:, features_in:]
    dm = np.zeros_like(m)
    for piece in _group_slices(x.shape[0], groups):
        factor = 1.0 / max(piece.stop - piece.start - 1, 1) if average else 1.0
        dm[piece] = closeness_grad(m[piece], factor * g_closeness[piece])
    dx = g[:, :features_in].copy()
    dw = np.zeros_like(w)
    for i in range(x.shape[0]):
        for a in range(features_in):
            dx[i, a] += np.sum(dm[i] * w[a])
            dw[a] += x[i, a] * dm[i]
    dtheta = np.zeros_like(theta)
    dlog_scale = np.zeros_like(log_scale)
    for b in range(kernels):
        for c in range(width):
            norm = np.sqrt(np.sum(theta[:, b, c] ** 2))
            unit = theta[:, b, c] / norm
            along = np.sum(dw[:, b, c] * unit)
            dtheta[:, b, c] = np.exp(log_scale[b, c]) / norm * (dw[:, b, c] - along * unit)
            dlog_scale[b, c] = np.exp(log_scale[b, c]) * along
    return dx, dtheta, dlog_scale, np.sum(g_closeness, axis=0)


def nearest_distance(m: Array) -> Array:
    """L1 distance of every sample to its nearest other sample, per kernel: (N, B, C) -> (N, B)."""
    samples, kernels, _ = m.shape
    nearest = np.full((samples, kernels), np.inf)
    for i in range(samples):
        for j in range(samples):
            if j == i:
                continue
            for b in range(kernels):
                nearest[i, b] = min(nearest[i, b], float(np.sum(np.abs(m[i, b] - m[j, b]))))
    return nearest


def initialise(x: Array, theta: Array, average: bool = False) -> tuple[Array, Array]:
    """Data-dependent initialisation on a first batch: (log_scale, bias) (paper section 3.2, released form).

    log_scale starts at 0 and loses log(half the mean over samples of the distance to the nearest other sample),
    one number per kernel, the same for its C columns; so the mean nearest distance becomes 2. Then the bias is
    minus the mean closeness (the sum over the others, averaged over samples) under the new scale. With
    ``average`` the closeness meant is the one divided by (N - 1), so that the layer's features stay centred.
    """
    _, kernels, width = theta.shape
    log_scale = np.zeros((kernels, width))
    m = project(x, normalised_projection(theta, log_scale))
    nearest = nearest_distance(m)
    for b in range(kernels):
        log_scale[b] -= np.log(0.5 * np.mean(nearest[:, b]))
    total = closeness(project(x, normalised_projection(theta, log_scale)))
    if average:
        total = total / max(x.shape[0] - 1, 1)
    return log_scale, -np.mean(total, axis=0)


def joint_closeness(m: Array) -> Array:
    """The ImageNet variant: closeness to the real and to the generated half, (2B, K, C) -> (2B, 2K).

    Paper section 3.2, released ImageNet form. Interpretation: the first B samples are real and the last B
    generated. For every one of the 2B samples and every kernel, column k is the summed closeness to the real
    half and column K + k the summed closeness to the generated half (real first, then generated), whatever half
    the sample itself belongs to; the self term is left out. Both are divided by the same constant B (2B - 1):
    the number of pairs (any sample i, member j of one half, j != i), counted over all i, 2B * B - B.
    """
    samples, kernels, _ = m.shape
    if samples % 2:
        raise ValueError("joint_closeness needs as many generated samples as real ones")
    half = samples // 2
    pairs = half * (2 * half - 1)
    out = np.zeros((samples, 2 * kernels))
    for i in range(samples):
        for j in range(samples):
            if j == i:
                continue
            offset = 0 if j < half else kernels
            for k in range(kernels):
                out[i, offset + k] += np.exp(-np.sum(np.abs(m[i, k] - m[j, k]))) / pairs
    return out


def joint_closeness_grad(m: Array, g: Array) -> Array:
    """Gradient of sum(g * joint_closeness(m)) with respect to m (paper section 3.2, ImageNet form)."""
    samples, kernels, _ = m.shape
    half = samples // 2
    pairs = half * (2 * half - 1)
    grad = np.zeros_like(m)
    for i in range(samples):
        for j in range(samples):
            if j == i:
                continue
            offset = 0 if j < half else kernels
            for k in range(kernels):
                difference = m[i, k] - m[j, k]
                push = g[i, offset + k] * np.exp(-np.sum(np.abs(difference))) * np.sign(difference) / pairs
                grad[i, k] -= push
                grad[j, k] += push
    return grad
