"""One-sided label smoothing, constant or scheduled."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_improved_gan.axis import batches_done, log_at

__all__ = ["LabelSmoothing"]


class LabelSmoothing(Callback):
    """Train the discriminator with a smaller target for real images; that of generated ones stays 0.

    The target after t training batches is ``target`` or, with ``final_target``, moves linearly from the one to the
    other over ``batches``. It depends on the number of the batch alone, so a resumed run goes on where it was.

    Works on any LightningModule with a settable attribute ``real_target`` (float) that its discriminator's loss
    reads at every step, and with ``batches`` or Lightning's ``global_step`` to count training batches.

    Args:
        target: of real images, in (0, 1]. The paper suggests 0.9 or 0.95.
        final_target: target after ``batches`` training batches, in (0, 1]; ``None``: constant.
        batches: length of the schedule, >= 1; needed with ``final_target``.

    Raises:
        ValueError: an argument is out of its range.
        TypeError: in ``setup``: the module has no ``real_target``.

    Source: paper section 3.4.
    """

    def __init__(self, target: float = 0.9, final_target: float | None = None, batches: int | None = None) -> None:
        for name, value in [("target", target), ("final_target", final_target)]:
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"Parameter `{name}` of LabelSmoothing should be in (0, 1]. Found {name}={value}.")
        if (final_target is None) != (batches is None) or (batches is not None and batches < 1):
            raise ValueError(
                "Parameters `final_target` and `batches` of LabelSmoothing go together, batches 1 or more. "
                f"Found {final_target=}, {batches=}."
            )
        self.target, self.final_target, self.batches = target, final_target, batches
        self._before: float | None = None

    def at(self, batch: int) -> float:
        """The target after ``batch`` training batches."""
        if self.final_target is None or self.batches is None:
            return self.target
        done = min(1.0, batch / self.batches)
        return self.target + done * (self.final_target - self.target)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the module."""
        if not hasattr(pl_module, "real_target"):
            loss = getattr(pl_module, "discriminator_loss", None)
            found = type(pl_module if loss is None else loss).__name__
            raise TypeError(
                f"LabelSmoothing needs a discriminator loss with a target for real images. {found} has no attribute "
                "`real_target`: use AdversarialLoss or SemiSupervisedLoss, or add one."
            )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Remember the module's own target."""
        self._before = pl_module.real_target

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the target of this batch, and log it."""
        done = batches_done(trainer, pl_module)
        pl_module.real_target = self.at(done)
        if self.final_target is not None and (done + 1) % trainer.log_every_n_steps == 0:
            log_at(trainer.loggers, {"real_target": pl_module.real_target}, done + 1)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Give the module its own target back."""
        if self._before is not None:
            pl_module.real_target = self._before
