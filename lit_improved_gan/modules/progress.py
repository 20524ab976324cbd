"""Where in its epochs a resumed run goes on: decided by the number of batches alone."""

from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.loops.fit_loop import RestartStage

__all__ = ["Resumable"]


class Resumable(LightningModule):
    """Goes on after the batch that a checkpoint was saved at, as if the run had not been cut off."""

    _unfinished: bool | None = None

    def resume_after(self, checkpoint: dict[str, Any], batches: int, per_epoch: float) -> None:
        """Set Lightning's progress in ``checkpoint`` to the end of training batch ``batches``.

        What Lightning saved depends on the hook that saved it and on which limit ended the run: a run that
        ``max_steps`` ended goes on in a new epoch, or one epoch ahead, and validates after other batches than an
        uninterrupted one.

        Args:
            checkpoint: of a fit; its ``loops`` are changed.
            batches: training batches done, >= 0.
            per_epoch: batches of an epoch; infinite: nothing is changed.
        """
        loops = checkpoint.get("loops", {}).get("fit_loop")
        if not loops or not batches or per_epoch == float("inf"):
            return
        self._unfinished = any(
            loops[name]["current"]["completed"] < loops[name]["current"]["ready"]
            for name in ("epoch_loop.batch_progress", "epoch_loop.val_loop.batch_progress")
        )
        epoch = -(-batches // int(per_epoch))  # the one under way, or just at its end, from 1
        within = batches - (epoch - 1) * int(per_epoch)
        loops["epoch_progress"] = dict.fromkeys(("total", "current"), _progress(epoch, epoch - 1, epoch - 1))
        loops["epoch_loop.batch_progress"] = {
            "total": _progress(batches, batches, batches - 1),
            "current": _progress(within, within, within - 1),
            "is_last_batch": within == per_epoch,
        }
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] = batches - 1  # Lightning adds this batch

    def on_train_start(self) -> None:
        """Do what Lightning leaves out after the batch that the run is resumed from.

        Of a checkpoint that was saved by the hooks of the batch or within its validation it passes over the validation
        and the end of the epoch that were still to come; at an epoch's end it goes on as if the next one had begun.
        """
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is None:
            return
        fit: Any = self.trainer.fit_loop
        loop, batches = fit.epoch_loop, fit.epoch_loop.batch_progress
        at_end = batches.is_last_batch
        if unfinished and at_end:  # Lightning has counted the epoch
            _count(fit.epoch_progress, -1, "processed", "completed")
        _count(batches, 1, "completed")
        if unfinished and loop._should_check_val_fx(fit._data_fetcher):
            self._validate(loop.val_loop)
        if not at_end:  # Lightning is about to count the batch, and goes on within the epoch
            _count(batches, -1, "completed")
            return
        loop._batches_that_stepped += 1
        if unfinished:
            fit.on_advance_end()
        fit._restarting = loop.restarting = False  # the property is always true where max_steps ends a run
        fit._restart_stage = loop._restart_stage = RestartStage.NONE

    def _validate(self, loop: Any) -> None:
        """As Lightning's training loop has it."""
        loop.restarting = False
        loop.batch_progress.reset()
        self.trainer.validating = True
        loop.run()
        self.trainer.training = True


def _count(progress: Any, by: int, *names: str) -> None:
    for counts in (progress.total, progress.current):
        for name in names:
            setattr(counts, name, getattr(counts, name) + by)


def _progress(begun: int, processed: int, completed: int) -> dict[str, int]:
    return {"ready": begun, "started": begun, "processed": processed, "completed": completed}
