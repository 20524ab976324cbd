"""Images in a .npz file."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lit_improved_gan import ArrayDataModule

GREY = np.arange(12 * 4 * 6, dtype=np.uint16).reshape(12, 4, 6).astype(np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (12, 3, 4, 6), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """A good file, but for the changes; ``None`` leaves an array out."""

    def call(images: Any = GREY, **changes: Any) -> str:
        arrays = {"train_x": images, "train_y": LABELS, "test_x": images[:5], "test_y": LABELS[:5], **changes}
        np.savez(tmp_path / "x.npz", **{key: array for key, array in arrays.items() if array is not None})
        return str(tmp_path / "x.npz")

    return call


def refused(path: str, *words: str, **kwargs: Any) -> None:
    """One message, in the constructor or in setup."""
    with pytest.raises(ValueError, match=r"ArrayDataModule|`labels_per_class`") as error:
        ArrayDataModule(path, **kwargs).setup()
    for word in words:
        assert word in str(error.value), str(error.value)


def test_grey_images_get_a_channel(write) -> None:
    data = ArrayDataModule(write())
    data.setup()
    assert data.training_set is not None
    assert (data.image_shape, data.num_classes) == ((1, 4, 6), 3)
    for (images, labels), size in ((data.training_set, 12), (data.test, 5)):
        assert torch.equal(images, torch.from_numpy(GREY[:size]).unsqueeze(1))
        assert torch.equal(labels, torch.from_numpy(LABELS[:size]))


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
def test_colour_images_and_classes_of_any_integer_type(write, kind: str) -> None:
    data = ArrayDataModule(write(COLOUR, train_y=LABELS.astype(kind)))
    data.setup()
    assert data.training_set is not None
    assert data.image_shape == (3, 4, 6)
    assert torch.equal(data.training_set.images, torch.from_numpy(COLOUR))
    assert data.training_set.labels.dtype == torch.int64
    assert data.training_set.labels.tolist() == LABELS.tolist()


def test_the_number_of_classes_may_be_given(write) -> None:
    data = ArrayDataModule(write(), num_classes=7)
    data.setup()
    assert data.num_classes == 7


def test_images_without_a_class_are_training_images_that_are_never_labelled(write) -> None:
    labels = np.where(np.arange(12) < 5, -1, LABELS)
    data = ArrayDataModule(write(train_y=labels), labels_per_class=2)
    data.setup()
    assert data.training_set is not None
    assert data.training_set.labels.tolist() == labels.tolist()
    assert set(data.labelled_rows().tolist()) <= set(range(5, 12))
    assert data.num_classes == 3


def test_a_compressed_file_is_read_too(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", train_x=GREY, train_y=LABELS, test_x=GREY, test_y=LABELS)
    ArrayDataModule(str(tmp_path / "x.npz")).setup()


# --- errors ---


def test_a_missing_file(tmp_path: Path) -> None:
    refused(str(tmp_path / "none.npz"), "`path`", str(tmp_path / "none.npz"), "No such file", "numpy.savez")


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_file_that_was_cut_off(write, keep: float) -> None:
    path = Path(write())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    refused(str(path), "`path`", str(path), "could not be read", "numpy.savez")


def test_a_damaged_array(write) -> None:
    path = Path(write())
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    refused(str(path), "`path`", str(path), "could not be read", "CRC")


@pytest.mark.parametrize("kind", ["text", "npy", "folder"])
def test_a_file_of_another_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "text":
        path.write_text("train_x")
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, GREY)
    else:
        path.mkdir()
    refused(str(path), "`path`", str(path), "could not be read", "numpy.savez")


@pytest.mark.parametrize("key", ["train_x", "train_y", "test_x", "test_y"])
def test_a_missing_array(write, key: str) -> None:
    path = write(**{key: None})
    refused(path, path, "['train_x', 'train_y', 'test_x', 'test_y']", f"Found no ['{key}']")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("x", GREY[:4], ["a class for each image", "[4, 5]"]),
        ("x", GREY[:5] / 255, ["_x` should be uint8 in 0..255", "float64"]),
        ("x", np.array(["a.png"] * 5), ["_x` should be uint8 in 0..255", "<U5"]),
        ("x", GREY[:5, 0], ["_x` should be (N, C, H, W) or (N, H, W)", "(5, 6)"]),
        ("x", np.uint8(3), ["_x` should be (N, C, H, W) or (N, H, W)", "Found ()"]),
        ("y", LABELS[:5].astype(np.float32), ["_y` should be classes (N,), integers", "float32"]),
        ("y", np.array(["cat"] * 5), ["_y` should be classes (N,), integers", "<U3"]),
        ("y", np.eye(3, dtype=int)[LABELS[:5]], ["_y` should be classes (N,), integers", "(5, 3)"]),
        ("y", np.array(3), ["_y` should be classes (N,), integers", "()"]),
        ("y", np.array([{}] * 5), ["could not be read", "numpy.savez"]),
    ],
    ids=["lengths", "float images", "names", "no height", "scalar", "float classes", "words", "one-hot", "one class",
         "objects"],
)  # fmt: skip
def test_wrong_arrays(write, part: str, key: str, value: Any, words: list[str]) -> None:
    five = {f"{part}_x": GREY[:5], f"{part}_y": LABELS[:5]}
    path = write(**{**five, f"{part}_{key}": value})
    refused(path, "`path`", path, *words)


@pytest.mark.parametrize("part", ["train", "test"])
def test_no_image(write, part: str) -> None:
    path = write(**{f"{part}_x": GREY[:0], f"{part}_y": LABELS[:0]})
    refused(path, "`path`", path, f"`{part}_x`", "N >= 1", "(0, 4, 6)")


def test_test_images_of_another_size(write) -> None:
    refused(write(test_x=GREY[:5, :3]), "images of one shape. Found (4, 6) and (3, 6)")


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_come_last(write, channels: int) -> None:
    last = np.repeat(GREY[..., None], channels, 3)
    refused(write(last), f"Found (12, 4, 6, {channels}), with the channels last: save train_x.transpose(0, 3, 1, 2)")
    data = ArrayDataModule(write(last.transpose(0, 3, 1, 2)))
    assert data.image_shape == (channels, 4, 6)


def test_a_class_without_a_label(write) -> None:
    """An unlabelled stream needs none; where labels are asked for, each class needs one."""
    unknown = np.where(LABELS == 1, -1, LABELS)
    for options, words in [
        ({"num_classes": 3}, ["label of each of its 3 classes. Found none of [1]: label some"]),
        ({"num_classes": 3, "val_size": 7}, ["of each of its 3 classes. Found none of [", "1", "`val_size`"]),
    ]:
        data = ArrayDataModule(write(train_y=unknown), batch_size=1, **options)
        data.setup()
        assert len(list(data.train_dataloader())) == 8 - options.get("val_size", 0)  # a module of no streams
        module = SimpleNamespace(streams={"labelled": 1, "unlabelled": 1}, batches=0)
        data.trainer = SimpleNamespace(world_size=1, global_rank=0, lightning_module=module)  # type: ignore[assignment]
        with pytest.raises(ValueError, match="ArrayDataModule") as error:
            data.train_dataloader()
        for word in words:
            assert word in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_y": LABELS - 2}, ["training labels", "-1..0", "-2..0"]),
        ({"test_y": LABELS[:5] + 1}, ["test labels", "0..2", "1..3"]),
        ({"test_y": LABELS[:5] - 1}, ["test labels", "0..2", "-1..1", "leave out test images of no known class"]),
    ],
)
def test_classes_out_of_range(write, changes: dict[str, Any], words: list[str]) -> None:
    refused(write(**changes), *words)


def test_more_classes_than_said(write) -> None:
    refused(write(), "training labels", "-1..1", "Found 0..2", num_classes=2)
    refused(write(), "`num_classes`", "num_classes=0", num_classes=0)
    refused(write(train_y=LABELS * 0 - 1), "`num_classes`", "no class in the training set")


@pytest.mark.parametrize(
    ("labels", "count", "words"),
    [
        (LABELS, 0, ["1 or more", "labels_per_class=0"]),
        (LABELS, 5, ["labels_per_class=5", "class 0 has 4"]),
        (np.where(np.arange(12) < 11, 0, 2), 1, ["labels_per_class=1", "class 1 has 0"]),
        (np.where(np.arange(12) < 9, 0, np.arange(12) % 2 + 1), 2, ["labels_per_class=2", "class 1 has 1"]),
        (np.where(LABELS == 1, -1, LABELS), 1, ["labels_per_class=1", "class 1 has 0"]),
    ],
    ids=["none", "too many", "a class without images", "imbalance", "a class without labels"],
)
def test_more_labels_than_a_class_has(write, labels: Any, count: int, words: list[str]) -> None:
    refused(write(train_y=labels), "`labels_per_class`", *words, labels_per_class=count, num_classes=3)


# --- real images ---


def test_the_real_cifar10(real_cifar10: Path) -> None:
    data = ArrayDataModule(str(real_cifar10), labels_per_class=400, val_size=5000)
    assert (data.image_shape, data.num_classes) == ((3, 32, 32), 10)
    train, test = data.load()
    for (images, labels), size, first in (
        (train, 5000, [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]),
        (test, 1000, [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]),
    ):
        assert images.shape == (10 * size, 3, 32, 32)
        assert images.dtype == torch.uint8
        assert labels.bincount().tolist() == [size] * 10
        assert labels[:10].tolist() == first
    assert train.images[0, :, 0, 0].tolist() == [59, 62, 63]
    data.setup()
    assert data.training_set is not None
    assert (len(data.training_set.labels), len(data.val.labels)) == (45_000, 5_000)
    assert data.training_set.labels[data.labelled_rows()].bincount().tolist() == [400] * 10


def test_a_class_without_an_image_is_meant_or_a_slip(write) -> None:
    labels = LABELS.copy()
    labels[3] = 12
    refused(
        write(train_y=labels), "`num_classes`", "largest class of `train_y` is 12", "of [3, 4, 5, 6, 7, 8, 9, 10, 11]"
    )
    data = ArrayDataModule(write(train_y=labels), num_classes=13)
    data.setup()
    assert data.num_classes == 13
    refused(write(train_y=labels), "labels_per_class=1, and class 3 has 0", num_classes=13, labels_per_class=1)
