"""Run the command line's application, and turn what goes wrong before training into one message."""

import errno
import logging
import warnings
from pathlib import Path

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from lit_improved_gan.cli.app import App
from lit_improved_gan.cli.errors import RunError, UserError, shorten
from lit_improved_gan.modules import DivergedError

__all__ = ["launch"]

_KNOWN_WARNINGS = [  # said by Lightning of what is meant to be so
    r".*module\(s\) in eval mode at the start of training.*",  # the averaged copies
    r".*does not have many workers.*",  # the images are in memory
    r".*args parameter is intended to run from within Python.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*is an instance of `nn.Module` and is already saved during checkpointing.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Experiment logs directory .* exists and is not empty.*",
    r"The dirpath has changed from .*",  # a run directory was moved, or named in another way
    r".*pre-optimization state.*",
    r"Couldn't infer the batch indices.*",  # samples have numbers of their own
    r"Total length of `list` across ranks is zero.*",  # val_size: 0
    r".*is smaller than the logging interval.*",
    r".*sync_dist=True.* when logging on epoch level.*",  # every process logs the same value of all processes
    r".*you have no `val_dataloader`.*|.*but have no `val_dataloader`.*",  # val_size: 0
]

_FOR_USERS = (UserError, ValueError, TypeError, OSError, MisconfigurationException, ModuleNotFoundError)


class _NoTips(logging.Filter):
    """Drops Lightning's advertising."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show the record."""
        return "Tip:" not in record.getMessage()


def _format(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning in one line: the library's own without the place in its code."""
    own = Path(__file__).parents[1] in Path(filename).parents
    return f"warning: {message}\n" if own else f"{filename}:{lineno}: {category.__name__}: {message}\n"


def launch(args: list[str]) -> int:
    """Run the application.

    Returns:
        the exit status.

    Raises:
        UserError: something went wrong before a batch was trained on, or the disk is full.
    """
    warnings.formatwarning = _format
    for message in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).addFilter(_NoTips())
    app: App | None = None
    try:
        app = App(args)
        app.run()
    except SystemExit as stop:  # --help, --print_config, and how Lightning ends an interrupted run
        if isinstance(stop, SIGTERMException):
            return 143
        if app is not None and app.trainer.interrupted:
            return 130
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        if app is not None and isinstance(error, DivergedError):
            raise RunError(f"{error}\nWhat was saved before is in {app.directory}.") from error
        if app is None or not app.has_begun:
            if app is not None:
                app.forget_directory()
            raise UserError(_describe(error)) from error
        if _is_of_another_process(error):
            first = str(error).splitlines()[0].split(". Check the logs")[0]
            raise RunError(
                f"Another process of this run has ended, or cannot be reached: {first}\n"
                f"What was saved before is in {app.directory}."
            ) from error
        unlogged = isinstance(error, MisconfigurationException) or "conditioned on metric" in str(error)
        if unlogged or isinstance(error, OSError):  # a callback's `monitor` is not logged, or the disk is full
            full = "The disk is full: " if getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT) else ""
            raise UserError(f"{full}{_describe(error)}\nWhat was saved before is in {app.directory}.") from error
        raise  # a fault of the code, not of the input: its traceback is wanted
    return 0


def _is_of_another_process(error: Exception) -> bool:
    """Whether it says that a process of the same run does not answer."""
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    words = ("gloo", "nccl", "connection closed", "connection reset", "timed out waiting")
    return several and isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _describe(error: Exception) -> str:
    """What an error says; where that was not written for a user, its kind, and how to see where it came from."""
    message = shorten(str(error))
    if isinstance(error, _FOR_USERS):
        return message
    return f"{type(error).__name__}: {message}\nLIT_IMPROVED_GAN_TRACEBACK=1 shows where in the code."
