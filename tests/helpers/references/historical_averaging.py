"""Historical averaging in float64 NumPy with the whole history kept (paper section 3.3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def average(history: Sequence[Array], include_current: bool = True) -> Array:
    """(1/t) sum over i <= t of theta_i; without the current parameters, the mean of the earlier ones (section 3.3).

    ``history`` ends with the current parameters. Without them and with no past, the current ones stand in.
    """
    used = list(history) if include_current or len(history) == 1 else list(history[:-1])
    total = np.zeros_like(used[0])
    for theta in used:
        total = total + theta
    return total / len(used)


def cost(history: Sequence[Array], include_current: bool = True) -> float:
    """|| theta_t - (1/t) sum_{i<=t} theta_i ||^2, summed over parameters (paper section 3.3)."""
    return float(np.sum((history[-1] - average(history, include_current)) ** 2))


def cost_grad(history: Sequence[Array], include_current: bool = True) -> Array:
    """Gradient of the cost with respect to theta_t, the mean held constant: 2 (theta_t - mean) (section 3.3)."""
    return 2.0 * (history[-1] - average(history, include_current))


def cost_grad_through_mean(history: Sequence[Array]) -> Array:
    """Contrast: the derivative through the mean as well, 2 (1 - 1/t) (theta_t - mean) (section 3.3)."""
    return 2.0 * (1.0 - 1.0 / len(history)) * (history[-1] - average(history))


def online_average(previous: Array, theta: Array, t: int) -> Array:
    """Mean of t parameter vectors from the mean of the first t - 1 and the t-th (t from 1) (paper section 3.3)."""
    return previous + (theta - previous) / t


EQUILIBRIUM = (1.0, 1.0)


def game_f(x: float) -> float:
    """f(x) = x for x < 0, x^2 otherwise (paper section 3.3)."""
    return x if x < 0.0 else x * x


def game_f_grad(x: float) -> float:
    """f'(x): 1 for x < 0, 2x otherwise (0 at x = 0)."""
    return 1.0 if x < 0.0 else 2.0 * x


def game_value(x: float, y: float) -> float:
    """V(x, y) = (f(x) - 1) (y - 1); x minimises it and y maximises it (paper section 3.3).

    The equilibrium is the one point where both derivatives vanish with f(x) = 1 and y = 1: (1, 1).
    """
    return (game_f(x) - 1.0) * (y - 1.0)


def simulate(
    start: tuple[float, float] = (2.0, 2.0),
    rate: float = 0.05,
    weight: float = 1.0,
    steps: int = 20_000,
    include_current: bool = True,
    through_mean: bool = False,
    simultaneous: bool = True,
    half_gradient: bool = False,
    limit: float = 1e12,
) -> Array:
    """Trajectory of gradient descent (x) and ascent (y) on the game, (steps + 1, 2) (paper section 3.3).

    ``weight`` 0 is plain descent; otherwise each player adds weight * ||theta - mean||^2 to its own cost (y,
    which maximises, has the cost -V). The mean counts the start as theta_1 and, unless ``include_current`` is
    False, the current point, whose update follows. The trajectory is cut at the first point beyond ``limit``.
    """
    x, y = start
    points = [(x, y)]
    total_x, total_y = x, y
    for t in range(1, steps + 1):
        if include_current or t == 1:
            mean_x, mean_y = total_x / t, total_y / t
        else:
            mean_x, mean_y = (total_x - x) / (t - 1), (total_y - y) / (t - 1)
        factor = (1.0 if half_gradient else 2.0) * weight
        if through_mean:
            factor *= 1.0 - 1.0 / t
        new_x = x - rate * (game_f_grad(x) * (y - 1.0) + factor * (x - mean_x))
        seen_x = x if simultaneous else new_x
        new_y = y + rate * ((game_f(seen_x) - 1.0) - factor * (y - mean_y))
        x, y = new_x, new_y
        points.append((x, y))
        if max(abs(x), abs(y)) > limit:
            break
        total_x += x
        total_y += y
    return np.array(points)


def distance_from_equilibrium(trajectory: Array) -> Array:
    """Euclidean distance of every point of a trajectory from (1, 1)."""
    distance: Array = np.sqrt(np.sum((trajectory - np.array(EQUILIBRIUM)) ** 2, axis=1))
    return distance


def report() -> list[str]:
    """Run the game of paper section 3.3 under several readings, one line each."""
    lines = []

    def add(label: str, trajectory: Array) -> None:
        d = distance_from_equilibrium(trajectory)
        tail = d[-min(2000, len(d)) :]
        end = trajectory[-1]
        lines.append(
            f"{label}: steps {len(trajectory) - 1}, end ({end[0]:.5g}, {end[1]:.5g}), "
            f"distance {d[-1]:.5g}, last 2,000 between {tail.min():.5g} and {tail.max():.5g}, max {d.max():.5g}"
        )

    add("plain, simultaneous", simulate(weight=0.0))
    add("plain, alternating", simulate(weight=0.0, simultaneous=False))
    add("averaged, mean with current, constant", simulate())
    add("averaged, mean without current", simulate(include_current=False))
    add("averaged, gradient through the mean", simulate(through_mean=True))
    add("averaged, gradient without the 2", simulate(half_gradient=True))
    add("averaged, alternating", simulate(simultaneous=False))
    add("averaged, from (0, 0)", simulate(start=(0.0, 0.0)))
    add("plain, from (0, 0)", simulate(start=(0.0, 0.0), weight=0.0))
    return lines


if __name__ == "__main__":
    for line in report():
        print(line)
