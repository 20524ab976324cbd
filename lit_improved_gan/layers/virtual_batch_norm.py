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
    values = _pixels(reference)
    mean = values.mean((0, 2))  # torch.var_mean is many times slower on a CPU
    variance = (values - mean.unsqueeze(1)).square().mean((0, 2))
    return ReferenceStatistics(mean, variance, len(reference))


def virtual_batch_norm(
    x: Tensor, reference: ReferenceStatistics, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> Tensor:
    r"""Normalise each example with the statistics of the reference batch and itself.

    With :math:`c = 1/(R+1)`, the example's own mean :math:`m` over its P pixels, and mean and variance of the reference
    batch :math:`m_r, v_r`:

    .. math::
        \mu = c\,m + (1-c)\,m_r, \quad
        \sigma^2 = c\,\lVert x - \mu \rVert_2^2 / P + (1-c)\,(v_r + (m_r - \mu)^2), \quad
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
    values = _pixels(x)
    share = 1 / (reference.examples + 1)
    mean = share * values.mean(2) + (1 - share) * reference.mean
    deviations = values - mean.unsqueeze(2)
    own = torch.linalg.vector_norm(deviations, dim=2).square() / values.shape[2]
    variance = share * own + (1 - share) * (reference.variance + (reference.mean - mean).square())
    return _scaled(deviations, variance, weight, bias, eps).view(x.shape).to(x.dtype)


def _pixels(x: Tensor) -> Tensor:
    """``(N, C)`` or ``(N, C, ...)`` as ``(N, C, P)``, in float32 or wider."""
    return wide(x).flatten(2) if x.dim() > 2 else wide(x).unsqueeze(2)


def _scaled(deviations: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Deviations from the mean ``(N, C, P)``, scaled by variances ``(N, C)`` or ``(C,)``, weight and bias ``(C,)``."""
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    scale = scale.unsqueeze(-1)
    return deviations * scale if bias is None else torch.addcmul(bias.unsqueeze(1), deviations, scale)


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
                deviations = _pixels(x) - own.mean.unsqueeze(1)
                return _scaled(deviations, own.variance, self.weight, self.bias, self.eps).view(x.shape).to(x.dtype)
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
