"""Images as the feature extractors take them."""

import torch
from torch import Tensor

__all__ = ["to_levels", "to_uint8"]


def to_levels(images: Tensor) -> Tensor:
    """Images of any shape in [-1, 1] as uint8 in 0..255, rounded to the nearest level, values outside cut off."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_uint8(images: Tensor) -> Tensor:
    """Images as uint8 in 0..255 with three channels.

    Args:
        images: ``(N, C, H, W)``, C = 1 or 3: float in [-1, 1], rounded to the nearest level, or uint8, taken as it is.
            One channel is repeated three times.

    Returns:
        ``(N, 3, H, W)``, uint8.

    Raises:
        ValueError: the shape, the type or the range is another; a value is not finite.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"Images should be (N, 1 or 3, H, W). Found {tuple(images.shape)}.")
    if images.dtype != torch.uint8:
        if not images.is_floating_point():
            raise ValueError(f"Images should be float in [-1, 1], or uint8 in 0..255. Found {images.dtype}.")
        if images.numel():
            low, high = (float(value) for value in images.aminmax())
            if not (low >= -1.001 and high <= 1.001):  # rounding may leave the range; not a number fails as well
                raise ValueError(
                    f"Images of type float should be in [-1, 1]. Found {low:.4g} to {high:.4g}: "
                    "scale them, or give uint8 in 0..255."
                )
        images = to_levels(images)
    return images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
