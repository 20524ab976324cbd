"""Weight normalisation with data-dependent initialisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan.precision import wide

__all__ = ["WeightNormLinear", "weight_scale"]


def weight_scale(direction: Tensor, gain: Tensor, eps: float = 0.0) -> Tensor:
    r"""What gives every output's weight vector the length ``gain``.

    .. math:: s_k = g_k / \sqrt{\lVert v_k \rVert_2^2 + \epsilon}, \quad w_k = s_k v_k

    Args:
        direction: v, ``(out, ...)``; the norm is over everything but the first dimension.
        gain: g, ``(out,)``.
        eps: added to the squared norm; 0 in the released discriminators, 1e-6 in the released generators.

    Returns:
        s, ``(out,)``.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``DenseLayer`` and ``WeightNormLayer``.
    """
    length = torch.linalg.vector_norm(direction.flatten(1), dim=1)
    return gain * torch.rsqrt(length.square() + eps)


class WeightNormLinear(nn.Module):
    """A dense layer whose weights are stored as a direction and a length.

    torch's own parametrization does not serve here: a parametrized module cannot be pickled, and has no epsilon.

    Args:
        in_features: size A of an input.
        out_features: size B of an output.
        train_gain: whether the lengths are trained; the released discriminators train those of the last layer only.
        std: standard deviation of the directions at the start.
        eps: see :func:`weight_scale`.

    Shapes:
        ``(N, A)`` to ``(N, B)``.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``DenseLayer``.
    """

    def __init__(
        self, in_features: int, out_features: int, train_gain: bool = False, std: float = 0.1, eps: float = 0.0
    ) -> None:
        super().__init__()
        for name, size in [("in_features", in_features), ("out_features", out_features)]:
            if size < 1:
                raise ValueError(f"Parameter `{name}` of WeightNormLinear should be 1 or more. Found {name}={size}.")
        self.in_features, self.out_features, self.eps = in_features, out_features, eps
        self.direction = nn.Parameter(torch.randn(out_features, in_features) * std)
        self.gain = nn.Parameter(torch.ones(out_features), requires_grad=train_gain)
        self.bias = nn.Parameter(torch.zeros(out_features))

    @property
    def weight(self) -> Tensor:
        """The normalised weights, ``(B, A)``."""
        return self.direction * weight_scale(self.direction, self.gain, self.eps).unsqueeze(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, A)`` to ``(N, B)``."""
        outputs = F.linear(x, self.direction)  # scaled afterwards: there are fewer outputs than weights
        scale = weight_scale(self.direction, self.gain, self.eps)
        return torch.addcmul(self.bias, wide(outputs), scale).to(outputs.dtype)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set gain and bias so that the outputs for ``x`` have mean 0 and standard deviation 1 over the batch.

        Raises:
            ValueError: an output is constant over ``x`` (fewer than two different examples, or dead inputs).
        """
        outputs = F.linear(x, self.weight)
        std, mean = torch.std_mean(outputs, dim=0, correction=0)
        if not bool((std > 0).all()):
            dead = int((~(std > 0)).sum())
            raise ValueError(
                f"Data-dependent initialisation needs outputs that vary over the batch. Found {dead} of "
                f"{self.out_features} outputs constant over {len(x)} examples: give it more, and different, examples."
            )
        self.gain.div_(std)
        self.bias.copy_(-mean / std)

    def extra_repr(self) -> str:
        """Show the sizes in the module's representation."""
        return f"{self.in_features}, {self.out_features}, train_gain={self.gain.requires_grad}"
