"""The axis of everything that is logged: training batches done."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["batches_done", "log_at"]


def batches_done(trainer: Any, module: Any) -> int:
    """Training batches done: what the module counts itself, or else Lightning's ``global_step``."""
    batches = getattr(module, "batches", None)
    return int(trainer.global_step if batches is None else batches)  # Lightning takes a while to count


def log_at(loggers: Iterable[Any], values: Mapping[str, float], batches: int, write: bool = True) -> None:
    """Log ``values`` at ``batches`` training batches, and write them out: a kill loses nothing that was logged.

    Lightning's own ``log`` is one batch behind; and were the axis chosen its way, by a metric named ``step``, a stale
    number would get into the file names of ``ModelCheckpoint``.

    Args:
        loggers: a trainer's.
        values: by name.
        batches: training batches done.
        write: ``False``: not yet, but with what is logged next.
    """
    for logger in loggers:
        logger.log_metrics(values, step=batches)
        if write:
            logger.save()
