"""Virtual batch normalisation: each example normalised by a fixed reference batch and itself."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_improved_gan.precision import wide

__all__ = ["ReferenceStatistics", "VirtualBatchNorm", "reference_statistics", "virtual_batch_norm"]


class ReferenceStatistics(NamedTuple):
    """Mean and population variance of a reference batch, ``(C,)`` each, and its number of examples R."""

    mean: Tensor
    variance: Tensor
    examples: int


def reference_statistics(reference: Tensor) -> ReferenceStatistics:
    """The statistics of a reference batch ``(R, C)`` or ``(R, C, ...)``, per channel, in float32 or wider."""
    values = wide(reference).transpose(0, 1).flatten(1)
    variance, mean = torch.var_mean(values, 1, correction=0)
    return ReferenceStatistics(mean, variance, len(reference))


def virtual_batch_norm(
    x: Tensor, reference: ReferenceStatistics, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> Tensor:
    r"""Normalise each example with the statistics of the reference batch and itself.

    With :math:`c = 1/(R+1)`, the example's own mean and variance :math:`m, v` over its pixels, and those of the
    reference batch :math:`m_r, v_r`:

    .. math::
        \mu = c\,m + (1-c)\,m_r, \quad
        \sigma^2 = c\,(v + (m - \mu)^2) + (1-c)\,(v_r + (m_r - \mu)^2), \quad
        y = \gamma\,(x - \mu)/\sqrt{\sigma^2 + \epsilon} + \beta

    The variance is the released code's mean square minus squared mean, written so that nothing cancels: in float32 that
    difference is wrong at a mean of 3000 and unit variance.

    Args:
        x: ``(N, C)`` or ``(N, C, ...)``, any N >= 1.
        reference: of the reference batch at this layer.
        weight: gamma, ``(C,)``; ``None``: 1.
        bias: beta, ``(C,)``; ``None``: 0.
        eps: added to the variance.

    Returns:
        the shape and type of ``x``; an example's output does not depend on the others.

    Source: paper section 3.5; openai/improved-gan @ 4f5d1ec, ``imagenet/ops.py``, ``VBN``.
    """
    values = wide(x)
    share = 1 / (reference.examples + 1)
    if x.dim() == 2:
        own_mean, own_variance = values, torch.zeros_like(values)
    else:
        own_variance, own_mean = torch.var_mean(values.flatten(2), 2, correction=0)
    mean = share * own_mean + (1 - share) * reference.mean
    variance = share * (own_variance + (own_mean - mean).square()) + (1 - share) * (
        reference.variance + (reference.mean - mean).square()
    )
    return _normalise(values, mean, variance, weight, bias, eps).to(x.dtype)


def _normalise(
    values: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Scale and shift by statistics ``(N, C)`` or ``(1, C)``, with one multiplication of the large tensor."""
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    shift = torch.zeros_like(mean) if bias is None else bias.expand_as(mean)
    shape = mean.shape + (1,) * (values.dim() - 2)
    return (values - mean.view(shape)) * scale.view(shape) + shift.view(shape)


class VirtualBatchNorm(nn.Module):
    """Takes the place of ``BatchNorm1d`` or ``BatchNorm2d`` in any network.

    The network that holds such layers is given its reference input once, by
    :func:`~lit_improved_gan.layers.set_reference` or the ``ReferenceBatch`` callback; see there.

    Args:
        num_features: C.
        eps: added to the variance.
        affine: whether there are a weight and a bias.

    Shapes:
        ``(N, C)`` or ``(N, C, H, W)``, any N >= 1, unchanged in shape and type.

    Attributes:
        weight: gamma, ``(C,)``, N(1, 0.02) at the start.
        bias: beta, ``(C,)``, 0 at the start.

    Raises:
        ValueError: ``num_features`` is below 1, or the input has another number of channels or no example.
        RuntimeError: there is no reference batch.

    Source: paper section 3.5; openai/improved-gan @ 4f5d1ec, ``imagenet/ops.py``, ``VBN``.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(
                f"Parameter `num_features` of VirtualBatchNorm should be 1 or more. Found num_features={num_features}."
            )
        self.num_features, self.eps = num_features, eps
        self.weight = nn.Parameter(1 + 0.02 * torch.randn(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.current = Current()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``; in the pass of the reference batch, note its statistics and normalise it by them alone."""
        if x.dim() < 2 or x.shape[1] != self.num_features or not len(x):
            raise ValueError(
                f"The input of VirtualBatchNorm should be (N, {self.num_features}, ...), not empty. "
                f"Found {tuple(x.shape)}."
            )
        with torch.autocast(x.device.type, enabled=False):
            if self.current.recording:
                if self.current.statistics is not None:
                    raise RuntimeError(
                        "A VirtualBatchNorm layer runs twice in one pass of its network, and its statistics would be "
                        "those of the second place. Give each place a layer of its own."
                    )
                own = self.current.statistics = reference_statistics(x)
                mean, variance = own.mean.unsqueeze(0), own.variance.unsqueeze(0)
                return _normalise(wide(x), mean, variance, self.weight, self.bias, self.eps).to(x.dtype)
            if self.current.statistics is None:
                raise RuntimeError(
                    "VirtualBatchNorm has no reference batch. Give the network that holds it one, by "
                    "set_reference(network, batch) or the ReferenceBatch callback, and call that network as a whole."
                )
            return virtual_batch_norm(x, self.current.statistics, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Show the sizes in the module's representation."""
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class Current:
    """What a layer knows of the reference batch during one pass of its network. It is no state: copies are empty."""

    def __init__(self) -> None:
        self.recording = False
        self.statistics: ReferenceStatistics | None = None

    def __deepcopy__(self, memo: object) -> "Current":
        return Current()

    def __reduce__(self) -> tuple[type["Current"], tuple[()]]:
        return Current, ()
