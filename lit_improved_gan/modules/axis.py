"""Metrics of training and validation on the axis of training batches done."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lit_improved_gan.axis import log_at

__all__ = ["BatchAxis"]


class BatchAxis(LightningModule):
    """Logs at the number of training batches done, where Lightning is one behind."""

    def log_after(self, batches: int, metrics: Mapping[str, Tensor | float], shown: Mapping[str, Tensor]) -> None:
        """Log ``metrics`` and ``shown`` after ``batches`` training batches; ``shown`` goes to the progress bar, too."""
        kept = {name: value.cpu() for name, value in shown.items()}  # Lightning reads them again after each batch
        self.log_dict(kept, prog_bar=True, logger=False)
        log_at(self.loggers, {name: float(value) for name, value in {**metrics, **kept}.items()}, batches)

    def on_validation_epoch_end(self) -> None:
        """Count the batch that validation follows: its metrics are logged next."""
        self._shift(1)

    def on_validation_end(self) -> None:
        """Back to Lightning's count."""
        self._shift(-1)

    def _shift(self, by: int) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self.trainer.fit_loop.epoch_loop._batches_that_stepped += by
