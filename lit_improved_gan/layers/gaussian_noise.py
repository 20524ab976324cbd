"""Gaussian noise on activations."""

import torch
from torch import Tensor, nn

__all__ = ["GaussianNoise"]


class GaussianNoise(nn.Module):
    """Add N(0, std^2) noise while training; the identity in eval mode.

    Args:
        std: standard deviation, in the units of the input, >= 0.

    Shapes:
        any shape, returned unchanged in shape, dtype and device.

    Raises:
        ValueError: ``std`` is negative.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``GaussianNoiseLayer``.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        if not std >= 0:
            raise ValueError(f"Parameter `std` of GaussianNoise should be 0 or more. Found std={std}.")
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """Add a fresh draw of noise to ``x``."""
        if not self.training or self.std == 0:
            return x
        on_cpu = x.device.type == "cpu"  # draws half precision slowly
        noise = torch.randn_like(x, dtype=torch.promote_types(x.dtype, torch.float32) if on_cpu else None)
        return torch.add(x, noise, alpha=self.std).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the standard deviation in the module's representation."""
        return f"std={self.std}"
