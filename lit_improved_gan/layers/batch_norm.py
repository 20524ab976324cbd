"""The batch norm of the released generators."""

from torch import nn

__all__ = ["batch_norm_without_gain"]


def batch_norm_without_gain(num_features: int) -> nn.BatchNorm1d:
    """Batch norm with a trained bias, its weight fixed at 1, and eps 1e-6.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``batch_norm``.
    """
    norm = nn.BatchNorm1d(num_features, eps=1e-6)
    norm.weight.requires_grad_(False)
    return norm
