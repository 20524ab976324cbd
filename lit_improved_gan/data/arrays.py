"""Images in a .npz file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lit_improved_gan.data.base import ImageDataModule
from lit_improved_gan.data.images import Images

__all__ = ["ArrayDataModule"]

_KEYS = ("train_x", "train_y", "test_x", "test_y")


class ArrayDataModule(ImageDataModule):
    """Images and classes from one .npz file.

    Args:
        path: the file. It holds ``train_x`` and ``test_x``, uint8 in 0..255, ``(N, C, H, W)`` or ``(N, H, W)``, and
            ``train_y`` and ``test_y``, classes ``(N,)``; in training -1 means that the class is not known.
        num_classes: K; ``None``: one more than the largest class of the training set, which has all below it, too.
        kwargs: those of :class:`~lit_improved_gan.data.base.ImageDataModule`.

    Raises:
        ValueError: before training: the file is missing, damaged, or does not hold these arrays.
    """

    def __init__(self, path: str, num_classes: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        arrays = self._read()
        shape = arrays["train_x"].shape
        self.image_shape = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
        self.num_classes = int(arrays["train_y"].max()) + 1 if num_classes is None else num_classes
        if self.num_classes < 1:
            found = "no class in the training set" if num_classes is None else f"num_classes={num_classes}"
            raise ValueError(f"Parameter `num_classes` of ArrayDataModule should be 1 or more. Found {found}.")
        absent = sorted(set(range(self.num_classes)) - set(arrays["train_y"].tolist())) if num_classes is None else []
        if absent:
            raise ValueError(
                f"Parameter `num_classes` of ArrayDataModule: the largest class of `train_y` is "
                f"{self.num_classes - 1}, and of {absent[:10]} there is no image. Correct `train_y`, or give "
                "`num_classes`."
            )
        self._arrays: dict[str, Any] | None = arrays

    def load(self) -> tuple[Images, Images]:
        """Both parts."""
        arrays, self._arrays = self._arrays or self._read(), None
        return _images(arrays["train_x"], arrays["train_y"]), _images(arrays["test_x"], arrays["test_y"])

    def _read(self) -> dict[str, Any]:
        where = f"Parameter `path` of ArrayDataModule: {str(Path(self.path).resolve())!r}"
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in _KEYS if key in file}
        except Exception as error:  # a missing file, one cut off, one of another kind
            raise ValueError(
                f"{where} could not be read ({type(error).__name__}: {error}). It should be a file of numpy.savez."
            ) from error
        missing = [key for key in _KEYS if key not in arrays]
        if missing:
            raise ValueError(f"{where} should hold the arrays {list(_KEYS)}. Found no {missing}.")
        for part in ("train", "test"):
            images, labels = arrays[f"{part}_x"], arrays[f"{part}_y"]
            if images.dtype != np.uint8:
                raise ValueError(
                    f"{where}: `{part}_x` should be uint8 in 0..255. Found {images.dtype}: scale and convert it."
                )
            if images.ndim not in {3, 4} or not len(images):
                raise ValueError(
                    f"{where}: `{part}_x` should be (N, C, H, W) or (N, H, W), N >= 1. Found {images.shape}."
                )
            if images.ndim == 4 and images.shape[3] in {1, 3} and images.shape[1] > images.shape[3]:
                raise ValueError(
                    f"{where}: `{part}_x` should be (N, C, H, W). Found {images.shape}, with the channels last: save "
                    f"{part}_x.transpose(0, 3, 1, 2)."
                )
            if labels.ndim != 1 or labels.dtype.kind not in "iu":
                raise ValueError(
                    f"{where}: `{part}_y` should be classes (N,), integers. Found {labels.dtype}, {labels.shape}."
                )
            if len(images) != len(labels):
                raise ValueError(
                    f"{where} should hold a class for each image. Found {[len(images), len(labels)]} of the {part} set."
                )
        if arrays["train_x"].shape[1:] != arrays["test_x"].shape[1:]:
            raise ValueError(
                f"{where}: `train_x` and `test_x` should have images of one shape. Found {arrays['train_x'].shape[1:]} "
                f"and {arrays['test_x'].shape[1:]}: resize those of one part."
            )
        return arrays


def _images(images: Any, labels: Any) -> Images:
    pixels = torch.from_numpy(images)
    return Images(pixels.unsqueeze(1) if pixels.dim() == 3 else pixels, torch.from_numpy(labels).long())
