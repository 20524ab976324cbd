"""One fit to a run directory."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from lit_improved_gan.cli.errors import UserError

if sys.platform != "win32":
    import fcntl

__all__ = ["Lock"]


class Lock:
    """Keeps a run directory for one fit; the system takes it back from a process that dies.

    Args:
        directory: the run's.

    Raises:
        UserError: another process trains in it.
    """

    patience = 15.0
    """Seconds to wait: the workers of a run that was killed notice it after a few."""

    def __init__(self, directory: Path) -> None:
        self._file: int | None = None
        if sys.platform == "win32":  # without such locks
            return
        self._file = os.open(directory, os.O_RDONLY)
        until = time.monotonic() + self.patience
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < until:
                    time.sleep(0.1)
                    continue
                self.release()
                raise UserError(
                    f"Another process trains in {directory}. Wait for its end, or start a new run without --ckpt_path."
                ) from error
            except OSError:  # a file system without locks
                pass
            return

    def release(self) -> None:
        """Let another fit have it."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None
