"""The noise of training: a function of (seed, batch, process)."""

import torch
from torch import Tensor, nn

from lit_improved_gan.modules.updates import UpdatingModule
from lit_improved_gan.seeding import generator, mix

__all__ = ["NoisyModule"]


class NoisyModule(UpdatingModule):
    """Draws each update's prior noise for the global batch, and keeps this process's share."""

    generator: nn.Module

    @property
    def _seed(self) -> int:
        return self.seed or 0

    def _seed_noise(self) -> None:
        """Make the noise inside the networks a function of (seed, batch, process)."""
        seed = mix(self._seed, self.batches, self.global_rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _noise(self, n: int, player: str, update: int) -> Tensor:
        """``n`` rows for one update of a player: this process's share of the noise of the global batch."""
        world = self.trainer.world_size
        source = generator(self._seed, self.batches, player, update, device=self.device)
        z: Tensor = self.generator.prior(n * world, source)  # type: ignore[operator]  # checked in setup
        return z[self.global_rank :: world].to(next(self.generator.parameters()).dtype)
