"""Training batches as row numbers of the training set."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_improved_gan.data.streams import Stream

__all__ = ["Rows", "TrainingBatches", "fits"]

_AHEAD = 32
"""Batches whose rows are made at once: that of many members, one batch at a time, takes longer than a GPU's step."""


class Rows(NamedTuple):
    """Row numbers in the training set, ``(N,)``, int64, and whether the batch has labels."""

    rows: Tensor
    labelled: bool


class TrainingBatches:
    """Maps the number of a batch to the rows of each stream: for each update, a part for each member.

    Args:
        streams: by name, one for each member.
        updates: by name, batches in a training batch.
        batch_size: rows of an update of a member on a process.
        rank: this process.
        world: the number of processes, which share each batch.
    """

    def __init__(
        self,
        streams: Mapping[str, Sequence[Stream]],
        updates: Mapping[str, int],
        batch_size: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.streams, self.updates, self.batch_size, self.rank, self.world = streams, updates, batch_size, rank, world
        self._made: tuple[int, dict[str, Tensor]] = (-1, {})

    def __call__(self, number: int) -> dict[str, Rows]:
        """The rows of a batch by stream."""
        first = number - number % _AHEAD
        if self._made[0] != first:
            self._made = first, {name: self._from(first, name) for name in self.streams}
        return {name: Rows(rows[number - first], name == "labelled") for name, rows in self._made[1].items()}

    def _from(self, first: int, name: str) -> Tensor:
        shape = _AHEAD, self.updates[name], self.batch_size
        size = self.updates[name] * self.batch_size * self.world
        parts = [
            stream.take(first * size, _AHEAD * size).view(_AHEAD, size)[:, self.rank :: self.world].reshape(shape)
            for stream in self.streams[name]
        ]
        return torch.stack(parts, 2).flatten(1)


def fits(size: int, device: torch.device) -> bool:
    """Whether ``size`` bytes take at most half of what is free on an accelerator; on a CPU they are there already."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size <= free
