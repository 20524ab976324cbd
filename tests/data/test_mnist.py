"""The real MNIST."""

from collections import Counter
from pathlib import Path
from typing import Any

import torch

from lit_improved_gan import MNISTDataModule


def mnist(root: Path, **kwargs: Any) -> MNISTDataModule:
    data = MNISTDataModule(str(root), download=False, **kwargs)
    data.setup()
    return data


def rows(images: torch.Tensor) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in images)


def test_sizes_classes_and_first_labels(real_data: Path) -> None:
    data = mnist(real_data)
    assert data.training_set is not None
    for (images, labels), first, sizes in (
        (data.training_set, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
         [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        (data.test, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
         [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ):  # fmt: skip
        assert images.shape == (sum(sizes), 1, 28, 28)
        assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
        assert (images.min(), images.max()) == (0, 255)
        assert labels[:10].tolist() == first
        assert labels.bincount().tolist() == sizes
    assert [len(data.training_set.labels), len(data.test.labels)] == [60_000, 10_000]


def test_the_mean_and_deviation_are_the_known_ones(real_data: Path) -> None:
    """0.1307 and 0.3081: every introduction to MNIST normalizes with them."""
    data = mnist(real_data)
    assert data.training_set is not None
    pixels = data.training_set.images.double() / 255
    assert [round(float(value), 4) for value in (pixels.mean(), pixels.std())] == [0.1307, 0.3081]


def test_ten_labels_of_each_class_for_each_seed(real_data: Path) -> None:
    data = mnist(real_data, labels_per_class=10, label_seed=0)
    assert data.training_set is not None
    chosen = []
    for data.label_seed in range(3):
        chosen.append(data.labelled_rows())
        assert data.training_set.labels[chosen[-1]].bincount().tolist() == [10] * 10
        assert len(chosen[-1].unique()) == 100
        assert torch.equal(data.labelled_rows(), chosen[-1])
    assert len({tuple(sorted(part.tolist())) for part in chosen}) == 3


def test_validation_images_are_no_training_images(real_data: Path) -> None:
    data = mnist(real_data, labels_per_class=10, val_size=5000)
    assert data.training_set is not None
    training, held_out, test = (rows(part.images) for part in (data.training_set, data.val, data.test))
    labelled = rows(data.training_set.images[data.labelled_rows()])
    assert [part.total() for part in (training, held_out, test, labelled)] == [55_000, 5_000, 10_000, 100]
    assert labelled <= training
    assert not held_out & training
    assert not held_out & test
    assert training + held_out == rows(mnist(real_data).load()[0].images)
