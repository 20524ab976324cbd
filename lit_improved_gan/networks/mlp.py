"""The permutation-invariant networks of the MNIST experiment, at any image size."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from lit_improved_gan.layers import (
    BatchNormWithoutGain,
    Dense,
    GaussianNoise,
    Softplus,
    VirtualBatchNorm,
    WeightNormLinear,
    attach_reference,
    initialize,
)
from lit_improved_gan.networks.checks import check_noise, check_sizes, width_after
from lit_improved_gan.networks.noise import UniformNoise
from lit_improved_gan.networks.packing import check_packing, pack, unpack
from lit_improved_gan.precision import wide
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["MLPDiscriminator", "MLPGenerator"]


class MLPGenerator(UniformNoise):
    """Noise to images: dense layers, batch norm without gain and softplus, the last weight-normalised, sigmoid.

    Args:
        image_shape: (C, H, W) of an image.
        latent_size: length of the input noise.
        hidden: sizes of the hidden layers.
        norm: makes the normalisation of a hidden layer of a given size; with
            :class:`~lit_improved_gan.layers.VirtualBatchNorm` the network wants a reference batch.
        activation: makes what follows each normalisation.

    Raises:
        ValueError: a size is below 1.

    Shapes:
        ``(N, latent_size)`` to ``(N, C, H, W)`` in [-1, 1].

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_mnist_feature_matching.py``: 100-500-500-784,
    Glorot-uniform weights, batch norm with eps 1e-6 and a trained bias. Its sigmoid in [0, 1] is mapped to [-1, 1].
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 8, 8),
        latent_size: int = 100,
        hidden: Sequence[int] = (500, 500),
        norm: Callable[[int], nn.Module] = BatchNormWithoutGain,
        activation: Callable[[], nn.Module] = nn.Softplus,
    ) -> None:
        super().__init__()
        check_sizes("MLPGenerator", image_shape=image_shape, latent_size=[latent_size], hidden=hidden)
        self.image_shape, self.latent_size = tuple(image_shape), latent_size
        layers: list[nn.Module] = []
        size = latent_size
        for width in hidden:
            dense = Dense(size, width, bias=False)  # the normalisation has the bias
            nn.init.xavier_uniform_(dense.weight)
            layers += [dense, norm(width), _faster(activation())]
            size = width
        last = WeightNormLinear(size, prod(self.image_shape), train_gain=True, eps=1e-6)
        nn.init.xavier_uniform_(last.direction)
        self.layers = nn.Sequential(*layers, last)
        if any(isinstance(layer, VirtualBatchNorm) for layer in layers):
            attach_reference(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise ``(N, latent_size)`` to images ``(N, C, H, W)`` in [-1, 1]."""
        images: Tensor = torch.sigmoid(wide(self.layers(z)))  # in half precision it saturates, and does not come back
        return (images * 2 - 1).view(len(z), *self.image_shape)


def _faster(layer: nn.Module) -> nn.Module:
    """The same function in less time, where there is one."""
    plain = type(layer) is nn.Softplus and (layer.beta, layer.threshold) == (1.0, 20.0)
    return Softplus() if plain else layer


class MLPDiscriminator(nn.Module):
    """Images to logits: weight-normalised dense layers with ReLU, Gaussian noise before each.

    Args:
        image_shape: (C, H, W) of an image.
        num_outputs: K logits for K classes, or 1 for "real".
        hidden: sizes of the hidden layers.
        input_noise: standard deviation of the noise on the pixels, which are mapped to [0, 1] first.
        hidden_noise: standard deviation of the noise before every later layer.
        layer: makes a hidden layer of given sizes of input and output.
        minibatch_discrimination: makes the layer that looks at the whole batch, after the last hidden layer of a given
            size; ``None``: there is none.
        packing: images that are judged together, see :func:`~lit_improved_gan.networks.packing.pack`; 1: each alone.

    Raises:
        ValueError: a size is below 1, or a standard deviation negative; images with classes are packed.

    Shapes:
        ``(N, C, H, W)`` in [-1, 1] to logits ``(N, num_outputs)`` and features ``hidden1``, ``hidden2``, ...: each
        hidden layer's activations ``(N, width)``, before the next layer's noise.

    Attributes:
        independent_examples: whether no layer mixes examples, so that several batches may share one forward pass.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_mnist_feature_matching.py``:
    784-1000-500-250-250-250-10, weights N(0, 0.1), gains frozen except the last layer's.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 8, 8),
        num_outputs: int = 10,
        hidden: Sequence[int] = (1000, 500, 250, 250, 250),
        input_noise: float = 0.3,
        hidden_noise: float = 0.5,
        layer: Callable[[int, int], nn.Module] = WeightNormLinear,
        minibatch_discrimination: Callable[[int], nn.Module] | None = None,
        packing: int = 1,
    ) -> None:
        super().__init__()
        check_sizes("MLPDiscriminator", image_shape=image_shape, num_outputs=[num_outputs], hidden=hidden)
        check_noise("MLPDiscriminator", input_noise=input_noise, hidden_noise=hidden_noise)
        check_packing("MLPDiscriminator", packing, num_outputs)
        self.image_shape, self.packing = tuple(image_shape), packing
        sizes = [packing * prod(self.image_shape), *hidden]
        self.hidden = nn.ModuleList(
            nn.Sequential(GaussianNoise(hidden_noise if i else input_noise), layer(a, b), nn.ReLU())
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.batch_layer = minibatch_discrimination(sizes[-1]) if minibatch_discrimination else None
        self.independent_examples = self.batch_layer is None and packing == 1
        width = sizes[-1] if self.batch_layer is None else width_after(self.batch_layer, sizes[-1])
        last = layer(width, num_outputs)
        if isinstance(last, WeightNormLinear):
            last.gain.requires_grad_(True)
        self.head = nn.Sequential(GaussianNoise(hidden_noise), last)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Map images ``(N, C, H, W)`` in [-1, 1] to logits and features."""
        n, x = len(x), pack((x.flatten(1) + 1) / 2, self.packing)
        features = {}
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            features[f"hidden{i + 1}"] = x
        logits = self.head(x if self.batch_layer is None else self.batch_layer(x))
        return unpack(DiscriminatorOutput(logits, features), self.packing, n)

    def initialize(self, x: Tensor) -> None:
        """Data-dependent initialisation from real images ``(N, C, H, W)``; the released code uses 500."""
        initialize(self, x)
