"""The released MNIST script's step in NumPy float64, written from the paper's description alone.

Paper sections 3.1 and 5 with the settings of the released script. Parameters are dicts of arrays, weights (out, in):

    G: w1 (H1, L), b1 (H1,), w2 (H2, H1), b2 (H2,), v3 (D, H2), g3 (D,), b3 (D,);
    D: v1 (F1, D), g1 (F1,), b1 (F1,), and so on to vM (K, F(M-1)), gM (K,), bM (K,); of the gains only gM is trained.

Noise is a list of M arrays, one a layer of D, each of the shape of that layer's input and already times its std.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.references import adam
from helpers.references import feature_matching as fm
from helpers.references import semi_supervised as ssl
from helpers.references.semi_supervised import Labels

Array = NDArray[np.float64]
Params = dict[str, Array]
Noise = Sequence[Array]
Moments = dict[str, tuple[Array, Array]]

GENERATOR_EPS = 1e-6  # of its batch norms and of its weight norm


class Batch(NamedTuple):
    """What one pass of D takes: images in [0, 1] (N, D) and its own noise."""

    x: Array
    noise: Noise


class GeneratorTrace(NamedTuple):
    """Every value of G's forward pass, pre before and h after batch norm and softplus: (N, H1), (N, H2), (N, D)."""

    pre1: Array
    h1: Array
    pre2: Array
    h2: Array
    images: Array


def weight_norm(v: Array, g: Array, eps: float = 0.0) -> Array:
    """w_k = g_k v_k / sqrt(||v_k||^2 + eps), v (out, in), g (out,) -> (out, in)."""
    w: Array = (g / np.sqrt(np.sum(v**2, axis=1) + eps))[:, None] * v
    return w


def weight_norm_grad(v: Array, g: Array, dw: Array, eps: float = 0.0) -> tuple[Array, Array]:
    """Gradient of sum(dw * weight_norm(v, g, eps)): for v (out, in) and for g (out,)."""
    size = np.sqrt(np.sum(v**2, axis=1) + eps)
    dg = np.sum(dw * v, axis=1) / size
    return (g / size)[:, None] * (dw - (dg / size)[:, None] * v), dg


def batch_norm(a: Array, bias: Array, eps: float = GENERATOR_EPS) -> Array:
    """(a - batch mean) / sqrt(population variance + eps) + bias, a (N, F), bias (F,) -> (N, F)."""
    y: Array = (a - a.mean(axis=0)) / np.sqrt(a.var(axis=0) + eps) + bias
    return y


def batch_norm_grad(a: Array, dy: Array, eps: float = GENERATOR_EPS) -> tuple[Array, Array]:
    """Gradient of sum(dy * batch_norm(a, bias, eps)): for a (N, F) and for bias (F,)."""
    scale = 1.0 / np.sqrt(a.var(axis=0) + eps)
    unit = (a - a.mean(axis=0)) * scale
    return scale * (dy - dy.mean(axis=0) - unit * np.mean(dy * unit, axis=0)), dy.sum(axis=0)


def generator_trace(g: Params, z: Array) -> GeneratorTrace:
    """G's forward pass of z (N, L)."""
    pre1 = z @ g["w1"].T
    h1 = ssl.softplus(batch_norm(pre1, g["b1"]))
    pre2 = h1 @ g["w2"].T
    h2 = ssl.softplus(batch_norm(pre2, g["b2"]))
    logits = h2 @ weight_norm(g["v3"], g["g3"], GENERATOR_EPS).T + g["b3"]
    return GeneratorTrace(pre1, h1, pre2, h2, ssl.sigmoid(logits))


def generator(g: Params, z: Array) -> Array:
    """Images in [0, 1], z (N, L) -> (N, D)."""
    return generator_trace(g, z).images


def generator_grad(g: Params, z: Array, upstream: Array) -> Params:
    """Gradient of sum(upstream * generator(g, z)) for all of G's parameters; upstream (N, D)."""
    t = generator_trace(g, z)
    d_logits = upstream * t.images * (1.0 - t.images)
    dv3, dg3 = weight_norm_grad(g["v3"], g["g3"], d_logits.T @ t.h2, GENERATOR_EPS)
    d_h2 = d_logits @ weight_norm(g["v3"], g["g3"], GENERATOR_EPS)
    d_pre2, db2 = batch_norm_grad(t.pre2, d_h2 * ssl.sigmoid(batch_norm(t.pre2, g["b2"])))
    d_h1 = d_pre2 @ g["w2"]
    d_pre1, db1 = batch_norm_grad(t.pre1, d_h1 * ssl.sigmoid(batch_norm(t.pre1, g["b1"])))
    return {
        "w1": d_pre1.T @ z,
        "b1": db1,
        "w2": d_pre2.T @ t.h1,
        "b2": db2,
        "v3": dv3,
        "g3": dg3,
        "b3": d_logits.sum(axis=0),
    }


