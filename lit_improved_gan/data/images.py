"""Images with their classes: what is checked of them, and how they become a batch."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_improved_gan.data.training_batches import Rows
from lit_improved_gan.types import LabelledBatch

__all__ = ["Images", "check_images", "gather", "to_float"]


class Images(NamedTuple):
    """Images ``(N, C, H, W)``, uint8 in 0..255, and their classes ``(N,)``, int64; in training -1 means unknown.

    Of an ``unbounded`` data set they are float32 of any shape ``(N, ...)``.
    """

    images: Tensor
    labels: Tensor


def check_images(
    name: str, part: str, data: Any, image_shape: tuple[int, ...], num_classes: int, unbounded: bool
) -> None:
    """Check what a data set's ``load`` returns.

    Args:
        name: of the DataModule.
        part: ``"training"`` or ``"test"``.
        data: what should be :class:`Images`.
        image_shape: (C, H, W).
        num_classes: K; labels are 0..K-1, in training also -1.
        unbounded: whether they should be float32 of any range instead of uint8.

    Raises:
        ValueError: it is of another type, shape or range.
    """
    if not isinstance(data, Images) or not all(isinstance(value, Tensor) for value in data):
        raise ValueError(
            f"{name}.load should return Images(images, labels), two tensors, for the training and the test set. "
            f"Found {type(data).__name__} of {[type(value).__name__ for value in data]} for the {part} set."
        )
    wanted, words = (torch.float32, "float32") if unbounded else (torch.uint8, "uint8 in 0..255")
    if data.images.dtype != wanted:
        raise ValueError(f"{name}: the {part} images should be {words}. Found {data.images.dtype}: convert them.")
    if tuple(data.images.shape[1:]) != image_shape:
        raise ValueError(
            f"{name}: the {part} images should be {image_shape}. Found {tuple(data.images.shape[1:])}: "
            "set `image_shape` to that, or resize them."
        )
    if data.labels.shape != data.images.shape[:1] or data.labels.dtype != torch.int64:
        raise ValueError(
            f"{name}: each {part} image should have a label, int64. Found {len(data.images)} images, and labels "
            f"{tuple(data.labels.shape)}, {data.labels.dtype}: give each its class, as int64."
        )
    least = -1 if part == "training" else 0
    if not len(data.labels):
        return
    low, high = map(int, data.labels.aminmax())
    if not least <= low <= high < num_classes:
        only_unknown = part == "test" and low == -1 and high < num_classes
        remedy = "leave out test images of no known class" if only_unknown else "number the classes from 0"
        raise ValueError(
            f"{name}: the {part} labels should be in {least}..{num_classes - 1}, as there are {num_classes} classes. "
            f"Found {low}..{high}: {remedy}, or set `num_classes`."
        )


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 in 0..255 to [-1, 1]; what is float already keeps its values, and numbers of samples stay integers.

    Args:
        images: of any shape, which stays.
        dtype: of the result, where the images are uint8 or float.
    """
    if images.dtype == torch.uint8:
        return images.to(dtype).div_(127.5).sub_(1)
    return images.to(dtype) if images.is_floating_point() else images


def gather(data: Images, part: Rows) -> Tensor | LabelledBatch:
    """The images of these rows, ``(n, C, H, W)``, with their classes ``(n,)`` where those may be used."""
    images = data.images[part.rows]
    return LabelledBatch(images, data.labels[part.rows]) if part.labelled else images
