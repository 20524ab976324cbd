"""Minibatch discrimination: let the discriminator see how close each example is to the others of its batch."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lit_improved_gan.layers.closeness import pairwise_closeness
from lit_improved_gan.precision import wide
from lit_improved_gan.ranks import gathered, world_size

__all__ = [
    "JointMinibatchDiscrimination",
    "MinibatchDiscrimination",
    "joint_minibatch_closeness",
    "minibatch_closeness",
]


def minibatch_closeness(m: Tensor, groups: Sequence[int] | None = None, across_ranks: bool = False) -> Tensor:
    r"""How close each example is to all others, in each kernel.

    .. math:: o_{ib} = \sum_{j \neq i} \exp(-\lVert m_{ib} - m_{jb} \rVert_1)

    Memory is O(N N B): no tensor of size N x N x B x C is made, forward or backward. (A second derivative, as R1 takes
    one, is that of the plain formula, which does make it.)

    Args:
        m: projected features, ``(N, B, C)``.
        groups: sizes of consecutive groups that add up to N; closeness is taken within each. ``None``: one group.
        across_ranks: take the examples of all processes as one batch, with their gradients.

    Returns:
        ``(N, B)``, between 0 and the number of other examples, in float32 or wider.

    Raises:
        ValueError: ``m`` has another number of dimensions, or the groups do not add up.

    Source: paper section 3.2; self excluded as in openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``,
    ``MinibatchLayer``.
    """
    if m.dim() != 3:
        raise ValueError(f"Parameter `m` of minibatch_closeness should be (N, B, C). Found {tuple(m.shape)}.")
    if groups is None:
        return _within(m, across_ranks)
    if not groups or sum(groups) != len(m) or any(size < 1 for size in groups):
        raise ValueError(
            f"Parameter `groups` of minibatch_closeness should add up to the {len(m)} examples. Found {list(groups)}."
        )
    return torch.cat([_within(part, across_ranks) for part in m.split(list(groups))])


def _within(m: Tensor, across_ranks: bool) -> Tensor:
    others, first = gathered(m) if across_ranks else (m, 0)
    return pairwise_closeness(m, others, first).squeeze(2)


def joint_minibatch_closeness(m: Tensor) -> Tensor:
    r"""How close each example of a joint batch is to its real and to its generated half.

    Each sum, over the real half or the generated half without the example itself, is divided by the number of pairs
    over all 2N examples, N(2N - 1).

    Args:
        m: projected features of N real, then N generated examples, ``(2N, B, C)``.

    Returns:
        ``(2N, 2B)``: closeness to the real half, then to the generated half.

    Raises:
        ValueError: the shape does not allow two halves.

    Source: openai/improved-gan @ 4f5d1ec, ``imagenet/discriminator.py``.
    """
    if m.dim() != 3 or len(m) % 2 or not len(m):
        raise ValueError(
            f"Parameter `m` of joint_minibatch_closeness should be (2N, B, C), N >= 1. Found {tuple(m.shape)}."
        )
    half = len(m) // 2
    halves = torch.zeros(len(m), 2, device=m.device)
    halves[:half, 0] = halves[half:, 1] = 1
    return pairwise_closeness(m, m, 0, halves).transpose(1, 2).flatten(1) / (half * (2 * half - 1))


class MinibatchDiscrimination(nn.Module):
    r"""Append to each example how close it is to the others of its batch, in learned directions.

    The projection is column-normalised,
    :math:`W = \theta \exp(\text{log\_scale}) / \lVert\theta\rVert` with the norm over A, and a bias is added to the
    closeness of :math:`m_i = x_i W`. :meth:`initialize` fits the scales to the features; without it examples with large
    features would be so far apart that every closeness underflows to zero. A layer that was not initialised does it on
    its first training batch, over all processes: before it is compiled, call it yourself.

    An output depends on the whole batch: evaluate in batches of one size, in order, and say which.

    Args:
        in_features: A.
        num_kernels: B, the number of appended features.
        kernel_dim: C, the size of the space in which a kernel measures distance.
        reduction: ``"sum"`` of the closeness to the others, as in the paper, or their ``"mean"``, which does not
            depend on the batch size.
        initial_scale: the distance that :meth:`initialize` brings to 2 in each kernel: of an example to the
            ``"nearest"`` other, as in the released code, or the ``"mean"`` of all pairs, for clustered data, where
            the nearest other is in the same cluster and all clusters would be out of sight.
        across_ranks: in training, take the examples of all processes as one batch, with their gradients; else each
            process's own, as in evaluation, where processes may have unequal batches.

    Shapes:
        ``(N, A)`` to ``(N, A + B)``.

    Attributes:
        theta: ``(A, B, C)``, N(0, 0.05) at the start.
        log_scale: ``(B, C)``, 0 at the start.
        bias: ``(B,)``, -1 at the start.

    Raises:
        ValueError: a size is below 1, or the input has another shape.

    Source: paper section 3.2; openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``MinibatchLayer``.
    """

    initialized: Tensor

    def __init__(
        self,
        in_features: int,
        num_kernels: int = 100,
        kernel_dim: int = 5,
        reduction: Literal["sum", "mean"] = "sum",
        initial_scale: Literal["nearest", "mean"] = "nearest",
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        _check_sizes(self, in_features=in_features, num_kernels=num_kernels, kernel_dim=kernel_dim)
        _check_choice("reduction", reduction, ("sum", "mean"))
        _check_choice("initial_scale", initial_scale, ("nearest", "mean"))
        self.reduction, self.initial_scale, self.across_ranks = reduction, initial_scale, across_ranks
        self.theta = nn.Parameter(torch.randn(in_features, num_kernels, kernel_dim) * 0.05)
        self.log_scale = nn.Parameter(torch.zeros(num_kernels, kernel_dim))
        self.bias = nn.Parameter(torch.full((num_kernels,), -1.0))
        self.register_buffer("initialized", torch.tensor(False))
        self._ready = False  # the buffer's value, without asking the device

    def project(self, x: Tensor) -> Tensor:
        """Map ``(N, A)`` to ``(N, B, C)``, in float32 or wider."""
        if x.dim() != 2 or x.shape[1] != self.theta.shape[0]:
            raise ValueError(
                f"The input of MinibatchDiscrimination should be (N, {self.theta.shape[0]}). Found {tuple(x.shape)}."
            )
        with torch.autocast(x.device.type, enabled=False):
            theta, log_scale = wide(self.theta), wide(self.log_scale)
            projection = theta * (log_scale.exp() / torch.linalg.vector_norm(theta, dim=0))
            m: Tensor = (x.to(theta.dtype) @ projection.flatten(1)).unflatten(1, projection.shape[1:])
            return m

    def _closeness(self, m: Tensor, groups: Sequence[int] | None) -> Tensor:
        across_ranks = self.across_ranks and self.training
        closeness = minibatch_closeness(m, groups, across_ranks)
        if self.reduction == "sum":
            return closeness
        world = world_size() if across_ranks else 1
        sizes = [len(m)] if groups is None else groups
        others = torch.cat([closeness.new_full((size, 1), max(size * world - 1, 1)) for size in sizes])
        return closeness / others

    def forward(self, x: Tensor, groups: Sequence[int] | None = None) -> Tensor:
        """Append the closeness.

        Args:
            x: features, ``(N, A)``.
            groups: sizes of consecutive groups, where several batches share a pass: each sees its own alone.

        Returns:
            ``(N, A + B)``.
        """
        if self.training and not self._ready:
            self.initialize(gathered(x.detach() if groups is None else x.detach()[: groups[0]])[0])
        with torch.autocast(x.device.type, enabled=False):
            closeness = self._closeness(self.project(x), groups) + self.bias
        return torch.cat([x, closeness.to(x.dtype)], 1)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set scales and biases from a first batch of features; the released code takes 500 examples.

        Per kernel, half the mean distance, of an example to the nearest other or of all pairs, becomes 1, and the
        appended features have mean 0.

        Args:
            x: ``(N, A)``, N >= 2.

        Raises:
            ValueError: there are fewer than two different examples.
        """
        distance = self._distance(x) if len(x) > 1 else torch.zeros(1)
        if not bool((distance > 0).all()):
            raise ValueError(
                "MinibatchDiscrimination is initialised from examples that differ. "
                f"Found {len(x)} example(s): give it more, and different, examples."
            )
        self.log_scale.copy_(-(distance / 2).log().unsqueeze(1).expand_as(self.log_scale))
        closeness = minibatch_closeness(self.project(x))
        self.bias.copy_(-(closeness if self.reduction == "sum" else closeness / (len(x) - 1)).mean(0))
        self.initialized.fill_(True)
        self._ready = True

    def _distance(self, x: Tensor) -> Tensor:
        """Per kernel, at scale 1, the mean distance of an example to the nearest other, or to all others, ``(B,)``."""
        m = (self.project(x) * (-wide(self.log_scale)).exp()).transpose(0, 1)
        distance = torch.cdist(m, m, p=1.0)
        if self.initial_scale == "mean":
            return distance.sum((1, 2)) / (len(x) * (len(x) - 1))
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        return distance.amin(2).mean(1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._ready = bool(self.initialized)

    def extra_repr(self) -> str:
        """Show the sizes in the module's representation."""
        in_features, num_kernels, kernel_dim = self.theta.shape
        sizes = f"{in_features}, num_kernels={num_kernels}, kernel_dim={kernel_dim}"
        return f"{sizes}, reduction={self.reduction!r}, initial_scale={self.initial_scale!r}"


class JointMinibatchDiscrimination(nn.Module):
    """Append to each example of a joint batch how close it is to the real and to the generated half.

    The variant of the released ImageNet discriminator: a plain linear projection, without normalisation, bias on the
    closeness or data-dependent initialisation; see :func:`joint_minibatch_closeness`.

    Args:
        in_features: A.
        num_kernels: B; 2B features are appended.
        kernel_dim: C.

    Shapes:
        N real, then N generated examples ``(2N, A)`` to ``(2N, A + 2B)``.

    Raises:
        ValueError: a size is below 1, or the input has another shape.

    Source: openai/improved-gan @ 4f5d1ec, ``imagenet/discriminator.py``.
    """

    def __init__(self, in_features: int, num_kernels: int = 300, kernel_dim: int = 50) -> None:
        super().__init__()
        _check_sizes(self, in_features=in_features, num_kernels=num_kernels, kernel_dim=kernel_dim)
        self.kernel_shape = (num_kernels, kernel_dim)
        self.projection = nn.Linear(in_features, num_kernels * kernel_dim, bias=False)  # it cancels in differences

    def forward(self, x: Tensor) -> Tensor:
        """Append the closeness to ``(2N, A)``: ``(2N, A + 2B)``."""
        with torch.autocast(x.device.type, enabled=False):
            weight = wide(self.projection.weight)
            m = (x.to(weight.dtype) @ weight.T).unflatten(1, self.kernel_shape)
            closeness = joint_minibatch_closeness(m)
        return torch.cat([x, closeness.to(x.dtype)], 1)


def _check_choice(name: str, value: str, allowed: tuple[str, str]) -> None:
    if value not in allowed:
        choices = " or ".join(f'"{choice}"' for choice in allowed)
        raise ValueError(f"Parameter `{name}` of MinibatchDiscrimination should be {choices}. Found {value!r}.")


def _check_sizes(layer: nn.Module, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"Parameter `{name}` of {type(layer).__name__} should be 1 or more. Found {name}={size}.")
