"""The paper's and the released code's formulas in NumPy float64, term by term, with analytic gradients.

Nothing here is shared with the package; sections are those of the paper.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_sum_exp(a: Array, axis: int) -> Array:
    top = a.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(a - top).sum(axis=axis))


def log_sigmoid(s: Array) -> Array:
    return np.where(s < 0, s, 0) - np.log1p(np.exp(-np.abs(s)))


def sigmoid(s: Array) -> Array:
    return np.exp(log_sigmoid(s))


def implicit_real_logit(logits: Array) -> Array:
    """Section 5: D = Z / (Z + 1), Z = sum_k exp l_k, so the logit of D is log Z."""
    return log_sum_exp(logits, 1)


def discriminator_cross_entropy(real: Array, fake: Array, real_target: float) -> float:
    """Section 3.4: -E[a log D + (1 - a) log(1 - D)] on real, -E[log(1 - D)] on generated examples."""
    on_real = -(real_target * log_sigmoid(real) + (1 - real_target) * log_sigmoid(-real)).mean()
    return float(on_real - log_sigmoid(-fake).mean())


def discriminator_cross_entropy_grad(real: Array, fake: Array, real_target: float) -> tuple[Array, Array]:
    return (sigmoid(real) - real_target) / len(real), sigmoid(fake) / len(fake)


def non_saturating(fake: Array) -> float:
    return float(-log_sigmoid(fake).mean())


def non_saturating_grad(fake: Array) -> Array:
    return (sigmoid(fake) - 1) / len(fake)


def minimax(fake: Array) -> float:
    return float(log_sigmoid(-fake).mean())


def minimax_grad(fake: Array) -> Array:
    return -sigmoid(fake) / len(fake)


def softmax(logits: Array) -> Array:
    return np.exp(logits - log_sum_exp(logits, 1)[:, None])


def semi_supervised(
    labelled: Array, labels: NDArray[np.int64], unlabelled: Array, fake: Array, weight: float, real_target: float
) -> tuple[float, float, float]:
    """Section 5, released: -E[l_y - lse] + w (-1/2 a E[lse] + 1/2 E[softplus(lse)] + 1/2 E[softplus(lse_fake)])."""
    supervised = -np.mean([row[y] for row, y in zip(labelled, labels, strict=True)]) + log_sum_exp(labelled, 1).mean()
    s_real, s_fake = implicit_real_logit(unlabelled), implicit_real_logit(fake)
    softplus_real, softplus_fake = -log_sigmoid(-s_real), -log_sigmoid(-s_fake)
    unsupervised = -0.5 * real_target * s_real.mean() + 0.5 * softplus_real.mean() + 0.5 * softplus_fake.mean()
    return float(supervised + weight * unsupervised), float(supervised), float(unsupervised)


def semi_supervised_grad(
    labelled: Array, labels: NDArray[np.int64], unlabelled: Array, fake: Array, weight: float, real_target: float
) -> tuple[Array, Array, Array]:
    d_labelled = softmax(labelled)
    for i, y in enumerate(labels):
        d_labelled[i, y] -= 1
    s_real, s_fake = implicit_real_logit(unlabelled), implicit_real_logit(fake)
    d_real = 0.5 * (sigmoid(s_real) - real_target)[:, None] * softmax(unlabelled) / len(unlabelled)
    d_fake = 0.5 * sigmoid(s_fake)[:, None] * softmax(fake) / len(fake)
    return d_labelled / len(labelled), weight * d_real, weight * d_fake


def feature_matching_paper(real: Array, fake: Array) -> float:
    """Section 3.1: || E f(x) - E f(G(z)) ||_2^2."""
    return float(sum((real[:, k].mean() - fake[:, k].mean()) ** 2 for k in range(real.shape[1])))


def feature_matching_mean_squared(real: Array, fake: Array) -> float:
    """Released MNIST script: the mean over features of the squared difference of batch means."""
    return feature_matching_paper(real, fake) / real.shape[1]


def feature_matching_mean_squared_grad(real: Array, fake: Array) -> Array:
    row = -2 * (real.mean(axis=0) - fake.mean(axis=0)) / (real.shape[1] * len(fake))
    return np.tile(row, (len(fake), 1))


def weight_norm(direction: Array, gain: Array, eps: float) -> Array:
    """Section 8 of the released settings: w_k = g_k v_k / sqrt(|v_k|^2 + eps)."""
    return np.stack([g * v / np.sqrt((v**2).sum() + eps) for v, g in zip(direction, gain, strict=True)])


def weight_norm_dense(x: Array, direction: Array, gain: Array, bias: Array, eps: float) -> Array:
    return x @ weight_norm(direction, gain, eps).T + bias


def data_dependent_init(x: Array, direction: Array, eps: float) -> tuple[Array, Array]:
    """Gain and bias that give every output mean 0 and population standard deviation 1 over the batch."""
    outputs = x @ weight_norm(direction, np.ones(len(direction)), eps).T
    mean = outputs.mean(axis=0)
    std = np.sqrt(((outputs - mean) ** 2).mean(axis=0))
    return 1 / std, -mean / std


def released_adam(theta: Array, grads: list[Array], lr: float, beta1: float, beta2: float, eps: float) -> Array:
    """The released update: theta - lr m_hat / sqrt(v_hat + eps)."""
    theta, m, v = theta.copy(), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        theta = theta - lr * (m / (1 - beta1**t)) / np.sqrt(v / (1 - beta2**t) + eps)
    return theta


def bias_corrected_average(thetas: list[Array], rate: float) -> Array:
    """The released average starts at zero; divided by the weight it has seen."""
    average = np.zeros_like(thetas[0])
    for theta in thetas:
        average = (1 - rate) * average + rate * theta
    return average / (1 - (1 - rate) ** len(thetas))
