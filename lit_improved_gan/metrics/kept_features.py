"""Measures that need the features themselves."""

import warnings

import torch
from torch import Tensor

from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.metrics.feature_metric import FeatureMetric

__all__ = ["KeptFeatures"]


class KeptFeatures(FeatureMetric):
    """Keeps the features of the first ``max_samples`` real and generated images, each in the row of its number.

    So the memory is bounded, and the order and the process in which images come make no difference.

    Args:
        extractor: turns images into features; ``None``: :meth:`update` is given the features.
        layer: of the extractor.
        max_samples: images of each kind that are kept, >= 2; the others are passed over, and :meth:`expect` says so.
        num_features: the size of features that are given.
    """

    real_features: Tensor
    real_seen: Tensor
    generated_features: Tensor
    generated_seen: Tensor

    def __init__(
        self, extractor: FeatureExtractor | None, layer: str, max_samples: int, num_features: int | None
    ) -> None:
        super().__init__(extractor, layer, num_features)
        if max_samples < 2:
            raise ValueError(
                f"Parameter `max_samples` of {type(self).__name__} should be 2 or more. Found {max_samples}."
            )
        self.max_samples = max_samples
        dtype = torch.float32 if extractor else torch.float64
        for kind in ("real", "generated"):
            self.add_sum(f"{kind}_features", max_samples, self.num_features, dtype=dtype)
            self.add_sum(f"{kind}_seen", max_samples, dtype=torch.int32)

    def expect(self, num_real: int, num_generated: int) -> None:
        """Warn where images will be passed over."""
        for kind, count in [("real", num_real), ("generated", num_generated)]:
            if count > self.max_samples:
                warnings.warn(
                    f"{self.key(self.measure)}: of {count} {kind} images the first {self.max_samples} are used, as "
                    "`max_samples` says.",
                    stacklevel=2,
                )

    @property
    def real_key(self) -> str:
        """Depends on the number of rows, too."""
        return f"{super().real_key}-{self.max_samples}"

    def update(self, images: Tensor, real: bool = False, numbers: Tensor | None = None) -> None:
        """Add images.

        Args:
            images: what the extractor takes, or features ``(n, size)``.
            real: whether they are real.
            numbers: which of their kind they are, ``(n,)``, from 0 on, each once over all updates and processes; by
                default the next ones, where one process has all.
        """
        kind = "real" if real else "generated"
        seen, kept = getattr(self, f"{kind}_seen"), getattr(self, f"{kind}_features")
        if numbers is None:
            numbers = int(seen.sum()) + torch.arange(len(images), device=seen.device)
        numbers = numbers.to(seen.device)
        features = self.features_of(images)
        few = numbers < self.max_samples
        kept[numbers[few]] = features[few].to(kept.dtype)
        seen.index_add_(0, numbers[few], torch.ones_like(numbers[few], dtype=torch.int32))

    def kept(self, kind: str) -> Tensor:
        """The ``"real"`` or the ``"generated"`` features ``(n, size)`` in the order of their numbers.

        Raises:
            ValueError: a number came twice, or one between others did not come.
        """
        seen = getattr(self, f"{kind}_seen")
        count = int((seen > 0).sum())
        if int(seen.max()) > 1 or not bool((seen[:count] == 1).all()):
            raise ValueError(
                f"{type(self).__name__}: each {kind} image should have a number of its own, 0, 1, 2, ... over all "
                "processes. Found one twice, or one left out: give `numbers` to update()."
            )
        rows: Tensor = getattr(self, f"{kind}_features")[:count]
        return rows
