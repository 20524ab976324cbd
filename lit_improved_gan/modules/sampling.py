"""Samples of the averaged generator, each by its number."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_improved_gan.modules.average import AveragedNetwork
from lit_improved_gan.seeding import current_seed, generator

__all__ = ["SamplingModule"]


class SamplingModule(LightningModule):
    """What a module with a generator and its average offers: ``module(z)``, ``module.sample(n)``, ``predict``."""

    generator: nn.Module
    generator_average: AveragedNetwork
    seed: int | None

    def forward(self, z: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` in [-1, 1] of the averaged generator, from noise ``(N, latent_size)``."""
        images: Tensor = self.generator_average(z)
        return images

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, chunk: int = 1000) -> Tensor:
        """Images of the averaged generator; image i depends on (seed, i) alone, up to rounding.

        Args:
            n: how many, >= 1.
            seed: of the noise.
            chunk: images made at a time.

        Returns:
            ``(n, C, H, W)`` in [-1, 1], on the module's device.
        """
        if n < 1:
            raise ValueError(f"Parameter `n` of sample should be 1 or more. Found n={n}.")
        return torch.cat([self.sample_numbered(part, seed) for part in torch.arange(n).split(chunk)])

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Samples by number, see :meth:`sample`; their seed is that of ``seed_everything``."""
        return self.sample_numbered(batch.cpu(), current_seed())

    @torch.no_grad()
    def sample_numbered(self, numbers: Tensor, seed: int = 0) -> Tensor:
        """The images ``numbers``, ``(n,)``, of :meth:`sample`, made at once."""
        rows = [self.generator.prior(1, generator(seed, "sample", i)) for i in numbers.tolist()]  # type: ignore[operator]  # checked in setup
        images: Tensor = self(torch.cat(rows).to(next(self.generator.parameters())))
        return images
