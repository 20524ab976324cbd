"""Images to measure: of a folder, an archive, or a data set."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.image_files import open_image
from lit_improved_gan.metrics import content_of

__all__ = ["ImageSource", "image_source"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


class ImageSource(ABC):
    """Images in order, ``(n, 1 or 3, H, W)``, uint8.

    Attributes:
        name: what a person calls them.
    """

    name: str

    @property
    @abstractmethod
    def content(self) -> str:
        """Names them by their content."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def batches(self, size: int) -> Iterator[Tensor]:
        """All of them, ``size`` at a time."""


class _Tensor(ImageSource):
    def __init__(self, images: Tensor, name: str) -> None:
        self.images, self.name = images, name

    @property
    def content(self) -> str:
        return content_of(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int) -> Iterator[Tensor]:
        yield from self.images.split(size)


class _Folder(ImageSource):
    """Image files, in the order of their names; those in folders below count, too."""

    def __init__(self, folder: Path, n: int | None, skip_broken: bool) -> None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
        if not files:
            raise UserError(f"There are no images in {folder}: no file ends with {', '.join(sorted(_SUFFIXES))}.")
        self.name = str(folder)
        self.files: list[Path] = []
        self.skipped: list[Path] = []
        shape: tuple[int, ...] = ()
        for path in files:
            if len(self.files) == n:
                break
            try:
                found = tuple(_pixels(path).shape)
            except Exception as error:  # whatever a damaged file makes the reader raise
                if not skip_broken:
                    raise UserError(
                        f"{path} is no image that can be read ({error}). Remove it, or pass over such files with "
                        "--skip_broken=true."
                    ) from error
                self.skipped.append(path)
                continue
            shape = shape or found
            if found != shape:
                raise UserError(
                    f"Images of a folder should be of one size and number of channels. Found {shape} in "
                    f"{self.files[0]}, and {found} in {path}."
                )
            self.files.append(path)

    @property
    def content(self) -> str:
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(path.read_bytes())
        return f"{len(self.files)}-{digest.hexdigest()[:16]}"

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, size: int) -> Iterator[Tensor]:
        for start in range(0, len(self.files), size):
            yield torch.stack([_pixels(path) for path in self.files[start : start + size]])


def _pixels(path: Path) -> Tensor:
    """One image, ``(1 or 3, H, W)``, uint8."""
    with open_image(path) as image:
        pixels: Tensor = pil_to_tensor(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return pixels


def image_source(spec: str, n: int | None = None, root: str = "data", skip_broken: bool = False) -> ImageSource:
    """Find images.

    Args:
        spec: a folder of image files; ``FILE.npz``, with one array of images or ``images``, or ``FILE.npz:ARRAY``; or
            ``CLASS:SPLIT``, a datamodule by its class path and ``train`` or ``test``.
        n: only the first, >= 2; ``None``: all.
        root: of a datamodule that takes one.
        skip_broken: whether files that cannot be read are passed over.

    Raises:
        UserError: there are none, or fewer than ``n``.
    """
    if n is not None and n < 2:
        raise UserError(f"--num_samples should be 2 or more. Found {n}.")
    head, _, tail = spec.rpartition(":")
    if Path(spec).is_dir():
        source: ImageSource = _Folder(Path(spec), n, skip_broken)
    elif spec.endswith(".npz") or head.endswith(".npz"):
        path, array = (spec, "") if spec.endswith(".npz") else (head, tail)
        source = _Tensor(_from_archive(Path(path), array)[:n], spec)
    elif head and "." in head:
        source = _Tensor(_from_datamodule(head, tail, root)[:n], spec)
    else:
        raise UserError(
            f"{spec!r} should be a folder, FILE.npz, FILE.npz:ARRAY, or CLASS:SPLIT as in "
            "lit_improved_gan.CIFAR10DataModule:train. Found nothing of the kind."
        )
    if not len(source):
        raise UserError(f"There are no images in {spec}.")
    if n is not None and len(source) < n:
        raise UserError(f"{spec} should have {n} images, as --num_samples says. Found {len(source)}.")
    return source


def _from_archive(path: Path, array: str) -> Tensor:
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise UserError(f"{path} is no .npz archive: it holds a single array. Save it by numpy.savez.")
        with found as archive:
            names = [array] if array else [name for name in archive.files if name == "images"] or archive.files
            if len(names) != 1 or names[0] not in archive.files:
                raise UserError(
                    f"{path} should have the array {array or 'images'!r}. Found {archive.files}: name one as "
                    f"{path}:ARRAY."
                )
            images = archive[names[0]]
    except UserError:
        raise
    except Exception as error:  # whatever a damaged archive makes the reader raise
        raise UserError(f"{path} is no .npz archive that can be read: {error}.") from error
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UserError(f"{path}: images should be (N, C, H, W), uint8. Found {images.shape}, {images.dtype}.")
    if images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)  # channels last
    return torch.from_numpy(np.ascontiguousarray(images))


def _from_datamodule(class_path: str, split: str, root: str) -> Tensor:
    home, _, name = class_path.rpartition(".")
    try:
        make = getattr(import_module(home), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"There is no datamodule {class_path}.") from error
    if not callable(getattr(make, "real_images", None)):
        raise UserError(f"{class_path} is no datamodule with a method real_images(split).")
    try:
        data = make(root=root)
    except TypeError:  # the data needs no folder
        try:
            data = make()
        except TypeError as error:
            raise UserError(
                f"{class_path} takes more than --root ({error}). Name the folder or the archive of its images itself."
            ) from error
    data.prepare_data()
    data.setup()
    images: Tensor = data.real_images(split)
    return images
