"""The test error of runs over their epochs, a panel for each number of labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator

__all__ = ["draw_errors"]


def draw_errors(
    path: Path,
    runs: Mapping[int, Mapping[str, Sequence[tuple[int, float]]]],
    unit: str,
    paper: Mapping[int, tuple[float, float]],
) -> None:
    """Draw the curves.

    Args:
        path: the picture.
        runs: by number of labels, the ``(epoch, error)`` of each run by its name.
        unit: of an error.
        paper: its mean and standard deviation by number of labels, drawn as a line and a band.
    """
    figure, axes = plt.subplots(1, len(runs), figsize=(max(5 * len(runs), 7), 4.2), sharey=True, squeeze=False)
    for axis, labels in zip(axes[0], sorted(runs), strict=True):
        for name, curve in runs[labels].items():
            axis.semilogy(*zip(*curve, strict=True), label=name, lw=1)
        if labels in paper:
            mean, spread = paper[labels]
            axis.axhline(mean, color="black", ls="--", lw=1, label="the paper, at the end")
            axis.axhspan(mean - spread, mean + spread, color="black", alpha=0.1, lw=0)
        axis.set(title=f"{labels} labels", xlabel="epoch")
        axis.get_yaxis().set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.get_yaxis().set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        short = max(map(len, runs[labels])) < 12  # names
        axis.legend(fontsize=7, ncols=4 if short else 1, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes[0][0].set_ylabel(unit)
    figure.tight_layout()
    figure.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(figure)
