"""Training batches: from whatever a loader yields to named streams, and from those to one update's share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lit_improved_gan.types import LabelledBatch

__all__ = ["check_images", "check_labels", "deal", "named_streams", "shares"]


def named_streams(batch: Any) -> Mapping[str, Any]:
    """Name the parts of a training batch.

    A mapping is taken as it is. Images, or the (images, labels) of any loader, serve D and, where it wants real images,
    G: such a loader has no second stream.
    """
    if isinstance(batch, Mapping):
        pair = batch.get("labelled")  # collating turns a LabelledBatch into a list
        return {**batch, "labelled": LabelledBatch(*pair)} if isinstance(pair, (tuple, list)) else batch
    images = batch[0] if isinstance(batch, (tuple, list)) else batch
    return {"unlabelled": images, "matching": images}


def shares(part: Any, name: str, count: int) -> list[Any]:
    """Split a stream's batch into equal shares, one for each update.

    Raises:
        ValueError: the batch cannot be divided.
    """
    if count == 1:
        return [part]
    if isinstance(part, LabelledBatch):
        pairs = zip(shares(part.images, name, count), shares(part.labels, name, count), strict=True)
        return [LabelledBatch(images, labels) for images, labels in pairs]
    if len(part) % count:
        raise ValueError(
            f"A training batch of `{name}` is shared by {count} updates, so its size should be a multiple of {count}. "
            f"Found {len(part)} images."
        )
    return list(part.chunk(count))


def deal(parts: Mapping[str, Any], d_updates: int, g_updates: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What each update of D, and each of G, gets of a training batch: ``matching`` is for G, all else for D."""
    for_d: list[dict[str, Any]] = [{} for _ in range(d_updates)]
    for_g: list[dict[str, Any]] = [{} for _ in range(g_updates)]
    for name, part in parts.items():
        updates = for_g if name == "matching" else for_d
        for update, share in zip(updates, shares(part, name, len(updates)), strict=True):
            update[name] = share
    return for_d, for_g


@torch.no_grad()
def check_images(images: Tensor, shape: tuple[int, ...], dtype: torch.dtype | str, source: str) -> None:
    """Check that images are ``(N, C, H, W)`` in [-1, 1], of the shape and type that the generator makes.

    Raises:
        ValueError: they are not; the message says what was found and what to do.
    """
    wanted = f"float images in [-1, 1] of shape (N, {', '.join(map(str, shape))})"
    if not isinstance(images, Tensor):
        raise ValueError(f"{source} should be {wanted}. Found {type(images).__name__}: make it a tensor.")
    if not images.is_floating_point():
        raise ValueError(f"{source} should be {wanted}. Found {images.dtype}: scale 0..255 by x / 127.5 - 1.")
    if images.dtype != dtype:
        raise ValueError(f"{source} should be {wanted}, {dtype} as the networks are. Found {images.dtype}.")
    if tuple(images.shape[1:]) != tuple(shape):
        raise ValueError(
            f"{source} should be {wanted}, as the generator makes them. Found {tuple(images.shape)}: set `image_shape` "
            "of both networks, or resize the images."
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= -1 - 1e-4 and high <= 1 + 1e-4):  # written so that NaN fails, too
        raise ValueError(f"{source} should be {wanted}. Found values in [{low:g}, {high:g}]: rescale them.")


def check_labels(labels: Tensor, classes: int) -> None:
    """Check that labels are classes that D has a logit for.

    Raises:
        ValueError: they are not.
    """
    low, high = int(labels.min()), int(labels.max())
    if not 0 <= low <= high < classes:
        raise ValueError(
            f"Labels should be in 0..{classes - 1}, as D has {classes} logits. Found {low}..{high}: set num_outputs."
        )
