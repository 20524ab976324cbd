"""Whether there is a GPU, asked in the way that costs nothing where there is none."""

import os

import torch

__all__ = ["ask_the_runtime"]


def ask_the_runtime() -> None:
    """Where there is no GPU, let torch ask CUDA's runtime for one, as it does unless told otherwise.

    Lightning has it ask the driver's library, so that processes can be forked before a GPU is used. Without a driver
    that library is searched for each time, and torch's optimizers ask at each step: 0.2 ms, a tenth of a batch of small
    networks.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
