"""The newest state of a run, always at hand."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_info

__all__ = ["LastCheckpoint"]


class LastCheckpoint(Checkpoint):
    """Keep ``checkpoints/last.ckpt`` below the run directory: every few epochs, at the end, and when a run is cut off.

    The file is written beside the old one and takes its place when it is complete: a full disk or a kill leaves the old
    one. (Lightning's ModelCheckpoint with a ``monitor`` does not keep its ``last.ckpt`` up to date.)

    Args:
        every_n_epochs: epochs between two saves, >= 1.

    Raises:
        ValueError: ``every_n_epochs`` is out of its range.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ValueError(
                f"Parameter `every_n_epochs` of LastCheckpoint should be 1 or more. Found {every_n_epochs}."
            )
        self.every_n_epochs = every_n_epochs
        self._saved = -1

    def path(self, trainer: Trainer) -> Path:
        """Where the checkpoint is."""
        return Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where it is due."""
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last state."""
        self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save what there is when the run is stopped by a signal, and say where; an error of the run saves nothing.

        Nor does an interrupt between two updates of a batch, where there is an earlier state.
        """
        between_updates = getattr(pl_module, "mid_batch", False) and self.path(trainer).is_file()
        stopped = isinstance(exception, (KeyboardInterrupt, SIGTERMException))
        if stopped and trainer.state.fn == TrainerFn.FITTING and not between_updates:
            self._save(trainer)
        if self._saved >= 0:
            rank_zero_info(f"The state after {self._saved} training batches is in {self.path(trainer)}")

    def _save(self, trainer: Trainer) -> None:
        if trainer.global_step == self._saved or trainer.fast_dev_run:  # type: ignore[attr-defined]  # a connector sets it
            return
        path = self.path(trainer)
        partial: Any = path.with_suffix(".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            trainer.save_checkpoint(partial, weights_only=False)
            if trainer.is_global_zero:
                os.replace(partial, path)
        finally:
            if trainer.is_global_zero:
                partial.unlink(missing_ok=True)
        trainer.strategy.barrier()  # no process goes on to read the old one
        self._saved = trainer.global_step
