"""Training batches: from whatever a loader yields to named streams, and from those to one update's share."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from lit_improved_gan.modules.preparation import datamodule_of
from lit_improved_gan.types import DiscriminatorOutput, LabelledBatch

__all__ = ["check_batch", "check_images", "check_labels", "deal", "named_streams", "shares"]


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


def check_batch(module: Any, parts: Mapping[str, Any], streams: Iterable[str], classifier: nn.Module) -> None:
    """Check that a training batch has what the module needs.

    Args:
        module: makes samples by ``sample(1)``, as which images should be.
        parts: the batch, by stream.
        streams: those that the module needs.
        classifier: has a logit for each label.

    Raises:
        ValueError: it has not.
    """
    missing = set(streams) - set(parts)
    if missing:
        raise ValueError(
            f"{type(module).__name__} trains on batches that are a dict with {sorted(streams)}. "
            f"Found no {sorted(missing)}: use an ImageDataModule, or yield such a dict."
        )
    shape = tuple(module.sample(1).shape[1:])
    unbounded = getattr(datamodule_of(module), "unbounded", False)
    for name in streams:
        part, source = parts[name], f"Training images (`{name}`)"
        images = part.images if isinstance(part, LabelledBatch) else part
        check_images(images, shape, module.dtype, source, unbounded)
        if isinstance(part, LabelledBatch):
            with torch.no_grad():
                logits = DiscriminatorOutput.of(classifier(part.images)).logits
            check_labels(part.labels, logits.shape[1])


@torch.no_grad()
def check_images(
    images: Tensor, shape: tuple[int, ...], dtype: torch.dtype | str, source: str, unbounded: bool = False
) -> None:
    """Check that images are ``(N, C, H, W)`` in [-1, 1], of the shape and type that the generator makes.

    Where they are ``unbounded``, any finite values will do.

    Raises:
        ValueError: they are not; the message says what was found and what to do.
    """
    values = "finite float values" if unbounded else "float images in [-1, 1]"
    wanted = f"{values} of shape (N, {', '.join(map(str, shape))})"
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
    least, most = (-float("inf"), float("inf")) if unbounded else (-1 - 1e-4, 1 + 1e-4)
    if not (least <= low <= high <= most and isfinite(low + high)):  # written so that NaN fails, too
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
