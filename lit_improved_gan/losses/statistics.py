"""What feature matching compares, and by which distance."""

import torch
from torch import Tensor

from lit_improved_gan.ranks import mean_over_ranks

__all__ = [
    "batch_covariance",
    "batch_mean",
    "batch_mean_variance",
    "l1_distance",
    "l2_distance",
    "squared_distance",
]


def batch_mean(features: Tensor) -> Tensor:
    """The mean over the batch of all processes: ``(N, F)`` to ``(F,)``."""
    return mean_over_ranks(features.mean(0))


def batch_mean_variance(features: Tensor) -> Tensor:
    """Mean and population variance over the batch of all processes: ``(N, F)`` to ``(2F,)``."""
    mean = batch_mean(features)
    # the derivative through the mean is zero, as deviations from it add up to zero
    variance = mean_over_ranks((features - mean.detach()).square().mean(0))
    return torch.cat([mean, variance])


def batch_covariance(features: Tensor) -> Tensor:
    """Population covariance over the batch of all processes: ``(N, F)`` to ``(F, F)``."""
    deviations = features - batch_mean(features).detach()
    return mean_over_ranks(deviations.T @ deviations / len(features))


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean over entries of the squared difference of two tensors of a shape, a scalar.

    As the released MNIST code has it; the paper's is the sum.
    """
    return (a - b).square().mean()


def l2_distance(a: Tensor, b: Tensor) -> Tensor:
    """The Euclidean length of the difference of two tensors of a shape, a scalar; its gradient at zero is zero."""
    return torch.linalg.vector_norm(a - b)  # type: ignore[no-any-return]  # torch says Any


def l1_distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean over entries of the absolute difference, a scalar; as the released CIFAR-10 and SVHN code has it."""
    return (a - b).abs().mean()
