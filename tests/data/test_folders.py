"""Folders of images, one a class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lit_improved_gan import FolderDataModule


def picture(path: Path, pixels: Any, mode: str | None = None) -> None:
    """Pixels are (H, W) or (H, W, C)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image.convert(mode) if mode else image).save(path)


def plain(path: Path, colour: tuple[int, int, int], height: int = 8, width: int = 8) -> None:
    picture(path, np.full((height, width, 3), colour))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, five images, of differing sizes."""
    root = tmp_path / "images"
    plain(root / "train" / "cat" / "a.png", (200, 0, 0))
    plain(root / "train" / "cat" / "b.png", (0, 200, 0), 30, 20)
    plain(root / "train" / "dog" / "c.png", (0, 0, 200), 5, 90)
    plain(root / "test" / "cat" / "d.png", (10, 20, 30), 8, 9)
    plain(root / "test" / "dog" / "e.png", (40, 50, 60), 3, 3)
    return root


def refused(root: Path, *words: str, **kwargs: Any) -> None:
    """One message, in the constructor or in setup."""
    with pytest.raises(ValueError, match=r"FolderDataModule|`labels_per_class`|`val_size`") as error:
        FolderDataModule(str(root), **{"image_shape": (3, 8, 8), **kwargs}).setup()
    for word in words:
        assert word in str(error.value), str(error.value)


def only(root: Path, pixels: Any, shape: tuple[int, int, int], mode: str | None = None) -> torch.Tensor:
    """What becomes of one image."""
    for part in ("train", "test"):
        picture(root / part / "one" / "x.png", pixels, mode)
    data = FolderDataModule(str(root), shape)
    data.setup()
    assert data.training_set is not None
    assert torch.equal(data.training_set.images, data.test.images)
    assert data.num_classes == 1
    return data.training_set.images[0]


# --- images ---


def test_folders_are_classes_and_every_size_is_read(root: Path) -> None:
    data = FolderDataModule(str(root), (3, 8, 8))
    assert (data.image_shape, data.num_classes) == ((3, 8, 8), 2)
    data.setup()
    assert data.training_set is not None
    for (images, labels), colours, classes in (
        (data.training_set, [(200, 0, 0), (0, 200, 0), (0, 0, 200)], [0, 0, 1]),
        (data.test, [(10, 20, 30), (40, 50, 60)], [0, 1]),
    ):
        assert torch.equal(images, torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, 3, 8, 8))
        assert (labels.tolist(), labels.dtype) == (classes, torch.int64)


def test_an_image_of_the_right_size_is_not_touched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    assert torch.equal(only(tmp_path, pixels, (3, 6, 9)), torch.from_numpy(pixels).permute(2, 0, 1))


def test_the_centre_of_the_longer_side_is_kept(tmp_path: Path) -> None:
    columns = np.arange(10) * 20
    wide = np.tile(columns[None, :, None], (4, 1, 3))
    assert only(tmp_path / "wide", wide, (3, 4, 4))[0].tolist() == [columns[3:7].tolist()] * 4
    tall = wide.transpose(1, 0, 2)
    assert only(tmp_path / "tall", tall, (3, 4, 4))[0].T.tolist() == [columns[3:7].tolist()] * 4


def test_the_shorter_side_is_scaled_with_antialiasing(tmp_path: Path) -> None:
    """Stripes of one pixel become grey; without antialiasing they would be black or white."""
    stripes = np.tile((np.arange(32) % 2 * 255)[None, :, None], (16, 1, 3))
    image = only(tmp_path, stripes, (3, 4, 4)).int()
    assert ((image - 127).abs() <= 8).all()


def test_images_are_scaled_up_too(tmp_path: Path) -> None:
    image = only(tmp_path, np.tile(np.array([0, 100])[None, :, None], (2, 1, 3)), (3, 8, 8))[0].int()
    assert image[0, 0] == 0
    assert image[0, -1] == 100
    assert (image.diff(dim=1) >= 0).all()


def test_colours_become_grey_by_their_luma(tmp_path: Path) -> None:
    """ITU-R 601: 0.299 R + 0.587 G + 0.114 B."""
    image = only(tmp_path, [[(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]], (1, 1, 4))
    assert image.tolist() == [[[76, 150, 29, 255]]]


def test_grey_images_are_read_as_grey_and_as_colour(tmp_path: Path) -> None:
    pixels = np.arange(16).reshape(4, 4) * 16
    assert only(tmp_path, pixels, (1, 4, 4))[0].tolist() == pixels.tolist()
    assert only(tmp_path, pixels, (3, 4, 4)).tolist() == [pixels.tolist()] * 3


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_palettes_and_alpha_are_read(tmp_path: Path, mode: str) -> None:
    assert only(tmp_path, np.full((4, 4, 3), 102), (3, 4, 4), mode).unique().tolist() == [102]


# --- errors ---


@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 8, 8), (2, 8, 8), (3, 0, 8), (1, 8, -1), ()])
def test_a_wrong_image_shape(root: Path, shape: tuple[int, ...]) -> None:
    refused(root, "`image_shape`", "(C, H, W) with C = 1 or 3", f"Found {list(shape)}", image_shape=shape)


def test_a_missing_folder(root: Path) -> None:
    refused(root / "none", "`root`", str(root / "none" / "train"), "a folder for each class", "no such folder")
    (root / "test").rename(root / "tests")
    refused(root, "`root`", str(root / "test"), "no such folder")


def test_images_that_are_not_in_folders_of_classes(tmp_path: Path) -> None:
    plain(tmp_path / "train" / "a.png", (1, 2, 3))
    refused(tmp_path, "`root`", str(tmp_path / "train"), "a folder for each class", "none in it")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_without_images(root: Path, part: str) -> None:
    for file in (root / part / "dog").iterdir():
        file.rename(file.with_suffix(".txt"))
    refused(root, "`root`", str(root / part), "should hold an image", "dog", ".png")


def test_classes_of_training_and_test_that_differ(root: Path) -> None:
    (root / "test" / "dog").rename(root / "test" / "wolf")
    refused(root, "`root`", "the same folders", "['cat', 'dog']", "['cat', 'wolf']")


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_damaged_image_is_named(root: Path, part: str, damage: str) -> None:
    file = root / part / "dog" / "x.png"
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    picture(file, noise)
    content = file.read_bytes()
    file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"no picture"}[damage])
    refused(root, str(file), "could not be read", "Delete or replace it")


def test_an_image_of_sixteen_bits_is_refused_rather_than_clipped(root: Path) -> None:
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(root / "train" / "dog" / "x.png")
    refused(root, str(root / "train" / "dog" / "x.png"), "8 bits", "replace it")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels_per_class": 0}, ["`labels_per_class`", "labels_per_class=0"]),
        ({"labels_per_class": 2}, ["`labels_per_class`", "labels_per_class=2", "class 1 has 1"]),
        ({"val_size": 3}, ["`val_size`", "val_size=3", "3 training images"]),
    ],
)
def test_more_than_there_is(root: Path, arguments: dict[str, int], words: list[str]) -> None:
    refused(root, *words, **arguments)
