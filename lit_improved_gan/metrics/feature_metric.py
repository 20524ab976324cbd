"""What all measures of features share."""

import hashlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_improved_gan.metrics.extractor import FeatureExtractor

__all__ = ["FeatureMetric"]


class FeatureMetric(Metric):
    """A measure of generated images, or of generated against real ones, in the features of a shared extractor.

    States named ``real_...`` are of the real images, which need to be seen once: :meth:`reset_generated` keeps them,
    and :meth:`real_state` gives them to keep on disk. States keep their type whatever a module around them is cast to.
    A measure has :attr:`needs_real`, :meth:`update` and :meth:`compute`, which returns what is to be logged by name.

    Args:
        extractor: turns images into features; ``None``: :meth:`update` is given the features themselves, ``(n, size)``.
        layer: of the extractor.
        num_features: the size of the features that are given; not to be given with an extractor.
    """

    full_state_update = False
    is_differentiable = False
    needs_real = True
    options: tuple[str, ...] = ("layer",)
    """Attributes on which the value depends."""
    measure: str
    """The name of what is measured, without that of the layer."""

    def __init__(self, extractor: FeatureExtractor | None, layer: str, num_features: int | None) -> None:
        super().__init__()
        name = type(self).__name__
        if (extractor is None) == (num_features is None):
            raise ValueError(
                f"{name} takes either an `extractor`, for images, or `num_features`, for features that are given. "
                f"Found extractor={type(extractor).__name__}, num_features={num_features}."
            )
        if num_features is not None and num_features < 1:
            raise ValueError(f"Parameter `num_features` of {name} should be 1 or more. Found {num_features}.")
        self._shared = (extractor,)  # in a tuple, so that it is no submodule
        self.layer = layer
        self.num_features = extractor.want(layer) if extractor else int(num_features or 0)
        # a MetricCollection updates only one of those whose states are equal after the first update
        origin = hashlib.sha256(f"{extractor.fingerprint if extractor else ''}-{layer}".encode()).digest()[:8]
        self.add_state("origin", torch.tensor(list(origin)), dist_reduce_fx="max")

    @property
    def extractor(self) -> FeatureExtractor | None:
        """The shared extractor."""
        return self._shared[0]

    def key(self, measure: str) -> str:
        """The name under which a value is logged."""
        return self.extractor.key(measure, self.layer) if self.extractor else measure

    @property
    def settings(self) -> dict[str, Any]:
        """Its class and options by name: with the images and the extractor, all that the value depends on."""
        return {"class": type(self).__name__} | {name: getattr(self, name) for name in self.options}

    def expect(self, num_real: int, num_generated: int) -> None:
        """Say how many images there will be, before the first update: what cannot be measured is refused here."""

    def warn_of_few(self, found: int, least: int) -> None:
        """Warn that there are too few images for the number of dimensions."""
        if found < least:
            warnings.warn(
                f"{self.key(self.measure)}: {found} images are too few for {self.num_features} dimensions: what it "
                f"says depends on their number. Take {least} or more, better ten times as many, or a smaller layer.",
                stacklevel=3,
            )

    def features_of(self, images: Tensor) -> Tensor:
        """Features ``(n, size)`` of images, or the features that were given."""
        if self.extractor is not None:
            features: Tensor = self.extractor(images)[self.layer]
            return features
        if images.dim() != 2 or images.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__} should be given features (n, {self.num_features}). Found {tuple(images.shape)}."
            )
        return images

    def add_sum(self, name: str, *shape: int, dtype: torch.dtype = torch.float64) -> None:
        """Add a state of zeros that is summed over the processes."""
        zero = torch.zeros([1] * len(shape), dtype=dtype).expand(shape)  # the default takes no memory
        self.add_state(name, zero, dist_reduce_fx="sum")
        setattr(self, name, zero.clone(memory_format=torch.contiguous_format))

    def real_state(self) -> dict[str, Tensor]:
        """What was gathered of the real images."""
        return {name: getattr(self, name) for name in self._defaults if name.startswith("real_")}

    def load_real_state(self, state: dict[str, Tensor]) -> None:
        """Take what :meth:`real_state` gave; with several processes, on one of them."""
        for name, value in state.items():
            setattr(self, name, value.to(self.device, copy=True))

    def reset_generated(self) -> None:
        """Forget the generated images."""
        real = self.real_state()
        self.reset()
        for name, value in real.items():
            setattr(self, name, value)

    @property
    def real_key(self) -> str:
        """Names what :meth:`real_state` depends on, beside the images and the extractor."""
        return f"{type(self).__name__}-{self.layer}"

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = ()) -> "FeatureMetric":
        def move(tensor: Tensor) -> Tensor:
            return tensor.to(fn(tensor.new_empty(0)).device)

        super()._apply(move, exclude_state)
        return self
