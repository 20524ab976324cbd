"""How a process uses its machine."""

import ctypes
import sys

import torch

__all__ = ["prepare_machine"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def prepare_machine(threads: int | None) -> None:
    """Set the CPU threads of torch, and how memory is kept.

    glibc gives every freed tensor of a few megabytes back to the system, which clears it before it is used again; with
    the paper's MNIST networks that is a quarter of the time of a training batch. It is told to keep them.

    Args:
        threads: number of threads; ``None``: torch's own choice.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, 32 << 20)  # its largest
            mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
