"""The input noise of the released generators."""

import torch
from torch import Tensor, nn

__all__ = ["UniformNoise"]


class UniformNoise(nn.Module):
    """A generator network whose input is uniform noise of length ``latent_size``."""

    latent_size: int

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, latent_size)`` noise, uniform in [0, 1)."""
        return torch.rand(n, self.latent_size, generator=generator, device=generator.device)
