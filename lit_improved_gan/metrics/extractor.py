"""What turns images into the features that measures are taken of."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lit_improved_gan.metrics.images import to_uint8

__all__ = ["FeatureExtractor"]


class FeatureExtractor(nn.Module, ABC):
    """A frozen network, shared by all measures: images that several of them are given in turn pass it once.

    A measure keeps it out of its own state, parameters and copies. A subclass has :attr:`sizes`, :attr:`fingerprint`,
    :meth:`key` and :meth:`extract`.
    """

    sizes: Mapping[str, int]
    """The width of each layer that it offers, by the layer's name."""
    fingerprint: str
    """Names what the features depend on: weights and preprocessing. Statistics that are kept on disk carry it."""
    is_inception = False
    """Whether measures of its features may be called by the names that the Inception network gave them."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[str] = []
        self._last: tuple[Tensor, int, dict[str, Tensor]] | None = None

    @abstractmethod
    def key(self, measure: str, layer: str) -> str:
        """The name under which a measure of a layer is logged: numbers that do not compare have different names."""

    @abstractmethod
    def extract(self, images: Tensor) -> dict[str, Tensor]:
        """Features of the layers in :attr:`wanted`, ``(N, size)``, of images ``(N, 3, H, W)``, uint8; N > 0."""

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of a size that the network does not take; by default it takes all."""

    def want(self, layer: str) -> int:
        """Announce that a layer will be asked for.

        Returns:
            its size.

        Raises:
            ValueError: there is no such layer.
        """
        if layer not in self.sizes:
            raise ValueError(
                f"Parameter `layer` should name a layer of {type(self).__name__}: {', '.join(map(repr, self.sizes))}. "
                f"Found {layer!r}."
            )
        if layer not in self.wanted:
            self.wanted = [name for name in self.sizes if name in (*self.wanted, layer)]
            self._last = None
        return self.sizes[layer]

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features by layer, ``(N, size)``, of images ``(N, 1 or 3, H, W)``: float in [-1, 1] or uint8; N may be 0."""
        version = -1 if images.is_inference() else images._version
        if self._last is not None and self._last[0] is images and 0 <= version == self._last[1]:
            return self._last[2]
        pixels = to_uint8(images)
        if len(pixels):
            with torch.autocast(pixels.device.type, enabled=False):
                features = self.extract(pixels)
        else:
            features = {layer: torch.zeros(0, self.sizes[layer], device=pixels.device) for layer in self.wanted}
        self._last = images, version, features
        return features

    def forget(self) -> None:
        """Let go of the last images."""
        self._last = None

    def train(self, mode: bool = True) -> "FeatureExtractor":
        """Stay in eval mode."""
        return super().train(False)

    def __deepcopy__(self, memo: Any) -> "FeatureExtractor":
        return self  # frozen, and large

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}
