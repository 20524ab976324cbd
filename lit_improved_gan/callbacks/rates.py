"""A learning rate that a callback changes, so that the schedules go on from it."""

from collections.abc import Iterator
from typing import Any

from torch.optim import Optimizer

__all__ = ["scale_rates"]


def scale_rates(trainer: Any, optimizer: Optimizer, factor: float) -> None:
    """Multiply an optimizer's learning rates, now and as its schedules have them.

    Args:
        trainer: in training.
        optimizer: one of ``trainer.optimizers``.
        factor: above 0.
    """
    for group in optimizer.param_groups:
        for name in group.keys() & {"lr", "initial_lr", "max_lr", "min_lr"}:
            group[name] *= factor
    for config in trainer.lr_scheduler_configs:
        for schedule in _all(config.scheduler):
            if schedule.optimizer is optimizer:
                for name in vars(schedule).keys() & {"base_lrs", "max_lrs"}:
                    setattr(schedule, name, [rate * factor for rate in getattr(schedule, name)])


def _all(schedule: Any) -> Iterator[Any]:
    """A schedule and those it is made of."""
    if hasattr(schedule, "base_lrs"):
        yield schedule
    for part in getattr(schedule, "_schedulers", ()):
        yield from _all(part)
