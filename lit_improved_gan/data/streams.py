"""The order of the training data as a function of (seed, batch): nothing to save, nothing to restore."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from lit_improved_gan.seeding import permutation

__all__ = ["BatchDataset", "BatchSampler", "Stream"]


class Stream:
    """An endless concatenation of fresh permutations of the same rows.

    Args:
        rows: indices into a data set, ``(n,)``, n >= 1.
        key: what the order depends on; streams of different keys are independent.
    """

    def __init__(self, rows: Tensor, *key: int | str) -> None:
        self.rows, self.key = rows, key
        self._cache: dict[int, Tensor] = {}

    def _permuted(self, tile: int) -> Tensor:
        if tile not in self._cache:
            if len(self._cache) > 1:  # two are enough: a batch that spans more holds whole ones, drawn again
                self._cache.clear()
            self._cache[tile] = self.rows[permutation(len(self.rows), *self.key, tile)]
        return self._cache[tile]

    def take(self, start: int, count: int) -> Tensor:
        """The ``count`` rows from position ``start`` on, ``(count,)``."""
        n = len(self.rows)
        first = start // n
        tiles = [self._permuted(tile) for tile in range(first, -(-(start + count) // n))]
        order = tiles[0] if len(tiles) == 1 else torch.cat(tiles)
        return order[start - first * n :][:count]


class BatchDataset(Dataset[Any]):
    """A map from the number of a batch to that batch, whole.

    Args:
        make: called with a batch number, in a worker process where there are any.
    """

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make

    def __getitem__(self, number: int) -> Any:
        """The batch of that number."""
        return self.make(number)


class BatchSampler(DistributedSampler[Any]):
    """Batch numbers ``first(), first() + 1, ...``, as many as the epoch has.

    ``first`` is asked when the epoch's first batch is wanted, after a checkpoint has been restored: a resumed run goes
    on at its own batch. It is a ``DistributedSampler`` because Lightning replaces every other kind on several ranks.

    Args:
        length: batches in an epoch.
        first: the number of the epoch's first batch.
    """

    def __init__(self, length: int, first: Callable[[], int]) -> None:
        self.length, self.first = length, first

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        start = self.first()
        yield from range(start, start + self.length)

    def set_epoch(self, epoch: int) -> None:
        """The order depends on the batch number alone."""
