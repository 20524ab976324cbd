"""Randomness as a function of (seed, step): nothing random is remembered, everything random is recomputed."""

import hashlib
import os

import torch
from torch import Tensor

__all__ = ["current_seed", "generator", "mix", "permutation"]


def mix(*parts: int | str) -> int:
    """Hash integers and names into one 63-bit seed.

    The same parts give the same seed on every machine and Python version; different parts give unrelated seeds, so
    ``mix(seed, step)`` and ``mix(seed + 1, step - 1)`` share nothing.

    >>> mix(0, "noise", 7) == mix(0, "noise", 7), mix(0, 1) == mix(1, 0)
    (True, False)
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own on ``device``, seeded with ``mix(*parts)``: the global generator is not touched."""
    return torch.Generator(device).manual_seed(mix(*parts))


def permutation(n: int, *parts: int | str) -> Tensor:
    """A permutation of ``range(n)``, shape ``(n,)``, int64, determined by ``parts``."""
    return torch.randperm(n, generator=generator(*parts))


def current_seed() -> int:
    """The seed that ``lightning.seed_everything`` was last called with; 0 if it never was."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))
