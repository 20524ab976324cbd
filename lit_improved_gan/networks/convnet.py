"""The convolutional networks of the CIFAR-10 and SVHN experiments."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_improved_gan.layers import (
    BatchNormWithoutGain,
    GaussianNoise,
    VirtualBatchNorm,
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    attach_reference,
    initialize,
)
from lit_improved_gan.networks.checks import check_noise, check_shares, check_sizes, width_after
from lit_improved_gan.networks.noise import UniformNoise
from lit_improved_gan.precision import wide
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["ConvDiscriminator", "ConvGenerator"]


class ConvGenerator(UniformNoise):
    """Noise to images: a dense layer, then 5x5 transposed convolutions that double the image, ReLU, tanh at the end.

    Args:
        image_shape: (C, H, W) of an image; H and W are multiples of 2 to the number of ``channels``.
        latent_size: length of the input noise.
        channels: of the first, smallest image and of each larger one.
        norm: makes the normalisation of a given number of channels; the first is per unit of the dense layer. With
            :class:`~lit_improved_gan.layers.VirtualBatchNorm` the network wants a reference batch.

    Raises:
        ValueError: a size does not fit.

    Shapes:
        ``(N, latent_size)`` to ``(N, C, H, W)`` in [-1, 1].

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_cifar_feature_matching.py``: weights N(0, 0.05),
    batch norm with eps 1e-6 and without gain, the last layer weight-normalised with a trained gain.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        latent_size: int = 100,
        channels: Sequence[int] = (512, 256, 128),
        norm: Callable[[int], nn.Module] = BatchNormWithoutGain,
    ) -> None:
        super().__init__()
        check_sizes("ConvGenerator", image_shape=image_shape, latent_size=[latent_size], channels=channels)
        self.image_shape, self.latent_size = tuple(image_shape), latent_size
        colours, height, width = image_shape
        times = 2 ** len(channels)
        if not channels or height % times or width % times:
            raise ValueError(
                f"Parameter `channels` of ConvGenerator: {len(channels)} of them double the image as often, so that "
                f"height and width should be multiples of {times}. Found {list(image_shape)}."
            )
        units = channels[0] * (height // times) * (width // times)
        dense = nn.Linear(latent_size, units, bias=False)  # the normalisation has the bias
        nn.init.normal_(dense.weight, std=0.05)
        layers = [dense, norm(units), nn.ReLU(), nn.Unflatten(1, (channels[0], height // times, width // times))]
        for before, after in pairwise(channels):
            larger = nn.ConvTranspose2d(before, after, 5, 2, 2, 1, bias=False)
            nn.init.normal_(larger.weight, std=0.05)
            layers += [larger, norm(after), nn.ReLU()]
        last = WeightNormConvTranspose2d(channels[-1], colours, 5, 2, 2, 1, train_gain=True, init_std=0.1)
        self.layers = nn.Sequential(*layers, last)
        if any(isinstance(layer, VirtualBatchNorm) for layer in layers):
            attach_reference(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise ``(N, latent_size)`` to images ``(N, C, H, W)`` in [-1, 1]."""
        return torch.tanh(wide(self.layers(z)))  # in half precision it saturates, and does not come back

    def initialize(self, z: Tensor) -> None:
        """Data-dependent initialisation of the last layer from noise ``(N, latent_size)``."""
        initialize(self, z)


class ConvDiscriminator(nn.Module):
    """Images to logits: weight-normalised convolutions with leaky ReLU 0.2, dropout, a global average, a dense layer.

    Args:
        image_shape: (C, H, W) of an image, H and W at least 9.
        num_outputs: K logits for K classes, or 1 for "real".
        channels: of the first three convolutions, and of all later ones: (96, 192), for SVHN (64, 128).
        input_dropout: share of pixels' colours set to zero.
        input_noise: standard deviation of Gaussian noise on the pixels.
        hidden_dropout: share of activations set to zero after the third and the sixth convolution.
        minibatch_discrimination: makes the layer that looks at the whole batch, after the global average of a given
            size; ``None``: there is none.

    Raises:
        ValueError: a size or share is out of its range.

    Shapes:
        ``(N, C, H, W)`` in [-1, 1] to logits ``(N, num_outputs)`` and features ``conv1`` ... ``conv9``
        ``(N, channels, H', W')`` and ``pooled`` ``(N, channels)``.

    Attributes:
        independent_examples: whether no layer mixes examples, so that several batches may share one forward pass.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_cifar_feature_matching.py`` and
    ``train_cifar_minibatch_discrimination.py``, where noise of 0.2 takes the place of the first dropout.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        num_outputs: int = 10,
        channels: tuple[int, int] = (96, 192),
        input_dropout: float = 0.2,
        input_noise: float = 0.0,
        hidden_dropout: float = 0.5,
        minibatch_discrimination: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        check_sizes("ConvDiscriminator", image_shape=image_shape, num_outputs=[num_outputs], channels=channels)
        check_noise("ConvDiscriminator", input_noise=input_noise)
        check_shares("ConvDiscriminator", input_dropout=input_dropout, hidden_dropout=hidden_dropout)
        if min(image_shape[1:]) < 9:
            raise ValueError(
                f"Parameter `image_shape` of ConvDiscriminator should be 9 x 9 or more. Found {list(image_shape)}."
            )
        self.image_shape = tuple(image_shape)
        first, later = channels
        # (channels, side of the kernel, stride, padding, dropout before)
        plan = [
            *[(first, 3, 1, 1, input_dropout), (first, 3, 1, 1, 0.0), (first, 3, 2, 1, 0.0)],
            *[(later, 3, 1, 1, hidden_dropout), (later, 3, 1, 1, 0.0), (later, 3, 2, 1, 0.0)],
            *[(later, 3, 1, 0, hidden_dropout), (later, 1, 1, 0, 0.0), (later, 1, 1, 0, 0.0)],
        ]
        self.noise = GaussianNoise(input_noise)
        self.convolutions = nn.ModuleList()
        before = image_shape[0]
        for after, kernel, stride, padding, dropout in plan:
            layer = WeightNormConv2d(before, after, kernel, stride, padding)
            self.convolutions.append(nn.Sequential(nn.Dropout(dropout), layer, nn.LeakyReLU(0.2)))
            before = after
        self.batch_layer = minibatch_discrimination(later) if minibatch_discrimination else None
        self.independent_examples = self.batch_layer is None
        width = later if self.batch_layer is None else width_after(self.batch_layer, later)
        self.head = WeightNormLinear(width, num_outputs, train_gain=True, std=0.05, eps=1e-6, init_std=0.1)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Map images ``(N, C, H, W)`` in [-1, 1] to logits and features."""
        x = self.noise(x)
        features = {}
        for i, layer in enumerate(self.convolutions):
            x = layer(x)
            features[f"conv{i + 1}"] = x
        x = features["pooled"] = x.mean((2, 3))
        return DiscriminatorOutput(self.head(x if self.batch_layer is None else self.batch_layer(x)), features)

    def initialize(self, x: Tensor) -> None:
        """Data-dependent initialisation from real images ``(N, C, H, W)``.

        The released code takes 500 labelled ones, and ``fit`` 500 of all training images.
        """
        initialize(self, x)
