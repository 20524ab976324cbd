"""Weight normalisation with data-dependent initialisation."""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan.layers.dense_product import dense_product
from lit_improved_gan.precision import wide

__all__ = ["WeightNormConv2d", "WeightNormConvTranspose2d", "WeightNormLayer", "WeightNormLinear", "weight_scale"]


def weight_scale(direction: Tensor, gain: Tensor, eps: float = 0.0) -> Tensor:
    r"""What gives every output's weight vector the length ``gain``.

    .. math:: s_k = g_k / \sqrt{\lVert v_k \rVert_2^2 + \epsilon}, \quad w_k = s_k v_k

    Args:
        direction: v, ``(out, ...)``; the norm is over everything but the first dimension.
        gain: g, ``(out,)``.
        eps: added to the squared norm; see the layers.

    Returns:
        s, ``(out,)``.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``DenseLayer`` and ``WeightNormLayer``.
    """
    rows = direction.flatten(1)  # a compiler makes one pass of torch's gradient, too
    squared: Tensor = (_SquaredLength.forward if torch.compiler.is_compiling() else _SquaredLength.apply)(rows)
    return gain * torch.rsqrt(squared + eps)


class _SquaredLength(torch.autograd.Function):
    """Of each row. Its gradient is one pass over the weights; that of torch's norm, three."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(rows, dim=1)
        return length.square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows: Tensor = ctx.saved_tensors[0]
        return rows * (2 * gradient).unsqueeze(1)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        rows: Tensor = ctx.saved_tensors[0]
        return (2 * rows * tangents[0]).sum(1)


class WeightNormLayer(nn.Module, ABC):
    """A linear map whose weights are stored as a direction and a length, and its bias.

    torch's own parametrization does not serve here: a parametrized module cannot be pickled, and has no epsilon.

    Args:
        shape: (out, in, ...) of the weights.
        train_gain: whether the lengths are trained; the released discriminators train those of the last layer only.
        std: standard deviation of the directions at the start.
        eps: see :func:`weight_scale`.
        init_std: standard deviation of the outputs after :meth:`initialize`.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(self, shape: tuple[int, ...], train_gain: bool, std: float, eps: float, init_std: float) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ValueError(f"The sizes of {type(self).__name__} (out, in, ...) should be 1 or more. Found {shape}.")
        self.eps, self.init_std = eps, init_std
        self.direction = nn.Parameter(torch.randn(shape) * std)
        self.gain = nn.Parameter(torch.ones(shape[0]), requires_grad=train_gain)
        self.bias = nn.Parameter(torch.zeros(shape[0]))

    @abstractmethod
    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The map with given weights, in the shape of the direction."""

    @property
    def weight(self) -> Tensor:
        """The normalised weights, in the shape of the direction."""
        scale = weight_scale(self.direction, self.gain, self.eps)
        return self.direction * scale.view(-1, *[1] * (self.direction.dim() - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x``."""
        return self.product(x, self.weight, self.bias)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set gain and bias so that each output has mean 0 and standard deviation ``init_std`` over ``x`` (and pixels).

        Raises:
            ValueError: an output is constant over ``x`` (fewer than two different examples, or dead inputs).
        """
        outputs = self.product(x, self.weight, None).transpose(0, 1).flatten(1)
        std, mean = torch.std_mean(outputs, dim=1, correction=0)
        if not bool((std > 0).all()):
            dead = int((~(std > 0)).sum())
            raise ValueError(
                f"Data-dependent initialisation needs outputs that vary over the batch. Found {dead} of "
                f"{len(self.gain)} outputs constant over {len(x)} examples: give it more, and different, examples."
            )
        self.gain.mul_(self.init_std / std)
        self.bias.copy_(-mean * self.init_std / std)

    def extra_repr(self) -> str:
        """Show the sizes in the module's representation."""
        return f"{tuple(self.direction.shape)}, train_gain={self.gain.requires_grad}"


class WeightNormLinear(WeightNormLayer):
    """A dense layer with weight normalisation.

    Args:
        in_features: size A of an input.
        out_features: size B of an output.
        train_gain: see :class:`WeightNormLayer`.
        std: see :class:`WeightNormLayer`.
        eps: see :func:`weight_scale`; in the MNIST script 0 in the discriminator and 1e-6 in the generator.
        init_std: see :class:`WeightNormLayer`.

    Shapes:
        ``(N, A)`` to ``(N, B)``.

    Raises:
        ValueError: a size is below 1.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``DenseLayer``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        train_gain: bool = False,
        std: float = 0.1,
        eps: float = 0.0,
        init_std: float = 1.0,
    ) -> None:
        super().__init__((out_features, in_features), train_gain, std, eps, init_std)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map ``(N, A)`` to ``(N, B)``."""
        return F.linear(x, weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, A)`` to ``(N, B)``."""
        outputs = dense_product(x, self.direction)  # scaled afterwards: there are fewer outputs than weights
        scale = weight_scale(self.direction, self.gain, self.eps)
        return torch.addcmul(self.bias, wide(outputs), scale).to(outputs.dtype)


class WeightNormConv2d(WeightNormLayer):
    """A convolution with weight normalisation.

    Args:
        in_channels: A.
        out_channels: B.
        kernel_size: side of the square kernel.
        stride: step of the kernel.
        padding: zeros around the image.
        train_gain: see :class:`WeightNormLayer`.
        std: see :class:`WeightNormLayer`.
        eps: see :func:`weight_scale`.
        init_std: see :class:`WeightNormLayer`.

    Shapes:
        ``(N, A, H, W)`` to ``(N, B, H', W')``.

    Raises:
        ValueError: a size is below 1.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``WeightNormLayer``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        train_gain: bool = False,
        std: float = 0.05,
        eps: float = 1e-6,
        init_std: float = 1.0,
    ) -> None:
        super().__init__((out_channels, in_channels, kernel_size, kernel_size), train_gain, std, eps, init_std)
        self.stride, self.padding = stride, padding

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map ``(N, A, H, W)`` to ``(N, B, H', W')``."""
        return F.conv2d(x, weight, bias, self.stride, self.padding)


class WeightNormConvTranspose2d(WeightNormLayer):
    """A transposed convolution with weight normalisation.

    Args:
        in_channels: A.
        out_channels: B.
        kernel_size: side of the square kernel.
        stride: how much larger the image becomes.
        padding: what is cut off around the larger image.
        output_padding: what is added to one side of it.
        train_gain: see :class:`WeightNormLayer`.
        std: see :class:`WeightNormLayer`.
        eps: see :func:`weight_scale`.
        init_std: see :class:`WeightNormLayer`.

    Shapes:
        ``(N, A, H, W)`` to ``(N, B, H', W')``.

    Raises:
        ValueError: a size is below 1.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``WeightNormLayer`` of a ``Deconv2DLayer``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        train_gain: bool = False,
        std: float = 0.05,
        eps: float = 1e-6,
        init_std: float = 1.0,
    ) -> None:
        super().__init__((out_channels, in_channels, kernel_size, kernel_size), train_gain, std, eps, init_std)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map ``(N, A, H, W)`` to ``(N, B, H', W')``."""
        return F.conv_transpose2d(x, weight.transpose(0, 1), bias, self.stride, self.padding, self.output_padding)
