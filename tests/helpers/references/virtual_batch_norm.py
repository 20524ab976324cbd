"""Virtual batch normalisation in float64 NumPy, written out term by term (paper section 3.5)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _to_ncl(x: Array) -> Array:
    """(N, F) -> (N, F, 1) and (N, C, H, W) -> (N, C, H * W)."""
    if x.ndim == 2:
        return x[:, :, None]
    if x.ndim == 4:
        return x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3])
    raise ValueError(f"expected 2 or 4 dimensions, got {x.ndim}")


def reference_moments(ref: Array) -> tuple[Array, Array]:
    """Mean and population variance per channel of the reference batch, over examples and positions (section 3.5)."""
    r = _to_ncl(ref)
    channels = r.shape[1]
    mean = np.zeros(channels)
    var = np.zeros(channels)
    for c in range(channels):
        mean[c] = np.mean(r[:, c, :])
        var[c] = np.mean((r[:, c, :] - mean[c]) ** 2)
    return mean, var


def reference_output(ref: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> Array:
    """The reference batch, normalised with its own statistics only (paper section 3.5)."""
    r = _to_ncl(ref)
    mean, var = reference_moments(ref)
    out = np.zeros_like(r)
    for c in range(r.shape[1]):
        out[:, c, :] = gamma[c] * (r[:, c, :] - mean[c]) / np.sqrt(var[c] + eps) + beta[c]
    return out.reshape(ref.shape)


def mixed_moments_square_form(x: Array, ref: Array) -> tuple[Array, Array]:
    """Mean and variance (N, C) of each example with the reference batch, as mean square - mean^2 (section 3.5).

    With R reference examples and c = 1 / (R + 1): mean = c * (own mean over H, W) + (1 - c) * (reference mean),
    the same for the mean square; variance = mean square - mean ** 2. Exact on paper, cancels in low precision.
    """
    v = _to_ncl(x)
    r = _to_ncl(ref)
    share = 1.0 / (r.shape[0] + 1)
    mean = np.zeros(v.shape[:2])
    var = np.zeros(v.shape[:2])
    for n in range(v.shape[0]):
        for c in range(v.shape[1]):
            mean[n, c] = share * np.mean(v[n, c]) + (1.0 - share) * np.mean(r[:, c, :])
            square = share * np.mean(v[n, c] ** 2) + (1.0 - share) * np.mean(r[:, c, :] ** 2)
            var[n, c] = square - mean[n, c] ** 2
    return mean, var


def mixed_moments_stable_form(x: Array, ref: Array) -> tuple[Array, Array]:
    """The same mean and variance (N, C) without cancellation (paper section 3.5).

    variance = c * (own variance + (own mean - mean)^2) + (1 - c) * (reference variance + (reference mean - mean)^2).
    """
    v = _to_ncl(x)
    share = 1.0 / (ref.shape[0] + 1)
    ref_mean, ref_var = reference_moments(ref)
    mean = np.zeros(v.shape[:2])
    var = np.zeros(v.shape[:2])
    for n in range(v.shape[0]):
        for c in range(v.shape[1]):
            own_mean = np.mean(v[n, c])
            own_var = np.mean((v[n, c] - own_mean) ** 2)
            m = share * own_mean + (1.0 - share) * ref_mean[c]
            mean[n, c] = m
            own_part = share * (own_var + (own_mean - m) ** 2)
            var[n, c] = own_part + (1.0 - share) * (ref_var[c] + (ref_mean[c] - m) ** 2)
    return mean, var


def _normalise(x: Array, mean: Array, var: Array, gamma: Array, beta: Array, eps: float) -> Array:
    """gamma * (x - mean) / sqrt(var + eps) + beta with one mean and variance per example and channel."""
    v = _to_ncl(x)
    out = np.zeros_like(v)
    for n in range(v.shape[0]):
        for c in range(v.shape[1]):
            out[n, c] = gamma[c] * (v[n, c] - mean[n, c]) / np.sqrt(var[n, c] + eps) + beta[c]
    return out.reshape(x.shape)


def output_square_form(x: Array, ref: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> Array:
    """Each example normalised with the reference batch and itself, E[x^2] - m^2 form (paper section 3.5)."""
    mean, var = mixed_moments_square_form(x, ref)
    return _normalise(x, mean, var, gamma, beta, eps)


def output(x: Array, ref: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> Array:
    """Each example normalised with the reference batch and itself, stable form (paper section 3.5)."""
    mean, var = mixed_moments_stable_form(x, ref)
    return _normalise(x, mean, var, gamma, beta, eps)


def output_grad(x: Array, ref: Array, gamma: Array, g: Array, eps: float = 1e-5) -> tuple[Array, Array, Array, Array]:
    """Gradient of sum(g * output(...)) with respect to x, ref, gamma and beta (paper section 3.5).

    Gradients flow through the reference statistics. The mixed mean is the mean of a weighted set, so the
    variance does not change to first order with it: d var / d x_l = 2 c (x_l - mean) / L for the example's own
    L positions, and d var / d ref_rl = 2 (1 - c) (ref_rl - mean) / (R L).
    """
    v = _to_ncl(x)
    r = _to_ncl(ref)
    gv = _to_ncl(g)
    share = 1.0 / (r.shape[0] + 1)
    positions = v.shape[2]
    ref_count = r.shape[0] * r.shape[2]
    mean, var = mixed_moments_stable_form(x, ref)
    dx = np.zeros_like(v)
    dref = np.zeros_like(r)
    dgamma = np.zeros_like(gamma)
    dbeta = np.zeros_like(gamma)
    for n in range(v.shape[0]):
        for c in range(v.shape[1]):
            scale = 1.0 / np.sqrt(var[n, c] + eps)
            centred = v[n, c] - mean[n, c]
            dgamma[c] += np.sum(gv[n, c] * centred) * scale
            dbeta[c] += np.sum(gv[n, c])
            upstream = gv[n, c] * gamma[c]
            dmean = -scale * np.sum(upstream)
            dvar = -0.5 * scale**3 * np.sum(upstream * centred)
            dx[n, c] = upstream * scale + share * (dmean + 2.0 * dvar * centred) / positions
            dref[:, c, :] += (1.0 - share) * (dmean + 2.0 * dvar * (r[:, c, :] - mean[n, c])) / ref_count
    return dx.reshape(x.shape), dref.reshape(ref.shape), dgamma, dbeta


def reference_output_grad(ref: Array, gamma: Array, g: Array, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Gradient of sum(g * reference_output(...)) with respect to ref, gamma and beta (paper section 3.5)."""
    r = _to_ncl(ref)
    gv = _to_ncl(g)
    count = r.shape[0] * r.shape[2]
    mean, var = reference_moments(ref)
    dref = np.zeros_like(r)
    dgamma = np.zeros_like(gamma)
    dbeta = np.zeros_like(gamma)
    for c in range(r.shape[1]):
        scale = 1.0 / np.sqrt(var[c] + eps)
        centred = r[:, c, :] - mean[c]
        dgamma[c] = np.sum(gv[:, c, :] * centred) * scale
        dbeta[c] = np.sum(gv[:, c, :])
        upstream = gv[:, c, :] * gamma[c]
        dmean = -scale * np.sum(upstream)
        dvar = -0.5 * scale**3 * np.sum(upstream * centred)
        dref[:, c, :] = upstream * scale + (dmean + 2.0 * dvar * centred) / count
    return dref.reshape(ref.shape), dgamma, dbeta
