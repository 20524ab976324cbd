"""Feature matching: the generator matches statistics of the discriminator's features."""

import torch
from torch import Tensor

from lit_improved_gan.losses.adversarial import GeneratorLoss
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["FeatureMatchingLoss", "feature_matching"]


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    r"""Mean over features of the squared difference of batch means.

    .. math:: \tfrac1A \lVert E_{real} f(x) - E_{fake} f(x) \rVert_2^2

    The paper's objective is A times this. It compares the two MEANS: it is near 0 for two batches of one distribution,
    where a mean of per-sample differences is not.

    Args:
        real: features of real images, ``(N, ...)``; the statistic is over N, all other dimensions are features.
        fake: features of generated images, ``(M, ...)``.

    Returns:
        a scalar in the square of the features' unit, >= 0, in float32 or the inputs' wider type.

    Raises:
        ValueError: the features differ in shape.

    Source: paper section 3.1; the mean over features is that of openai/improved-gan @ 4f5d1ec,
    ``mnist_svhn_cifar10/train_mnist_feature_matching.py``.
    """
    if real.shape[1:] != fake.shape[1:]:
        raise ValueError(
            "Parameters `real` and `fake` of feature_matching should have the same feature dimensions. "
            f"Found real {tuple(real.shape)} and fake {tuple(fake.shape)}."
        )
    if real.dtype in (torch.float16, torch.bfloat16):
        real, fake = real.float(), fake.float()
    return (real.mean(0) - fake.mean(0)).square().mean()


class FeatureMatchingLoss(GeneratorLoss):
    """:func:`feature_matching` of one named layer of the discriminator.

    Args:
        layer: a name in the discriminator's ``features``; by default the last one, as in the released code.

    Source: paper section 3.1.
    """

    needs_real = True

    def __init__(self, layer: str | None = None) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar; no gradient flows to the real features.

        Raises:
            ValueError: there are no real features, or no layer of that name.
        """
        if real is None:
            raise ValueError("FeatureMatchingLoss needs the discriminator's output on real images. Found real=None.")
        layer = self.layer
        if layer is None:
            if not fake.features:
                raise ValueError("FeatureMatchingLoss needs a discriminator that returns features. Found none.")
            layer = next(reversed(fake.features))
        elif layer not in fake.features:
            raise ValueError(
                f"Parameter `layer` of FeatureMatchingLoss should be one of {list(fake.features)}. Found {layer!r}."
            )
        return feature_matching(real.features[layer].detach(), fake.features[layer])
