"""What the constructors of networks check and measure."""

from collections.abc import Sequence

import torch
from torch import nn

from lit_improved_gan.untouched import evaluating

__all__ = ["check_noise", "check_shares", "check_sizes", "width_after"]


def check_sizes(network: str, **parameters: Sequence[int]) -> None:
    """Check that sizes are 1 or more, and that ``image_shape`` has three.

    Raises:
        ValueError: one is not; it names the network and the parameter.
    """
    for name, sizes in parameters.items():
        wanted = 3 if name == "image_shape" else len(sizes)
        if len(sizes) != wanted or not all(size >= 1 for size in sizes):
            many = "(C, H, W), each" if name == "image_shape" else "a size,"
            raise ValueError(f"Parameter `{name}` of {network} should be {many} 1 or more. Found {list(sizes)}.")


def check_noise(network: str, **parameters: float) -> None:
    """Check that standard deviations are 0 or more.

    Raises:
        ValueError: one is not; it names the network and the parameter.
    """
    for name, value in parameters.items():
        if not value >= 0:
            raise ValueError(f"Parameter `{name}` of {network} should be 0 or more. Found {value}.")


def check_shares(network: str, **parameters: float) -> None:
    """Check that shares of what is dropped are in [0, 1).

    Raises:
        ValueError: one is not; it names the network and the parameter.
    """
    for name, value in parameters.items():
        if not 0 <= value < 1:
            raise ValueError(f"Parameter `{name}` of {network} should be in [0, 1). Found {value}.")


@torch.no_grad()
def width_after(layer: nn.Module, size: int) -> int:
    """The size of what a layer makes of vectors of a given size."""
    with evaluating(layer):
        width: int = layer(torch.zeros(2, size)).shape[1]
    return width