def depth(d: Params) -> int:
    """The number M of D's layers."""
    return sum(name.startswith("v") for name in d)


def discriminator_activations(d: Params, batch: Batch) -> list[Array]:
    """The images, the output of every hidden layer (before the next noise) and the logits: M + 1 arrays."""
    layers = depth(d)
    out = [batch.x]
    for k, noise in zip(range(1, layers + 1), batch.noise, strict=True):
        pre = (out[-1] + noise) @ weight_norm(d[f"v{k}"], d[f"g{k}"]).T + d[f"b{k}"]
        out.append(pre if k == layers else np.maximum(pre, 0.0))
    return out


def discriminator(d: Params, batch: Batch) -> tuple[Array, Array]:
    """Logits (N, K) and the last hidden layer before the last noise (N, F(M-1))."""
    out = discriminator_activations(d, batch)
    return out[-1], out[-2]


def discriminator_grad(d: Params, batch: Batch, upstream: Array, layers: int) -> tuple[Params, Array]:
    """Gradient of sum(upstream * output of layer number ``layers``): for D's trained parameters and for the images.

    With ``layers`` = M the output is the logits, with M - 1 the matched features. Only the parameters of the layers
    that take part are returned, of their gains only the output layer's.
    """
    out = discriminator_activations(d, batch)
    grads: Params = {}
    for k in range(layers, 0, -1):
        v, g = d[f"v{k}"], d[f"g{k}"]
        d_pre = upstream if k == depth(d) else upstream * (out[k] > 0.0)
        grads[f"b{k}"] = d_pre.sum(axis=0)
        grads[f"v{k}"], dg = weight_norm_grad(v, g, d_pre.T @ (out[k - 1] + batch.noise[k - 1]))
        if k == depth(d):
            grads[f"g{k}"] = dg
        upstream = d_pre @ weight_norm(v, g)
    return grads, upstream


def discriminator_loss(
    d: Params, labels: Labels, labelled: Batch, unlabelled: Batch, generated: Batch, w: float = 1.0
) -> float:
    """Cross-entropy + w * (-1/2 E[lse] + 1/2 E[softplus(lse)] + 1/2 E[softplus(lse_fake)]); labels (N,) in 0..K-1."""
    lab, unl, fake = (discriminator(d, batch)[0] for batch in (labelled, unlabelled, generated))
    return ssl.loss(lab, labels, unl, fake, w)


def discriminator_loss_grad(
    d: Params, labels: Labels, labelled: Batch, unlabelled: Batch, generated: Batch, w: float = 1.0
) -> Params:
    """Gradient of discriminator_loss for D's trained parameters: every v, every b and the last g."""
    batches = (labelled, unlabelled, generated)
    lab, unl, fake = (discriminator(d, batch)[0] for batch in batches)
    upstream = ssl.loss_grad(lab, labels, unl, fake, w)
    parts = [discriminator_grad(d, batch, up, depth(d))[0] for batch, up in zip(batches, upstream, strict=True)]
    return {name: parts[0][name] + parts[1][name] + parts[2][name] for name in parts[0]}


def generator_loss(g: Params, d: Params, z: Array, real: Batch, noise: Noise) -> float:
    """Mean over features of the squared difference of batch means; ``noise`` is that of the generated pass."""
    fake = Batch(generator(g, z), noise)
    return fm.loss(discriminator(d, real)[1], discriminator(d, fake)[1], "mean", "squared")


def generator_loss_grad(g: Params, d: Params, z: Array, real: Batch, noise: Noise) -> Params:
    """Gradient of generator_loss for all of G's parameters; the real features are constants."""
    fake = Batch(generator(g, z), noise)
    upstream = fm.loss_grad(discriminator(d, real)[1], discriminator(d, fake)[1], "mean", "squared")
    return generator_grad(g, z, discriminator_grad(d, fake, upstream, depth(d) - 1)[1])


def adam_start(grads: Params) -> Moments:
    """Both moments at 0 for every parameter that has a gradient."""
    return {name: (np.zeros_like(grad), np.zeros_like(grad)) for name, grad in grads.items()}


def adam_update(params: Params, grads: Params, moments: Moments, t: int, rate: float = 0.003) -> tuple[Params, Moments]:
    """Released Adam's update number t, from 1: new (params, moments); what has no gradient is kept as it is."""
    params, moments = dict(params), dict(moments)
    for name, grad in grads.items():
        params[name], m, v = adam.step(params[name], grad, *moments[name], t, rate, beta1=0.5, beta2=0.999, eps=1e-8)
        moments[name] = (m, v)
    return params, moments
