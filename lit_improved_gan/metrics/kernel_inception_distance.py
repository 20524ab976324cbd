"""The kernel Inception distance."""

import numpy as np
import torch
from torch import Tensor

from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.metrics.kept_features import KeptFeatures

__all__ = ["KernelInceptionDistance", "squared_discrepancy"]


def squared_discrepancy(x: Tensor, y: Tensor) -> Tensor:
    r"""The unbiased estimate of the squared maximum mean discrepancy with the kernel :math:`(x \cdot y / d + 1)^3`.

    Args:
        x, y: two samples ``(n, d)`` and ``(m, d)``, n and m >= 2.

    Returns:
        a scalar; that of one distribution is about 0, and may be below.

    Source: Bińkowski et al. 2018, arXiv:1801.01401, equation 4.
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.trace()) / (len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()


class KernelInceptionDistance(KeptFeatures):
    """Mean and standard deviation of the squared discrepancy over random subsets: ``kid2048`` and ``kid2048_std``.

    The subsets are those that torch-fidelity draws with the same ``seed``.

    Args:
        extractor: turns images into features; ``None``: :meth:`update` is given the features.
        layer: of the extractor.
        subsets: how many, >= 1.
        subset_size: images in each, >= 2, at most those that are kept.
        max_samples: images of each kind that are kept.
        seed: of the subsets.
        num_features: the size of features that are given.

    Raises:
        ValueError: an argument is out of its range; there are fewer images than ``subset_size``.
    """

    measure = "kid"
    options = ("layer", "subsets", "subset_size", "max_samples", "seed")
    higher_is_better = False

    def __init__(
        self,
        extractor: FeatureExtractor | None = None,
        layer: str = "2048",
        subsets: int = 100,
        subset_size: int = 1000,
        max_samples: int = 10_000,
        seed: int = 2020,
        num_features: int | None = None,
    ) -> None:
        super().__init__(extractor, layer, max_samples, num_features)
        if subsets < 1:
            raise ValueError(f"Parameter `subsets` of KernelInceptionDistance should be 1 or more. Found {subsets}.")
        if not 2 <= subset_size <= max_samples:
            raise ValueError(
                "Parameter `subset_size` of KernelInceptionDistance should be between 2 and `max_samples`. "
                f"Found subset_size={subset_size}, max_samples={max_samples}."
            )
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed

    def expect(self, num_real: int, num_generated: int) -> None:
        """Refuse fewer images than a subset has."""
        super().expect(num_real, num_generated)
        if min(num_real, num_generated) < self.subset_size:
            raise ValueError(
                f"Parameter `subset_size` of KernelInceptionDistance should be at most the number of images, "
                f"{min(num_real, num_generated)}. Found {self.subset_size}."
            )

    def compute(self) -> dict[str, Tensor]:
        """Mean and population standard deviation over the subsets, scalars in float64."""
        real, generated = self.kept("real").double(), self.kept("generated").double()
        self.expect(len(real), len(generated))
        draw = np.random.RandomState(self.seed)  # torch-fidelity's
        values = []
        for _ in range(self.subsets):
            chosen = [torch.from_numpy(draw.choice(len(x), self.subset_size, replace=False)) for x in (generated, real)]
            values.append(squared_discrepancy(generated[chosen[0]], real[chosen[1]]))
        found = torch.stack(values)
        name = self.key(self.measure)
        return {name: found.mean(), f"{name}_std": found.std(correction=0)}
