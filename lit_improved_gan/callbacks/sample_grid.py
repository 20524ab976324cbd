"""Sample grids while training."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from lit_improved_gan.axis import batches_done
from lit_improved_gan.callbacks.images import grid_of, log_image, save_png
from lit_improved_gan.callbacks.numbered_samples import check_samples

__all__ = ["SampleGrid"]


class SampleGrid(Callback):
    """Save a grid of samples every few epochs and at the end, always from the same noise.

    ``samples/batch-000450.png`` below the run directory is the grid after 450 training batches; Weights & Biases and
    TensorBoard get it at the same step.

    Works on any LightningModule with ``sample(n, seed)`` that returns images ``(n, C, H, W)`` in [-1, 1], and with
    ``batches`` or Lightning's ``global_step`` to count training batches.

    Args:
        every_n_epochs: epochs between two grids, >= 1.
        rows: rows of the grid, >= 1.
        columns: columns of the grid, >= 1.
        seed: of the noise.

    Raises:
        ValueError: an argument is out of its range.
        TypeError: in ``setup``: the module has no ``sample``.
    """

    def __init__(self, every_n_epochs: int = 10, rows: int = 8, columns: int = 16, seed: int = 0) -> None:
        for name, value in [("every_n_epochs", every_n_epochs), ("rows", rows), ("columns", columns)]:
            if value < 1:
                raise ValueError(f"Parameter `{name}` of SampleGrid should be 1 or more. Found {name}={value}.")
        self.every_n_epochs, self.rows, self.columns, self.seed = every_n_epochs, rows, columns, seed
        self._last = -1

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Check the module."""
        check_samples("SampleGrid", pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save a grid where one is due."""
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save the last grid."""
        self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, pl_module: Any) -> None:
        step = batches_done(trainer, pl_module)
        if not trainer.is_global_zero or step == self._last:
            return
        self._last = step
        picture = grid_of(pl_module.sample(self.rows * self.columns, seed=self.seed), self.columns)
        save_png(picture, Path(trainer.default_root_dir) / "samples" / f"batch-{step:06d}.png")
        log_image(trainer.loggers, "samples", picture, step)
