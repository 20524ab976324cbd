"""Folders of images, one a class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lit_improved_gan.data.base import ImageDataModule
from lit_improved_gan.data.images import Images

__all__ = ["FolderDataModule"]


class FolderDataModule(ImageDataModule):
    """Image files in ``root/train/CLASS/`` and ``root/test/CLASS/``, scaled and cropped to one size.

    The shorter side is scaled to the size (bilinear, antialiased), and the centre is kept. All images are held in
    memory, C x H x W bytes each.

    Args:
        root: the folder.
        image_shape: (C, H, W), C = 1 (grey) or 3.
        kwargs: those of :class:`~lit_improved_gan.data.base.ImageDataModule`.

    Raises:
        ValueError: before training: a folder or a file is missing or damaged, or the classes differ.
    """

    def __init__(self, root: str, image_shape: Sequence[int] = (3, 64, 64), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root
        channels, height, width = image_shape if len(image_shape) == 3 else (0, 0, 0)
        if channels not in {1, 3} or min(height, width) < 1:
            raise ValueError(
                "Parameter `image_shape` of FolderDataModule should be (C, H, W) with C = 1 or 3. "
                f"Found {list(image_shape)}."
            )
        self.image_shape = (channels, height, width)
        self._classes = self._class_names("train")
        if self._class_names("test") != self._classes:
            raise ValueError(
                f"Parameter `root` of FolderDataModule: train and test should have the same folders of classes. "
                f"Found {self._classes} and {self._class_names('test')}."
            )
        self.num_classes = len(self._classes)

    def _class_names(self, part: str) -> list[str]:
        folder = Path(self.root) / part
        names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        if not names:
            raise ValueError(
                f"Parameter `root` of FolderDataModule: {str(folder.resolve())!r} should hold a folder for each class. "
                f"Found {'none in it' if folder.is_dir() else 'no such folder'}."
            )
        return names

    def load(self) -> tuple[Images, Images]:
        """Read every file of both parts."""
        return self._read("train"), self._read("test")

    def _read(self, part: str) -> Images:
        from torchvision.datasets import ImageFolder
        from torchvision.transforms import v2

        channels, height, width = self.image_shape
        try:
            files = ImageFolder(str(Path(self.root) / part)).samples
        except FileNotFoundError as error:  # a class without images
            folder = str((Path(self.root) / part).resolve())
            raise ValueError(
                f"Parameter `root` of FolderDataModule: each folder in {folder!r} should hold an image. {error}"
            ) from error
        images = torch.empty(len(files), channels, height, width, dtype=torch.uint8)
        change = v2.Compose([v2.Grayscale(channels), v2.PILToTensor()]) if channels == 1 else v2.PILToTensor()
        for i, (file, _) in enumerate(tqdm(files, desc=f"reading {part} images", leave=False)):
            images[i] = change(_open(file, height, width))
        return Images(images, torch.tensor([label for _, label in files]))


def _open(file: str, height: int, width: int) -> Any:
    from PIL import Image, ImageOps

    from lit_improved_gan.image_files import open_image

    try:
        with open_image(file) as image:
            return ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BILINEAR)
    except Exception as error:
        raise ValueError(f"FolderDataModule: {file!r} could not be read ({error}). Delete or replace it.") from error
