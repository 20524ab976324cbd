"""Small networks for points, and for whatever else is a short vector of any range."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_improved_gan.checks import check_positive
from lit_improved_gan.layers import VirtualBatchNorm, attach_reference, initialize
from lit_improved_gan.networks.checks import check_sizes, width_after
from lit_improved_gan.networks.packing import check_packing, pack, unpack
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["PointDiscriminator", "PointGenerator"]


class PointGenerator(nn.Module):
    """Normal noise to points: dense layers with ReLU, the last one linear.

    Args:
        dim: numbers of a point.
        latent_size: length of the input noise.
        hidden: sizes of the hidden layers.
        norm: makes the normalisation of a hidden layer of a given size; ``None``: there is none. With
            :class:`~lit_improved_gan.layers.VirtualBatchNorm` the network wants a reference batch.
        scale: of the data, > 0: the last layer's output is multiplied by it.

    Raises:
        ValueError: a size is below 1, or the scale not above 0.

    Shapes:
        ``(N, latent_size)`` to ``(N, dim)``, of any range.
    """

    def __init__(
        self,
        dim: int = 2,
        latent_size: int = 2,
        hidden: Sequence[int] = (128, 128),
        norm: Callable[[int], nn.Module] | None = None,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        check_sizes("PointGenerator", dim=[dim], latent_size=[latent_size], hidden=hidden)
        check_positive("PointGenerator", scale=scale)
        self.latent_size, self.scale = latent_size, scale
        layers: list[nn.Module] = []
        for a, b in pairwise([latent_size, *hidden]):
            layers += [nn.Linear(a, b), *([norm(b)] if norm else []), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear([latent_size, *hidden][-1], dim))
        if any(isinstance(layer, VirtualBatchNorm) for layer in layers):
            attach_reference(self)

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, latent_size)`` standard normal noise."""
        return torch.randn(n, self.latent_size, generator=generator, device=generator.device)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise ``(N, latent_size)`` to points ``(N, dim)``."""
        points: Tensor = self.scale * self.layers(z)
        return points


class PointDiscriminator(nn.Module):
    """Points to logits: dense layers with ReLU or LeakyReLU.

    Args:
        dim: numbers of a point.
        num_outputs: K logits for K classes, or 1 for "real".
        hidden: sizes of the hidden layers.
        layer: makes a layer of given sizes of input and output.
        minibatch_discrimination: makes the layer that looks at the whole batch, after the last hidden layer of a given
            size; ``None``: there is none.
        packing: points that are judged together, see :func:`~lit_improved_gan.networks.packing.pack`; 1: each alone.
        scale: of the data, > 0: points are divided by it.
        negative_slope: of the hidden layers' LeakyReLU; 0: they have ReLU.

    Raises:
        ValueError: a size is below 1, or the scale not above 0.

    Shapes:
        ``(N, dim)`` to logits ``(N, num_outputs)`` and features ``hidden1``, ``hidden2``, ...: activations
        ``(N, width)``.

    Attributes:
        independent_examples: whether no layer mixes examples, so that several batches may share one forward pass.
    """

    def __init__(
        self,
        dim: int = 2,
        num_outputs: int = 1,
        hidden: Sequence[int] = (128, 128),
        layer: Callable[[int, int], nn.Module] = nn.Linear,
        minibatch_discrimination: Callable[[int], nn.Module] | None = None,
        packing: int = 1,
        scale: float = 1.0,
        negative_slope: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes("PointDiscriminator", dim=[dim], num_outputs=[num_outputs], hidden=hidden)
        check_packing("PointDiscriminator", packing, num_outputs)
        check_positive("PointDiscriminator", scale=scale)
        self.packing, self.scale = packing, scale
        sizes = [packing * dim, *hidden]
        self.hidden = nn.ModuleList(
            nn.Sequential(layer(a, b), nn.LeakyReLU(negative_slope)) for a, b in pairwise(sizes)
        )
        self.batch_layer = minibatch_discrimination(sizes[-1]) if minibatch_discrimination else None
        self.independent_examples = self.batch_layer is None and packing == 1
        width = sizes[-1] if self.batch_layer is None else width_after(self.batch_layer, sizes[-1])
        self.head = layer(width, num_outputs)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Map points ``(N, dim)`` to logits and features."""
        n, x = len(x), pack(x, self.packing) / self.scale
        features = {}
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            features[f"hidden{i + 1}"] = x
        logits = self.head(x if self.batch_layer is None else self.batch_layer(x))
        return unpack(DiscriminatorOutput(logits, features), self.packing, n)

    def initialize(self, x: Tensor) -> None:
        """Data-dependent initialisation of the layers that have one, from real points ``(N, dim)``."""
        initialize(self, x)
