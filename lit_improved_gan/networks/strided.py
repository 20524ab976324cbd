"""A discriminator of a few strided convolutions, small enough for a CPU."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lit_improved_gan.layers import WeightNormConv2d, WeightNormLinear, initialize
from lit_improved_gan.networks.checks import check_sizes, width_after
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["StridedDiscriminator"]


class StridedDiscriminator(nn.Module):
    """Images to a logit: weight-normalised 5 x 5 convolutions of stride 2 with leaky ReLU 0.2, and a dense layer.

    Args:
        image_shape: (C, H, W) of an image.
        num_outputs: K logits for K classes, or 1 for "real".
        channels: of each convolution; each halves height and width, rounded up.
        minibatch_discrimination: makes the layer that looks at the whole batch, of a given size, before the dense one;
            ``None``: there is none.

    Raises:
        ValueError: a size is below 1.

    Shapes:
        ``(N, C, H, W)`` in [-1, 1] to logits ``(N, num_outputs)`` and features ``conv1`` ... ``(N, channels, H', W')``
        and ``flat`` ``(N, channels H' W')``.

    Attributes:
        independent_examples: whether no layer mixes examples, so that several batches may share one forward pass.

    Source: the convolutions are those of DCGAN's discriminator (arXiv:1511.06434), weight-normalised as in the released
    scripts of the paper.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 28, 28),
        num_outputs: int = 1,
        channels: Sequence[int] = (32, 64),
        minibatch_discrimination: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        check_sizes("StridedDiscriminator", image_shape=image_shape, num_outputs=[num_outputs], channels=channels)
        if not channels:
            raise ValueError("Parameter `channels` of StridedDiscriminator should have one size or more. Found [].")
        self.image_shape = tuple(image_shape)
        before, height, width = image_shape
        self.convolutions = nn.ModuleList()
        for after in channels:
            self.convolutions.append(nn.Sequential(WeightNormConv2d(before, after, 5, 2, 2), nn.LeakyReLU(0.2)))
            before, height, width = after, (height + 1) // 2, (width + 1) // 2
        size = before * height * width
        self.batch_layer = minibatch_discrimination(size) if minibatch_discrimination else None
        self.independent_examples = self.batch_layer is None
        size = size if self.batch_layer is None else width_after(self.batch_layer, size)
        self.head = WeightNormLinear(size, num_outputs, train_gain=True, std=0.05, eps=1e-6, init_std=0.1)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Map images ``(N, C, H, W)`` in [-1, 1] to logits and features."""
        features = {}
        for i, layer in enumerate(self.convolutions):
            x = features[f"conv{i + 1}"] = layer(x)
        x = features["flat"] = x.flatten(1)
        return DiscriminatorOutput(self.head(x if self.batch_layer is None else self.batch_layer(x)), features)

    def initialize(self, x: Tensor) -> None:
        """Data-dependent initialisation from real images ``(N, C, H, W)``."""
        initialize(self, x)
