"""Adversarial losses on logits in float64 NumPy, with gradients (the GAN objective and paper section 3.4).

D(x) = sigmoid(logit). Every loss is a mean over samples; the real and the generated term of a discriminator loss
are added without a factor 1/2. Hinge, least squares and R1 are later than the paper.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def cross_entropy(logits: Array, target: float) -> float:
    """Mean of -target log D - (1 - target) log(1 - D) (paper section 3.4)."""
    return float(np.mean(target * softplus(-logits) + (1.0 - target) * softplus(logits)))


def cross_entropy_grad(logits: Array, target: float) -> Array:
    """Gradient of cross_entropy: (D - target) / N (paper section 3.4)."""
    return (sigmoid(logits) - target) / logits.size


def entropy(target: float) -> float:
    """Entropy of a Bernoulli target; 0 at 0 and 1 (paper section 3.4, released form)."""
    if target in (0.0, 1.0):
        return 0.0
    return float(-target * np.log(target) - (1.0 - target) * np.log(1.0 - target))


def generator_minimax(fake: Array) -> float:
    """E log(1 - D(G(z))), which the generator minimises; it saturates (the GAN objective the paper starts from)."""
    return float(-np.mean(softplus(fake)))


def generator_minimax_grad(fake: Array) -> Array:
    """Gradient of generator_minimax (the GAN objective the paper starts from)."""
    return -sigmoid(fake) / fake.size


def generator_non_saturating(fake: Array) -> float:
    """-E log D(G(z)) (the GAN objective the paper starts from)."""
    return float(np.mean(softplus(-fake)))


def generator_non_saturating_grad(fake: Array) -> Array:
    """Gradient of generator_non_saturating (the GAN objective the paper starts from)."""
    return -sigmoid(-fake) / fake.size


def discriminator(real: Array, fake: Array, alpha: float = 1.0, beta: float = 0.0) -> float:
    """-E log D on real data with target alpha, plus the generated term with target beta (paper section 3.4).

    One-sided smoothing is alpha < 1 with beta = 0; beta > 0 is the both-sided variant the paper argues against.
    """
    return cross_entropy(real, alpha) + cross_entropy(fake, beta)


def discriminator_grad(real: Array, fake: Array, alpha: float = 1.0, beta: float = 0.0) -> tuple[Array, Array]:
    """Gradient of discriminator with respect to both logits (paper section 3.4)."""
    return cross_entropy_grad(real, alpha), cross_entropy_grad(fake, beta)


def optimal_discriminator(p_data: Array, p_model: Array, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """D* = (alpha p_data + beta p_model) / (p_data + p_model) (paper section 3.4)."""
    return (alpha * p_data + beta * p_model) / (p_data + p_model)


def discriminator_kl(real: Array, fake: Array, alpha: float = 0.75, beta: float = 0.0) -> float:
    """Released ImageNet form: the entropy of each target is subtracted, so each term is a KL (section 3.4)."""
    return cross_entropy(real, alpha) - entropy(alpha) + cross_entropy(fake, beta) - entropy(beta)


def discriminator_kl_grad(real: Array, fake: Array, alpha: float = 0.75, beta: float = 0.0) -> tuple[Array, Array]:
    """Gradient of discriminator_kl: that of discriminator, the entropies being constants (section 3.4)."""
    return discriminator_grad(real, fake, alpha, beta)


def generator_kl(fake: Array, target: float = 0.375) -> float:
    """Released ImageNet form for the generator: KL of the target 0.375 from D(G(z)) (paper section 3.4)."""
    return cross_entropy(fake, target) - entropy(target)


def generator_kl_grad(fake: Array, target: float = 0.375) -> Array:
    """Gradient of generator_kl (paper section 3.4)."""
    return cross_entropy_grad(fake, target)


def discriminator_hinge(real: Array, fake: Array) -> float:
    """E max(0, 1 - s(x)) + E max(0, 1 + s(G(z))) (not in the paper)."""
    return float(np.mean(np.maximum(0.0, 1.0 - real)) + np.mean(np.maximum(0.0, 1.0 + fake)))


def discriminator_hinge_grad(real: Array, fake: Array) -> tuple[Array, Array]:
    """Gradient of discriminator_hinge (not in the paper); 0 at the kinks."""
    d_real = np.where(real < 1.0, -1.0, 0.0) / real.size
    d_fake = np.where(fake > -1.0, 1.0, 0.0) / fake.size
    return d_real, d_fake


def generator_hinge(fake: Array) -> float:
    """-E s(G(z)) (not in the paper)."""
    return float(-np.mean(fake))


def generator_hinge_grad(fake: Array) -> Array:
    """Gradient of generator_hinge (not in the paper)."""
    return -np.ones_like(fake) / fake.size


def discriminator_least_squares(real: Array, fake: Array, factor: float = 1.0) -> float:
    """factor * (E (s(x) - 1)^2 + E s(G(z))^2) (not in the paper); the factor is 1, or 1/2 by another convention."""
    return float(factor * (np.mean((real - 1.0) ** 2) + np.mean(fake**2)))


def discriminator_least_squares_grad(real: Array, fake: Array, factor: float = 1.0) -> tuple[Array, Array]:
    """Gradient of discriminator_least_squares (not in the paper)."""
    return factor * 2.0 * (real - 1.0) / real.size, factor * 2.0 * fake / fake.size


def generator_least_squares(fake: Array, factor: float = 1.0) -> float:
    """factor * E (s(G(z)) - 1)^2 (not in the paper); the factor is 1, or 1/2 by another convention."""
    return float(factor * np.mean((fake - 1.0) ** 2))


def generator_least_squares_grad(fake: Array, factor: float = 1.0) -> Array:
    """Gradient of generator_least_squares (not in the paper)."""
    return factor * 2.0 * (fake - 1.0) / fake.size


def tiny_network(x: Array, w: Array, b: Array, v: Array, c: float = 0.0) -> Array:
    """s(x) = v . tanh(W x + b) + c for x (N, A), w (H, A), b and v (H,): logits (N,)."""
    out = np.zeros(x.shape[0])
    for n in range(x.shape[0]):
        out[n] = np.sum(v * np.tanh(w @ x[n] + b)) + c
    return out


def tiny_network_input_grad(x: Array, w: Array, b: Array, v: Array) -> Array:
    """d s(x_n) / d x_n of tiny_network: W^T (v * (1 - tanh^2)), (N, A)."""
    out = np.zeros_like(x)
    for n in range(x.shape[0]):
        h = np.tanh(w @ x[n] + b)
        out[n] = w.T @ (v * (1.0 - h**2))
    return out


def r1_penalty(x: Array, w: Array, b: Array, v: Array, gamma: float = 1.0) -> float:
    """(gamma / 2) E || d s(x) / d x ||^2 on real data for tiny_network (not in the paper)."""
    grads = tiny_network_input_grad(x, w, b, v)
    return float(0.5 * gamma * np.mean(np.sum(grads**2, axis=1)))


def r1_penalty_grad(x: Array, w: Array, b: Array, v: Array, gamma: float = 1.0) -> tuple[Array, Array, Array]:
    """Gradient of r1_penalty with respect to w, b and v (not in the paper); that for c is 0."""
    dw = np.zeros_like(w)
    db = np.zeros_like(b)
    dv = np.zeros_like(v)
    for n in range(x.shape[0]):
        h = np.tanh(w @ x[n] + b)
        u = v * (1.0 - h**2)
        d_input_grad = gamma / x.shape[0] * (w.T @ u)
        du = w @ d_input_grad
        d_pre = du * v * (-2.0 * h) * (1.0 - h**2)
        dw += np.outer(u, d_input_grad) + np.outer(d_pre, x[n])
        db += d_pre
        dv += du * (1.0 - h**2)
    return dw, db, dv
