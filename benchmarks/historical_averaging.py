"""The paper's example of a game that gradient descent does not solve.

    python benchmarks/historical_averaging.py

V(x, y) = (f(x) - 1)(y - 1), f(x) = x for x < 0 and x^2 otherwise; x minimises and y maximises, in simultaneous steps of
0.05 from (2, 2), without and with historical averaging of weight 1, for 20,000 steps or until they leave for good. The
equilibrium is (1, 1). Writes benchmarks/results/historical_averaging.json and .png.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import torch
from torch import nn

from lit_improved_gan.losses import HistoricalAveraging

matplotlib.use("Agg")
from matplotlib import pyplot as plt

STEPS, RATE, START, FAR = 20_000, 0.05, 2.0, 1e6


class Player(nn.Module):
    """One number."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.tensor(START, dtype=torch.float64))


def play(weight: float) -> list[tuple[float, float]]:
    """Where the two players were before each step, and at the end."""
    x, y = Player(), Player()
    history_x, history_y = HistoricalAveraging(weight), HistoricalAveraging(weight)
    optimizer = torch.optim.SGD([x.position, y.position], lr=RATE)
    path = [(START, START)]
    for _ in range(STEPS):
        f = x.position if x.position < 0 else x.position.square()
        cost_x = (f - 1) * (y.position.detach() - 1) + history_x(x)
        cost_y = -(f.detach() - 1) * (y.position - 1) + history_y(y)
        optimizer.zero_grad()
        (cost_x + cost_y).backward()
        optimizer.step()
        path.append((x.position.item(), y.position.item()))
        if max(map(abs, path[-1])) > FAR:
            break
    return path


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = Path(__file__).parent / "results"
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    record = {"command": "python benchmarks/historical_averaging.py", "rate": RATE, "start": START}
    for axis, (name, weight) in zip(axes, [("gradient descent", 0.0), ("historical averaging", 1.0)], strict=True):
        path = play(weight)
        distance = ((path[-1][0] - 1) ** 2 + (path[-1][1] - 1) ** 2) ** 0.5
        left = len(path) <= STEPS
        said = f"leaves {FAR:.0e} after {len(path) - 1} steps" if left else f"{distance:.4f} from (1, 1) at the end"
        print(f"{name}: {said}")
        record[name] = {"weight": weight, "steps": len(path) - 1, "end": path[-1], "distance": distance}
        axis.plot(*zip(*path, strict=True), linewidth=0.6)
        axis.plot([1], [1], "k+", markersize=12)
        axis.set(title=f"{name}\n{said}", xlim=(-4, 6), ylim=(-8, 10), xlabel="x, minimises", ylabel="y, maximises")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "historical_averaging.png", dpi=90)
    (folder / "historical_averaging.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
