"""Mixed precision: statistics are taken in float32 or wider, and no copy of a weight outlives an update."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["uncached_casts", "wide"]


def wide(x: Tensor) -> Tensor:
    """``x`` in float32 where it is in half precision, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@contextmanager
def uncached_casts() -> Iterator[None]:
    """Within it autocast converts a weight at every use.

    Otherwise it keeps the converted weights until the outermost ``torch.autocast`` ends, which is Lightning's and
    covers a whole training step: a player's second update in a training batch would be computed from the weights
    before the first.
    """
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
