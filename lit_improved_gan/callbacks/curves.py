"""The run's curves as a picture."""

import csv
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["Curves", "plot_curves"]

_NOT_DRAWN = ("step", "epoch", "d_updates", "g_updates", "_std")


class Curves(Callback):
    """Draw ``curves.png`` from ``metrics.csv`` below the run directory when training ends.

    One panel for the losses, one for everything measured in percent, one for each other group of metrics. It needs the
    CSV logger; without it there is no picture.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the curves."""
        folder = Path(trainer.default_root_dir)
        if trainer.is_global_zero and (folder / "metrics.csv").is_file():
            plot_curves(folder / "metrics.csv", folder / "curves.png")


def plot_curves(metrics: Path, picture: Path) -> None:
    """Draw the columns of a ``metrics.csv`` over its column ``step``, training batches.

    Args:
        metrics: the CSV file of Lightning's CSVLogger.
        picture: the PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    curves: dict[str, list[tuple[int, float]]] = {}
    with metrics.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and not name.startswith(("test/", "lr/")) and not name.endswith(_NOT_DRAWN):
                    curves.setdefault(name, []).append((int(float(row["step"])), float(value)))
    panels: dict[str, list[str]] = {}
    for name in sorted(curves):
        panels.setdefault(_panel(name), []).append(name)
    if not panels:
        return
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 2.6 * len(panels)), squeeze=False, sharex=True)
    for axis, (title, names) in zip(axes[:, 0], panels.items(), strict=True):
        for name in names:
            axis.plot(*zip(*curves[name], strict=True), label=name, linewidth=1.2)
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="best", ncols=1 + len(names) // 5)
    axes[-1, 0].set_xlabel("training batches")
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    plt.close(figure)


def _panel(name: str) -> str:
    if name.endswith("_percent"):
        return "percent"
    if name.startswith("train/"):
        return "probability of real" if name.endswith(("d_real", "d_fake")) else "loss"
    return "share of samples" if "/class_" in name else name
