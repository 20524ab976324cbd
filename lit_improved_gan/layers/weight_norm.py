"""Weight normalisation with data-dependent initialisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["WeightNormLinear", "normalise_weight"]


def normalise_weight(direction: Tensor, gain: Tensor, eps: float = 0.0) -> Tensor:
    r"""Give every output's weight vector the length ``gain``.

    .. math:: w_k = g_k \, v_k / \sqrt{\lVert v_k \rVert_2^2 + \epsilon}

    Args:
        direction: v, ``(out, ...)``; the norm is over everything but the first dimension.
        gain: g, ``(out,)``.
        eps: added to the squared norm; 0 in the released discriminators, 1e-6 in the released generators.

    Returns:
        w, in the shape of ``direction``.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``DenseLayer`` and ``WeightNormLayer``.
    """
    column = gain.view(-1, *[1] * (direction.dim() - 1))
    if eps == 0:
        return torch._weight_norm(direction, column, 0)
    squared_norm = direction.square().flatten(1).sum(1).view_as(column)
    return direction * (column * torch.rsqrt(squared_norm + eps))


class WeightNormLinear(nn.Module):
    """A dense layer whose weights are stored as a direction and a length.

    torch's own parametrization does not serve here: a parametrized module cannot be pickled, and has no epsilon.

    Args:
        in_features: size A of an input.
        out_features: size B of an output.
        train_gain: whether the lengths are trained; the released discriminators train those of the last layer only.
        std: standard deviation of the directions at the start.
        eps: see :func:`normalise_weight`.

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
        return normalise_weight(self.direction, self.gain, self.eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, A)`` to ``(N, B)``."""
        return F.linear(x, self.weight, self.bias)

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
