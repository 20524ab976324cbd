"""Precision, recall, density and coverage."""

import torch
from torch import Tensor

from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.metrics.kept_features import KeptFeatures

__all__ = ["PrecisionRecall", "precision_recall_density_coverage"]


def precision_recall_density_coverage(
    real: Tensor, generated: Tensor, neighbours: int = 5, chunk: int = 1000
) -> dict[str, Tensor]:
    """How much of each sample lies within the other's balls.

    The ball of an example reaches to its ``neighbours``-th nearest example of the same sample, itself excluded, the
    boundary included. Precision: share of generated examples in some real ball. Recall: share of real examples in some
    generated ball. Density: real balls around a generated example, on average, divided by ``neighbours``; it may exceed
    1. Coverage: share of real balls that hold some generated example.

    Args:
        real, generated: ``(n, d)`` and ``(m, d)``, each of more than ``neighbours`` rows.
        neighbours: k, >= 1.
        chunk: rows for which distances are held at a time: memory is O(chunk x n).

    Returns:
        scalars in float64.

    Source: Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797.
    """
    centre = real.mean(0)  # distances are of differences of products, which should be small
    real, generated = real - centre, generated - centre
    real_radius, generated_radius = _radii(real, neighbours, chunk), _radii(generated, neighbours, chunk)
    precise, dense = [], []
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(recalled)
    for rows, radius in zip(generated.split(chunk), generated_radius.split(chunk), strict=True):
        distance = torch.cdist(rows, real)
        in_real = distance <= real_radius
        precise.append(in_real.any(1))
        dense.append(in_real.sum(1))
        recalled |= (distance <= radius.unsqueeze(1)).any(0)
        covered |= in_real.any(0)
    return {
        "precision": torch.cat(precise).double().mean(),
        "recall": recalled.double().mean(),
        "density": torch.cat(dense).double().mean() / neighbours,
        "coverage": covered.double().mean(),
    }


def _radii(x: Tensor, neighbours: int, chunk: int) -> Tensor:
    """Distance of each row to its ``neighbours``-th nearest, itself excluded."""
    return torch.cat([torch.cdist(rows, x).kthvalue(neighbours + 1, 1).values for rows in x.split(chunk)])


class PrecisionRecall(KeptFeatures):
    """Precision, recall, density and coverage of generated images: ``precision2048`` and so on.

    Args:
        extractor: turns images into features; ``None``: :meth:`update` is given the features.
        layer: of the extractor.
        neighbours: k, >= 1. 3 in the paper of precision and recall, 5 in that of density and coverage.
        max_samples: images of each kind that are kept.
        num_features: the size of features that are given.

    Raises:
        ValueError: an argument is out of its range; there are no more than ``neighbours`` images.
    """

    measure = "precision"
    options = ("layer", "neighbours", "max_samples")
    higher_is_better = True

    def __init__(
        self,
        extractor: FeatureExtractor | None = None,
        layer: str = "2048",
        neighbours: int = 5,
        max_samples: int = 10_000,
        num_features: int | None = None,
    ) -> None:
        super().__init__(extractor, layer, max_samples, num_features)
        if not 1 <= neighbours < max_samples:
            raise ValueError(
                "Parameter `neighbours` of PrecisionRecall should be 1 or more and below `max_samples`. "
                f"Found neighbours={neighbours}, max_samples={max_samples}."
            )
        self.neighbours = neighbours

    def expect(self, num_real: int, num_generated: int) -> None:
        """Refuse too few images."""
        super().expect(num_real, num_generated)
        if min(num_real, num_generated) <= self.neighbours:
            raise ValueError(
                f"Parameter `neighbours` of PrecisionRecall should be below the number of images, "
                f"{min(num_real, num_generated)}. Found {self.neighbours}."
            )

    def compute(self) -> dict[str, Tensor]:
        """The four shares, scalars in float64."""
        real, generated = self.kept("real"), self.kept("generated")
        self.expect(len(real), len(generated))
        found = precision_recall_density_coverage(real, generated, self.neighbours)
        return {self.key(name): value for name, value in found.items()}
