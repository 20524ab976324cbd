"""What a process says when another of its run has ended."""

import threading
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["LastWords"]


class LastWords(Callback):
    """Let the first process say why it ends when another one has ended.

    Lightning looks every five seconds for a process that has failed, and then kills all, the first one too. That is
    often before it has noticed by itself, and said what is kept and where.

    Args:
        seconds: how long it may take; a process that waits for the other for longer is killed.
    """

    def __init__(self, seconds: float = 30) -> None:
        self.seconds = seconds

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ask Lightning's observer, in the process that has one, to wait."""
        for thread in threading.enumerate():
            if thread.name == "child-process-observer" and hasattr(thread, "_terminate_all"):
                self._delay(thread)

    def _delay(self, observer: Any) -> None:
        kill = type(observer)._terminate_all

        def terminate_all() -> None:
            time.sleep(self.seconds)
            kill(observer)

        observer._terminate_all = terminate_all
