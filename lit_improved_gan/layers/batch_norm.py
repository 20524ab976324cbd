"""The batch norm of the released generators."""

from torch import Tensor, nn

from lit_improved_gan.precision import wide

__all__ = ["BatchNormWithoutGain"]


class BatchNormWithoutGain(nn.BatchNorm2d):
    """Batch norm with a trained bias, its weight fixed at 1, and eps 1e-6.

    Args:
        num_features: C.

    Shapes:
        ``(N, C)`` or ``(N, C, H, W)``, unchanged.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``batch_norm``.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, eps=1e-6)
        self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``, with statistics in float32 or wider."""
        return super().forward(wide(x)).to(x.dtype)

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() not in {2, 4}:
            raise ValueError(f"The input of BatchNormWithoutGain should have 2 or 4 dimensions. Found {x.dim()}.")
