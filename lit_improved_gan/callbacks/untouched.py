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
        for network in networks:
            network.eval()
        yield
    finally:
        for part, training in modes:  # those that hold others come first, and most often set all that they hold
            if part.training != training:
                part.train(training)  # not the attribute alone: some parts hold networks that are not theirs by name


def untouched_noise(device: torch.device) -> AbstractContextManager[None]:
    """What is drawn within it leaves the state of training's noise as it was."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
