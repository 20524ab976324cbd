"""Ctrl-C between two batches."""

import signal
import threading
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["GracefulInterrupt"]


class GracefulInterrupt(Callback):
    """Let Ctrl-C finish the batch that is under way, so that what is saved then is a state training really was in.

    Without it D may have been updated and G not yet. A second Ctrl-C does not wait.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def _handle(self, number: int, frame: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over Ctrl-C, after Lightning has noted whose it was; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._asked = False
            self._before = signal.signal(signal.SIGINT, self._handle)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop here where it was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop here where it was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self._give_back()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give Ctrl-C back."""
        self._give_back()

    def _give_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
