"""Measures of mode collapse in NumPy float64, sample by sample (section 10)."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nearest_mode(point: Array, centres: Array, std: float) -> tuple[int, bool]:
    """The nearest centre's number, and whether the point is within 3 std of it."""
    distances = [math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(point, c, strict=True))) for c in centres]
    mode = min(range(len(centres)), key=lambda i: distances[i])
    return mode, distances[mode] <= 3 * std


def stacked_mode(probabilities: Array) -> tuple[int, bool]:
    """From p(digit) of each of three channels, ``(3, 10)``: 100 a + 10 b + c, and whether each exceeds 0.9."""
    digits = [int(np.argmax(row)) for row in probabilities]
    return 100 * digits[0] + 10 * digits[1] + digits[2], all(row.max() > 0.9 for row in probabilities)


def modes_captured(judged: list[tuple[int, bool]]) -> int:
    """Modes with at least one sample of high quality."""
    return len({mode for mode, good in judged if good})


def quality_share(judged: list[tuple[int, bool]]) -> float:
    """Share of samples of high quality."""
    return sum(good for _, good in judged) / len(judged)


def kl_from_uniform(judged: list[tuple[int, bool]], num_modes: int, gated: bool = True) -> float:
    """sum_k p_k log(p_k / (1 / M)) over modes that have samples (of high quality)."""
    counted = [mode for mode, good in judged if good or not gated]
    if not counted:
        return math.log(num_modes)
    total = 0.0
    for mode in set(counted):
        p = counted.count(mode) / len(counted)
        total += p * math.log(p / (1 / num_modes))
    return total
