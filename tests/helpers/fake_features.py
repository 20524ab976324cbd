"""A tiny feature extractor that counts its passes."""

import torch
from torch import Tensor, nn

from lit_improved_gan.metrics import FeatureExtractor

SHAPE = (3, 4, 4)


class FakeFeatures(FeatureExtractor):
    """Random projections of images of ``SHAPE``; ``passes`` has the number of images of each pass."""

    def __init__(self, fingerprint: str = "fake") -> None:
        super().__init__()
        self.sizes = {"a": 4, "b": 4, "wide": 6, "logits": 3, "other_logits": 3}
        self.fingerprint = fingerprint
        self.passes: list[int] = []
        width = sum(self.sizes.values())
        self.projection = nn.Linear(48, width, bias=False)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.projection.weight.copy_(torch.randn(width, 48, generator=generator))
        self.register_buffer("scale", torch.tensor(0.01))

    def key(self, measure: str, layer: str) -> str:
        return f"{measure}_{layer}"

    def extract(self, images: Tensor) -> dict[str, Tensor]:
        assert images.dtype == torch.uint8
        assert images.shape[1:] == SHAPE
        assert len(images)
        self.passes.append(len(images))
        features = self.projection(images.flatten(1).float() * self.scale)
        parts = features.split(list(self.sizes.values()), 1)
        return {layer: part for layer, part in zip(self.sizes, parts, strict=True) if layer in self.wanted}


def images_of(seed: int, n: int = 12) -> Tensor:
    """Images in uint8."""
    return torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
