"""Counts of training batches and updates, kept in the checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from lit_improved_gan.modules.axis import BatchAxis
from lit_improved_gan.modules.progress import Resumable

__all__ = ["CountingModule", "count", "uncounted"]

_KEPT = ("batches", "d_updates", "g_updates", "seed")


class CountingModule(Resumable, BatchAxis):
    """Counts, and saves with them the seed of the noise.

    Attributes:
        batches: training batches done.
        d_updates: updates of the discriminator done.
        g_updates: updates of the generator done.
        seed: of all noise in training; a resumed run keeps that of its checkpoint.
        mid_batch: whether some updates of a batch are done and others are not.
    """

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        self.batches = self.d_updates = self.g_updates = 0
        self.seed = seed
        self.mid_batch = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the counts; mark a checkpoint that is written between two updates of a batch."""
        checkpoint["improved_gan"] = {name: getattr(self, name) for name in (*_KEPT, "mid_batch")}
        checkpoint["improved_gan"]["batches_per_epoch"] = self.trainer.num_training_batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts, and the place in the epoch.

        Raises:
            ValueError: another kind of module made the checkpoint.
        """
        state = checkpoint.get("improved_gan", {})
        missing = {*_KEPT, "mid_batch", "batches_per_epoch"} - state.keys()
        if missing:
            raise ValueError(
                f"The checkpoint is not one of a {type(self).__name__}: it has no {sorted(missing)}. "
                "Load it into the module that made it."
            )
        for name in _KEPT:
            setattr(self, name, state[name])
        self.resume_after(checkpoint, self.batches, state["batches_per_epoch"])
        if state["mid_batch"]:
            rank_zero_warn(
                f"This checkpoint was written in the middle of training batch {self.batches + 1}, after "
                f"{self.d_updates} updates of D and {self.g_updates} of G: a run resumed from it is not exact."
            )


def count(optimizer: LightningOptimizer) -> None:
    """Move ``trainer.global_step`` by one."""
    optimizer._on_before_step()
    optimizer._on_after_step()


@contextmanager
def uncounted(optimizer: LightningOptimizer) -> Iterator[None]:
    """Step ``optimizer`` without moving ``trainer.global_step``: of a batch's updates one alone counts."""
    before, after = optimizer._on_before_step, optimizer._on_after_step
    optimizer._on_before_step = optimizer._on_after_step = lambda: None
    try:
        yield
    finally:
        optimizer._on_before_step, optimizer._on_after_step = before, after
