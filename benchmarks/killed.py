"""A callback that has its process killed."""

import os
import signal
import threading
from typing import Any

from lightning.pytorch import Callback, Trainer

__all__ = ["Kill"]


class Kill(Callback):
    """Kill the process (SIGKILL) some time after a moment of training.

    Args:
        batch: not before this many training batches are done.
        moment: ``batch``, ``epoch`` or ``validation``: what has just ended.
        delay: seconds after it, in which training, saving or logging goes on.
    """

    def __init__(self, batch: int, moment: str, delay: float) -> None:
        self.batch, self.moment, self.delay = batch, moment, delay

    def _ended(self, moment: str, trainer: Trainer) -> None:
        if moment == self.moment and trainer.global_step >= self.batch:
            if not self.delay:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._ended("batch", trainer)

    def on_train_epoch_end(self, trainer: Trainer, *args: Any) -> None:
        self._ended("epoch", trainer)

    def on_validation_end(self, trainer: Trainer, *args: Any) -> None:
        self._ended("validation", trainer)
