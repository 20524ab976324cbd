"""Feature matching: the generator matches statistics of the discriminator's features."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lit_improved_gan.losses.adversarial import GeneratorLoss
from lit_improved_gan.losses.statistics import batch_mean, squared_distance
from lit_improved_gan.precision import wide
from lit_improved_gan.ranks import gathered
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["FeatureMatchingLoss", "MMDLoss", "feature_matching", "maximum_mean_discrepancy"]


def feature_matching(
    real: Tensor,
    fake: Tensor,
    statistic: Callable[[Tensor], Tensor] = batch_mean,
    distance: Callable[[Tensor, Tensor], Tensor] = squared_distance,
) -> Tensor:
    r"""The distance between a statistic of real and of generated features, by default of their means.

    .. math:: \tfrac1F \lVert E_{real} f(x) - E_{fake} f(x) \rVert_2^2

    The paper's objective is F times this. It compares the two MEANS: it is near 0 for two batches of one distribution,
    where a mean of per-sample differences is not. With several processes the statistic is that of all their examples.

    Args:
        real: features of real images, ``(N, ...)``; the statistic is over N, all other dimensions are features.
        fake: features of generated images, ``(M, ...)``.
        statistic: maps features ``(N, F)`` to what is compared.
        distance: maps two statistics to a scalar >= 0.

    Returns:
        a scalar, in float32 or the inputs' wider type.

    Raises:
        ValueError: the features differ in shape, or there are none.

    Source: paper section 3.1; the mean over features is that of openai/improved-gan @ 4f5d1ec,
    ``mnist_svhn_cifar10/train_mnist_feature_matching.py``.
    """
    real, fake = _flat(real, fake)
    with torch.autocast(fake.device.type, enabled=False):
        return distance(statistic(real), statistic(fake))


def maximum_mean_discrepancy(real: Tensor, fake: Tensor, bandwidths: Sequence[float]) -> Tensor:
    r"""The squared maximum mean discrepancy of two batches: it compares whole distributions of features.

    .. math:: E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y), \quad
              k(a, b) = \tfrac1S \sum_s \exp(-\lVert a - b \rVert_2^2 / 2 \sigma_s^2)

    over all pairs, those of an example with itself included: >= 0, and 0 for equal batches. With several processes the
    batches are those of all.

    Args:
        real: features of real images, ``(N, ...)``.
        fake: features of generated images, ``(M, ...)``.
        bandwidths: sigma, each > 0, in the unit of a distance between features.

    Returns:
        a scalar, in float32 or the inputs' wider type.

    Raises:
        ValueError: the features differ in shape, or there are none.
    """
    real, fake = _flat(real, fake)
    with torch.autocast(fake.device.type, enabled=False):
        real, fake = gathered(real)[0], gathered(fake)[0]
        center = real.detach().mean(0)  # distances do not change, and do not cancel in float32
        real, fake = real - center, fake - center

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            squares = (a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)
            return torch.stack([torch.exp(squares / (-2 * sigma**2)).mean() for sigma in bandwidths]).mean()

        return kernel(real, real) + kernel(fake, fake) - 2 * kernel(real, fake)


def _flat(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    if real.dim() < 2 or real.shape[1:] != fake.shape[1:] or not real.numel() or not fake.numel():
        raise ValueError(
            "Parameters `real` and `fake` should be (N, ...) and (M, ...), not empty, with the same features. "
            f"Found real {tuple(real.shape)} and fake {tuple(fake.shape)}."
        )
    dtype = torch.promote_types(wide(real).dtype, wide(fake).dtype)
    return real.to(dtype).flatten(1), fake.to(dtype).flatten(1)


class _OfLayers(GeneratorLoss):
    """A comparison of real and generated features in named layers of the discriminator, weighted and added up."""

    needs_real = True

    def __init__(self, layers: str | Sequence[str] | Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.layers: dict[str, float] | None = None
        if layers is not None:
            names = [layers] if isinstance(layers, str) else layers
            self.layers = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 1.0)
        if self.layers is not None and (not self.layers or not all(weight >= 0 for weight in self.layers.values())):
            raise ValueError(
                f"Parameter `layers` of {type(self).__name__} should name layers with weights of 0 or more. "
                f"Found {layers!r}."
            )

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Compare the features of one layer."""
        raise TypeError(f"{type(self).__name__} should define compare(real, fake).")

    def forward(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        """The loss, a scalar; no gradient flows to the real features.

        Raises:
            ValueError: there are no real features, or no layer of that name.
        """
        name = type(self).__name__
        if real is None:
            raise ValueError(f"{name} needs the discriminator's output on real images. Found real=None.")
        if not getattr(fake, "features", None) or not hasattr(real, "features"):
            raise ValueError(
                f"{name} needs a discriminator that returns features, on generated and on real images. Found none: "
                "wrap it in TappedDiscriminator, and give its outputs."
            )
        layers = {next(reversed(fake.features)): 1.0} if self.layers is None else self.layers
        missing = layers.keys() - fake.features.keys()
        if missing:
            raise ValueError(
                f"Parameter `layers` of {name} should be among {list(fake.features)}. Found {sorted(missing)}."
            )
        terms = [w * self.compare(real.features[key].detach(), fake.features[key]) for key, w in layers.items()]
        return torch.stack(terms).sum()


class FeatureMatchingLoss(_OfLayers):
    """:func:`feature_matching` of layers of the discriminator.

    Args:
        layers: names in the discriminator's ``features``, or names with weights >= 0; by default the last one, as in
            the released code.
        statistic: :func:`~lit_improved_gan.losses.batch_mean`, ``batch_mean_variance``, ``batch_covariance``, or a
            function of your own of features ``(N, F)``.
        distance: :func:`~lit_improved_gan.losses.squared_distance`, ``l2_distance``, ``l1_distance``, or your own.

    Raises:
        ValueError: ``layers`` is empty, or a weight negative.

    Source: paper section 3.1.
    """

    def __init__(
        self,
        layers: str | Sequence[str] | Mapping[str, float] | None = None,
        statistic: Callable[[Tensor], Tensor] = batch_mean,
        distance: Callable[[Tensor, Tensor], Tensor] = squared_distance,
    ) -> None:
        super().__init__(layers)
        self.statistic, self.distance = statistic, distance

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """The distance between the statistics."""
        return feature_matching(real, fake, self.statistic, self.distance)


class MMDLoss(_OfLayers):
    """:func:`maximum_mean_discrepancy` of layers of the discriminator.

    Args:
        layers: names in the discriminator's ``features``, or names with weights >= 0; by default the last one.
        bandwidths: sigma of each kernel, > 0.

    Raises:
        ValueError: ``layers`` is empty, or a weight negative, or a bandwidth is not positive.
    """

    def __init__(
        self,
        layers: str | Sequence[str] | Mapping[str, float] | None = None,
        bandwidths: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0),
    ) -> None:
        super().__init__(layers)
        if not bandwidths or not all(sigma > 0 for sigma in bandwidths):
            raise ValueError(
                f"Parameter `bandwidths` of MMDLoss should be greater than 0. Found bandwidths={list(bandwidths)}."
            )
        self.bandwidths = tuple(bandwidths)

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discrepancy of the two batches."""
        return maximum_mean_discrepancy(real, fake, self.bandwidths)
