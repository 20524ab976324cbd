"""Inception score in float64 NumPy (Salimans et al. 2016, arXiv:1606.03498, section 4)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(logits: Array) -> Array:
    """exp(l_k) / sum_j exp(l_j) of every row, (N, K), the row's largest logit subtracted first (changes nothing)."""
    out = np.zeros(logits.shape, dtype=np.float64)
    for n, row in enumerate(np.asarray(logits, dtype=np.float64)):
        e = np.exp(row - np.max(row))
        out[n] = e / np.sum(e)
    return out


def score_of_split(probabilities: Array) -> float:
    """exp( (1/N) sum_n sum_k p_nk (log p_nk - log q_k) ), q_k = (1/N) sum_n p_nk, 0 log 0 = 0 (section 4).

    log q_k is written log(sum_n p_nk) - log N: the mean of one subnormal probability would underflow to zero.
    """
    count, classes = probabilities.shape
    total = 0.0
    for k in range(classes):
        column = probabilities[:, k]
        column_sum = np.sum(column)
        for p in column:
            if p > 0.0:
                total += p * (np.log(p) - (np.log(column_sum) - np.log(count)))
    return float(np.exp(total / count))


def inception_score(probabilities: Array, splits: int) -> tuple[float, float]:
    """Mean and population standard deviation (ddof 0) of the score of every split (section 4; released code).

    Split i holds the samples i * N // splits up to, not including, (i + 1) * N // splits, in order; its marginal
    is its own. The splits count equally although their sizes may differ by one.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    count = probabilities.shape[0]
    if not 1 <= splits <= count:
        raise ValueError(f"{splits} splits of {count} samples: every split needs a sample")
    scores = []
    for i in range(splits):
        scores.append(score_of_split(probabilities[i * count // splits : (i + 1) * count // splits]))
    return float(np.mean(scores)), float(np.std(scores, ddof=0))
