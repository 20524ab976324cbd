"""Features of any network, where those of the Inception network say nothing."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.taps import tapping

__all__ = ["NetworkFeatures"]


class NetworkFeatures(FeatureExtractor):
    """What submodules of a network put out, flattened to ``(N, size)``; layer ``""`` is the network's own output.

    Args:
        network: takes images ``(N, C, H, W)`` in [-1, 1]; it is frozen and put into eval mode. In a config file also
            the name of a function that loads one, ``lit_improved_gan.metrics.load_classifier``.
        name: stands in the names of the measures.
        image_shape: (C, H, W) of an image; by default ``network.image_shape``.
        layers: names of submodules, as ``network.named_modules()`` gives them.

    Raises:
        ValueError: ``image_shape`` is not known; there is no submodule of that name, or it returns no tensor; images
            are of another size, or in colour where the network takes one channel.
    """

    def __init__(
        self, network: nn.Module, name: str, image_shape: Sequence[int] | None = None, layers: Sequence[str] = ("",)
    ) -> None:
        super().__init__()
        shape = getattr(network, "image_shape", None) if image_shape is None else image_shape
        if shape is None:
            raise ValueError(
                f"Parameter `image_shape` of NetworkFeatures should be given: {type(network).__name__} has no such "
                "attribute."
            )
        known = dict(network.named_modules())
        unknown = [layer for layer in layers if layer not in known]
        if unknown or not layers:
            raise ValueError(
                f"Parameter `layers` of NetworkFeatures should name submodules of {type(network).__name__}, among "
                f"{list(known)}. Found {unknown or list(layers)}."
            )
        self.network, self.name, self.image_shape = network.eval().requires_grad_(False), name, tuple(shape)
        digest = hashlib.sha256(str(network).encode())
        for key, value in network.state_dict().items():
            digest.update(key.encode() + value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        self.fingerprint = f"{name}-{digest.hexdigest()[:16]}"
        self.sizes = dict.fromkeys(layers, 0)
        self.wanted = list(layers)
        weight = next(network.parameters(), torch.zeros(()))
        shown = self.extract(torch.zeros(2, *self.image_shape, dtype=torch.uint8, device=weight.device))
        self.sizes = {layer: features.shape[1] for layer, features in shown.items()}
        self.wanted = []

    def key(self, measure: str, layer: str) -> str:
        """``fid_digits_classifier``, with the layer's name where there is one."""
        return "_".join(part for part in (measure, self.name, layer.replace(".", "_")) if part)

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of another size than the network's."""
        if (height, width) != self.image_shape[1:]:
            raise self._misfit(f"images of {height} x {width}")

    def _misfit(self, found: str) -> ValueError:
        return ValueError(
            f"NetworkFeatures should be given images {self.image_shape}, as {type(self.network).__name__} takes them. "
            f"Found {found}."
        )

    @torch.no_grad()
    def extract(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network on images that are scaled back to [-1, 1]."""
        found: dict[str, Any] = {}
        channels, *size = self.image_shape
        colours = channels if bool((images[:, :1] == images).all()) else images.shape[1]
        if [colours, *images.shape[2:]] != [channels, *size]:
            raise self._misfit(f"{(colours, *images.shape[2:])}")
        weight = next(self.network.parameters(), torch.zeros(()))
        pixels = images[:, :channels].to(weight.dtype).div_(127.5).sub_(1)
        with tapping(self.network, self.wanted, lambda layer, output: found.update({layer: _features(output)})):
            self.network(pixels)
        for layer in self.wanted:
            if not isinstance(found.get(layer), Tensor):
                raise ValueError(
                    f"Parameter `layers` of NetworkFeatures: {layer!r} should return a tensor. "
                    f"Found {type(found.get(layer)).__name__}."
                )
        return {layer: found[layer] for layer in self.wanted}


def _features(output: Any) -> Any:
    """A layer's output as ``(N, size)``; a copy, since the next layer may overwrite it."""
    output = getattr(output, "logits", output)  # of a discriminator that returns its features as well
    return output.reshape(len(output), -1).clone() if isinstance(output, Tensor) else output
