"""Looking at a module in training without leaving a trace."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

__all__ = ["evaluating", "untouched_noise"]


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Within it the networks are in eval mode; after it every part is in the mode that it was in."""
    modes = [(part, part.training) for network in networks for part in network.modules()]
    try:
        for part, _ in modes:
            _set_mode(part, False)
        yield
    finally:
        for part, training in [*modes, *modes]:  # one may have set the mode of one before it
            _set_mode(part, training)


def _set_mode(part: nn.Module, training: bool) -> None:
    if part.training == training:
        return
    kind = type(part)
    if kind.train is nn.Module.train and kind.__setattr__ is nn.Module.__setattr__:
        vars(part)["training"] = training  # of this part alone; to set an attribute takes many times as long
    else:
        part.train(training)  # it may hold networks that are not its own by name


def untouched_noise(device: torch.device) -> AbstractContextManager[None]:
    """What is drawn within it leaves the state of training's noise as it was."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
