"""What the data sets of torchvision have in common: a folder, a download, one tensor of images."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lit_improved_gan.data.base import ImageDataModule
from lit_improved_gan.data.images import Images

__all__ = ["DownloadedDataModule"]


class DownloadedDataModule(ImageDataModule):
    """A data set of torchvision, downloaded where it is missing, and kept in memory as one uint8 tensor.

    Args:
        root: folder of data sets, in torchvision's layout.
        download: download what is missing; otherwise that is an error.
        kwargs: those of :class:`~lit_improved_gan.data.base.ImageDataModule`.

    Raises:
        ValueError: before training: the data set is missing, damaged or cannot be downloaded.
    """

    def __init__(self, root: str = "data", download: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root, self.download = root, download

    files: tuple[str, ...]
    """Patterns of the paths below ``root`` that torchvision makes."""

    @abstractmethod
    def open(self, train: bool, download: bool) -> Any:
        """The training or the test part, as a data set of torchvision."""

    def prepare_data(self) -> None:
        """Download what is missing, in one process of each machine."""
        if self.download:
            for train in (True, False):
                self._open(train, download=True)

    def load(self) -> tuple[Images, Images]:
        """Read both parts from their folder."""
        return _images(self._open(True, download=False)), _images(self._open(False, download=False))

    def _open(self, train: bool, download: bool) -> Any:
        try:
            return self.open(train, download)
        except Exception as error:  # whatever a missing, damaged or half downloaded file leads to
            part, name = "training" if train else "test", type(self).__name__
            root = Path(self.root).expanduser().resolve()
            paths = sorted(path for pattern in self.files for path in root.glob(pattern) if path.is_file())
            there = ", ".join(f"{path.relative_to(root)} ({path.stat().st_size:,} bytes)" for path in paths)
            delete = f"Of its files there are {there}: delete one that was cut off or damaged. " if there else ""
            if download:
                remedy = (
                    f"Put {' or '.join(self.files)} there by hand where there is no network, in torchvision's layout"
                )
            elif self.download:
                remedy = "Call `prepare_data` before `setup`, as the Trainer does, or set `root` to where it is"
            else:
                remedy = "Set `download` to true, or `root` to where it is"
            raise ValueError(
                f"Parameter `root` of {name}: the {part} set could not be read from {str(root)!r} "
                f"({type(error).__name__}: {str(error).strip() or 'no more is known'}). {delete}{remedy}."
            ) from error


def _images(found: Any) -> Images:
    """Images ``(N, C, H, W)`` of a data set that holds its arrays as torchvision does."""
    images = torch.as_tensor(np.asarray(found.data))
    labels = found.targets if hasattr(found, "targets") else found.labels
    if images.dim() == 3:  # (N, H, W)
        images = images.unsqueeze(1)
    elif images.shape[1] not in {1, 3}:  # (N, H, W, C)
        images = images.permute(0, 3, 1, 2)
    return Images(images.contiguous(), torch.as_tensor(np.asarray(labels)).long())
