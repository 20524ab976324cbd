"""One progress bar for the whole run."""

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities.types import STEP_OUTPUT
from tqdm import tqdm

__all__ = ["RunProgress"]


class RunProgress(ProgressBar):
    """Shows training batches done of all, with the losses and the validation error.

    Lightning's own bar starts anew every epoch, which on small data is several times a second. Where the output is no
    terminal, a plain line every tenth of the run takes its place.

    Args:
        refresh_every: training batches between two updates of the bar, >= 1.

    Raises:
        ValueError: ``refresh_every`` is out of its range.
    """

    def __init__(self, refresh_every: int = 20) -> None:
        super().__init__()
        if refresh_every < 1:
            raise ValueError(f"Parameter `refresh_every` of RunProgress should be 1 or more. Found {refresh_every}.")
        self.refresh_every = refresh_every
        self._enabled = True
        self._bar: Any = None

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar at the first batch of this fit."""
        total = trainer.estimated_stepping_batches
        if self._enabled and trainer.is_global_zero:
            self._bar = tqdm(
                total=None if total == float("inf") else int(total),
                initial=trainer.global_step,
                desc="training",
                unit="batch",
                dynamic_ncols=True,
                file=sys.stdout,
                disable=not sys.stdout.isatty(),
            )
            self._tenth = self._tenths(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        if self._bar is not None and trainer.global_step % self.refresh_every == 0:
            self._show(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._show(trainer, pl_module)
            self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that what is said next stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tenths(self, done: int) -> int:
        return 10 * done // self._bar.total if self._bar.total else done // 1000

    def _show(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = {}
        for key, value in trainer.progress_bar_metrics.items():
            name = key.removeprefix("train/").replace("/error_percent", " error %").replace("/", " ")
            values[name] = f"{float(value):.2f}" if "%" in name else f"{float(value):.3g}"
        if not self._bar.disable:
            self._bar.set_postfix(values, refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)
        elif self._tenths(trainer.global_step) > self._tenth:
            self._tenth = self._tenths(trainer.global_step)
            shown = "  ".join(f"{name} {value}" for name, value in values.items())
            print(f"batch {trainer.global_step}/{self._bar.total or '?'}  {shown}", flush=True)
