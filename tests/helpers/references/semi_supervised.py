"""Semi-supervised discriminator losses in float64 NumPy, with gradients (paper section 5)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def logsumexp(logits: Array) -> Array:
    """log sum_k exp l_k of every row, (N, K) -> (N,)."""
    out = np.zeros(logits.shape[0])
    for n, row in enumerate(logits):
        top = np.max(row)
        out[n] = top + np.log(np.sum(np.exp(row - top)))
    return out


def softmax(logits: Array) -> Array:
    """Softmax of every row, (N, K)."""
    out = np.zeros_like(logits)
    for n, row in enumerate(logits):
        e = np.exp(row - np.max(row))
        out[n] = e / np.sum(e)
    return out


def log_d(logits: Array) -> Array:
    """log D(x) = lse - softplus(lse) = -softplus(-lse), D = Z / (Z + 1), Z = sum_k exp l_k (paper section 5)."""
    return -softplus(-logsumexp(logits))


def log_one_minus_d(logits: Array) -> Array:
    """log(1 - D(x)) = -softplus(lse) (paper section 5)."""
    return -softplus(logsumexp(logits))


def cross_entropy(logits: Array, labels: Labels) -> float:
    """Mean of lse - l_y over labelled data: the supervised term, of the K logits only (paper section 5)."""
    lse = logsumexp(logits)
    return float(np.mean([lse[n] - logits[n, labels[n]] for n in range(len(labels))]))


def cross_entropy_grad(logits: Array, labels: Labels) -> Array:
    """Gradient of cross_entropy with respect to the logits (paper section 5)."""
    grad = softmax(logits)
    for n in range(len(labels)):
        grad[n, labels[n]] -= 1.0
    return grad / len(labels)


def unsupervised(unlabelled: Array, fake: Array, alpha: float = 1.0) -> float:
    """Half E[softplus(lse) - alpha lse] on unlabelled data plus half E[softplus(lse)] on generated (section 5).

    With alpha = 1 this is the released -1/2 E[lse] + 1/2 E[softplus(lse)] + 1/2 E[softplus(lse_fake)]; alpha < 1
    is one-sided label smoothing, for which softplus(lse) - alpha lse is written without cancellation.
    """
    lse = logsumexp(unlabelled)
    real_term = alpha * softplus(-lse) + (1.0 - alpha) * softplus(lse)
    return float(0.5 * np.mean(real_term) + 0.5 * np.mean(softplus(logsumexp(fake))))


def unsupervised_grad(unlabelled: Array, fake: Array, alpha: float = 1.0) -> tuple[Array, Array]:
    """Gradient of unsupervised with respect to both sets of logits (paper section 5)."""
    d_real = 0.5 * (sigmoid(logsumexp(unlabelled)) - alpha) / unlabelled.shape[0]
    d_fake = 0.5 * sigmoid(logsumexp(fake)) / fake.shape[0]
    return d_real[:, None] * softmax(unlabelled), d_fake[:, None] * softmax(fake)


def loss(labelled: Array, labels: Labels, unlabelled: Array, fake: Array, w: float = 1.0, alpha: float = 1.0) -> float:
    """Released loss with K logits, the (K+1)-th fixed at 0: supervised + w * unsupervised (paper section 5).

    The paper's formula has no 1/2: it is this loss with w = 2. Class labels are never smoothed by alpha.
    """
    return cross_entropy(labelled, labels) + w * unsupervised(unlabelled, fake, alpha)


def loss_grad(
    labelled: Array, labels: Labels, unlabelled: Array, fake: Array, w: float = 1.0, alpha: float = 1.0
) -> tuple[Array, Array, Array]:
    """Gradient of loss with respect to the labelled, unlabelled and generated logits (paper section 5)."""
    d_real, d_fake = unsupervised_grad(unlabelled, fake, alpha)
    return cross_entropy_grad(labelled, labels), w * d_real, w * d_fake


def loss_explicit(
    labelled: Array,
    labels: Labels,
    unlabelled: Array,
    fake: Array,
    w: float = 1.0,
    alpha: float = 1.0,
    conditional: bool = True,
) -> float:
    """The explicit K+1 version, from the probabilities of a softmax over K+1 logits, the last "generated" (section 5).

    supervised = -E log p(y | x, y < K+1) (``conditional``) or -E log p(y | x) over all K+1 outputs;
    unsupervised = -1/2 E[alpha log(1 - p(K+1 | x)) + (1 - alpha) log p(K+1 | x)] - 1/2 E log p(K+1 | G(z)).
    Subtracting the last logit from all of a row changes no probability and gives the K-logit form. Direct
    logarithms of sums of exponentials, so it stays finite for large logits.
    """
    classes = labelled[:, :-1] if conditional else labelled
    supervised = cross_entropy(classes, labels)
    log_real = logsumexp(unlabelled[:, :-1]) - logsumexp(unlabelled)
    log_generated = unlabelled[:, -1] - logsumexp(unlabelled)
    log_generated_fake = fake[:, -1] - logsumexp(fake)
    real_term = -0.5 * float(np.mean(alpha * log_real + (1.0 - alpha) * log_generated))
    return supervised + w * (real_term - 0.5 * float(np.mean(log_generated_fake)))


def loss_explicit_grad(
    labelled: Array,
    labels: Labels,
    unlabelled: Array,
    fake: Array,
    w: float = 1.0,
    alpha: float = 1.0,
    conditional: bool = True,
) -> tuple[Array, Array, Array]:
    """Gradient of loss_explicit with respect to all K+1 logits of the three sets (paper section 5)."""
    d_labelled = np.zeros_like(labelled)
    if conditional:
        d_labelled[:, :-1] = cross_entropy_grad(labelled[:, :-1], labels)
    else:
        d_labelled[:] = cross_entropy_grad(labelled, labels)
    full = softmax(unlabelled)
    target = np.zeros_like(unlabelled)
    target[:, :-1] = alpha * softmax(unlabelled[:, :-1])
    target[:, -1] = 1.0 - alpha
    d_unlabelled = 0.5 * w * (full - target) / unlabelled.shape[0]
    d_fake = softmax(fake)
    d_fake[:, -1] -= 1.0
    return d_labelled, d_unlabelled, 0.5 * w * d_fake / fake.shape[0]
