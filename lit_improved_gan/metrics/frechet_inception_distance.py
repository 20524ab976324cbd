"""The Fréchet Inception distance."""

import torch
from torch import Tensor

from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.metrics.feature_metric import FeatureMetric

__all__ = ["FrechetInceptionDistance", "frechet_distance"]


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    r"""The squared 2-Wasserstein distance of two normal distributions.

    .. math:: |\mu_1 - \mu_2|^2 + \mathrm{tr}\left(C_1 + C_2 - 2 (C_1 C_2)^{1/2}\right)

    The trace of the square root is the sum of the singular values of :math:`C_1^{1/2} C_2^{1/2}`: nothing is negative
    or complex by rounding, and singular covariances, of fewer samples than dimensions, are no exception.

    Args:
        mean1, mean2: ``(d,)``, float64.
        cov1, cov2: ``(d, d)``, symmetric and positive semi-definite, float64.

    Returns:
        a scalar, 0 or more.

    Source: Dowson and Landau 1982; Heusel et al. 2017, arXiv:1706.08500.
    """
    trace = torch.linalg.svdvals(_factor(cov1).T @ _factor(cov2)).sum()
    distance: Tensor = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * trace
    return distance.clamp(min=0)


def _factor(covariance: Tensor) -> Tensor:
    """F with F F' = C."""
    values, vectors = torch.linalg.eigh(covariance)
    factor: Tensor = vectors * values.clamp(min=0).sqrt()
    return factor


class FrechetInceptionDistance(FeatureMetric):
    """The Fréchet distance between the features of real and of generated images: ``fid2048``.

    Sums are kept in float64, and covariances are unbiased. With fewer images than dimensions the covariances are
    singular and the distance says little: :meth:`expect` warns. The distance depends on the number of images: compare
    at equal ones.

    Args:
        extractor: turns images into features; ``None``: :meth:`update` is given the features.
        layer: of the extractor.
        num_features: the size of features that are given.

    Raises:
        ValueError: there is no such layer; fewer than two images of a kind came.
    """

    measure = "fid"
    higher_is_better = False
    real_sum: Tensor
    real_outer: Tensor
    real_count: Tensor
    generated_sum: Tensor
    generated_outer: Tensor
    generated_count: Tensor

    def __init__(
        self, extractor: FeatureExtractor | None = None, layer: str = "2048", num_features: int | None = None
    ) -> None:
        super().__init__(extractor, layer, num_features)
        for kind in ("real", "generated"):
            self.add_sum(f"{kind}_sum", self.num_features)
            self.add_sum(f"{kind}_outer", self.num_features, self.num_features)
            self.add_sum(f"{kind}_count", dtype=torch.int64)

    def expect(self, num_real: int, num_generated: int) -> None:
        """Warn where there are too few images for the number of dimensions."""
        self.warn_of_few(min(num_real, num_generated), self.num_features + 1)

    def update(self, images: Tensor, real: bool = False, numbers: Tensor | None = None) -> None:
        """Add images; ``numbers`` has no effect here."""
        features = self.features_of(images).double()
        kind = "real" if real else "generated"
        for name, value in [("sum", features.sum(0)), ("outer", features.T @ features), ("count", len(features))]:
            setattr(self, f"{kind}_{name}", getattr(self, f"{kind}_{name}") + value)

    def moments(self, kind: str) -> tuple[Tensor, Tensor]:
        """Mean ``(d,)`` and unbiased covariance ``(d, d)`` of the ``"real"`` or the ``"generated"`` features."""
        total, outer, count = (getattr(self, f"{kind}_{name}") for name in ("sum", "outer", "count"))
        if count < 2:
            raise ValueError(f"FrechetInceptionDistance should have two {kind} images or more. Found {int(count)}.")
        mean = total / count
        return mean, (outer - count * mean.outer(mean)) / (count - 1)

    def compute(self) -> dict[str, Tensor]:
        """The distance, a scalar in float64."""
        return {self.key(self.measure): frechet_distance(*self.moments("real"), *self.moments("generated"))}
