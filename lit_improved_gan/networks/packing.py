"""Packing: the discriminator judges several examples at once."""

import torch
from torch import Tensor

from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["check_packing", "pack", "unpack"]


def pack(x: Tensor, size: int) -> Tensor:
    """Join each ``size`` consecutive examples to one; those missing in the last pack are the batch's first.

    A discriminator of packs sees whether its examples vary as real ones do: a generator that makes the same example
    over and over is found out, as with minibatch discrimination.

    Args:
        x: ``(N, A)``.
        size: m, >= 1.

    Returns:
        ``(ceil(N / m), m A)``.

    Source: PacGAN (arXiv:1712.04086), section 2.
    """
    missing = -len(x) % size
    if missing:
        x = x[torch.arange(len(x) + missing, device=x.device) % len(x)]
    return x.reshape(-1, size * x.shape[1])


def unpack(output: DiscriminatorOutput, size: int, n: int) -> DiscriminatorOutput:
    """Say of each of ``n`` examples what was found of its pack: means over examples are those over packs.

    The sum over examples counts each pack ``size`` times, and so does a gradient of it, as R1's.
    """
    if size == 1:
        return output
    features = {name: value.repeat_interleave(size, 0)[:n] for name, value in output.features.items()}
    return DiscriminatorOutput(output.logits.repeat_interleave(size, 0)[:n], features)


def check_packing(network: str, size: int, num_outputs: int) -> None:
    """Check the size of a pack.

    Raises:
        ValueError: it is below 1, or the network says the class of each example.
    """
    if size < 1:
        raise ValueError(f"Parameter `packing` of {network} should be 1 or more. Found packing={size}.")
    if size > 1 and num_outputs > 1:
        raise ValueError(
            f"Parameter `packing` of {network} should be 1 where it has an output for each class: a pack of examples "
            f"has no class. Found packing={size}, num_outputs={num_outputs}."
        )
