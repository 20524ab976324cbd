"""Samples of a module by number, so that several processes make each once."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lit_improved_gan.untouched import evaluating

__all__ = ["check_samples", "numbered_samples"]


def check_samples(callback: str, module: Any) -> None:
    """Refuse a module that makes no samples.

    Raises:
        TypeError: it has no ``sample``.
    """
    if not callable(getattr(module, "sample", None)):
        raise TypeError(f"{callback} needs a method sample(n, seed) of {type(module).__name__}. Found none.")


def numbered_samples(module: Any, numbers: Tensor, n: int, seed: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images ``numbers`` of ``n`` samples, with their numbers, ``size`` at a time; where there are none, once none.

    A module without ``sample_numbered`` makes all ``n`` at once, in eval mode.
    """
    everything: Tensor | None = None
    if not callable(getattr(module, "sample_numbered", None)):
        with evaluating(module):
            everything = module.sample(n, seed=seed)
    for part in numbers.split(size):
        if everything is not None:
            images = everything[part.to(everything.device)]
        elif len(part):
            images = module.sample_numbered(part, seed)
        else:
            images = module.sample_numbered(torch.zeros(1, dtype=torch.int64), seed)[:0]
        yield part.to(images.device), images
