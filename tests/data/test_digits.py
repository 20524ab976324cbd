"""The bundled digits."""

from collections import Counter

import pytest
import torch
from lightning.pytorch import seed_everything

from lit_improved_gan import DigitsDataModule


def rows(images: torch.Tensor) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in images)


@pytest.mark.parametrize("val_size", [0, 300])
def test_sizes_shapes_and_classes(val_size: int) -> None:
    data = DigitsDataModule(val_size=val_size)
    data.setup()
    assert data.training_set is not None
    parts = {1297 - val_size: data.training_set, 500: data.test, val_size: data.val}
    for size, (images, labels) in parts.items():
        assert images.shape == (size, 1, 8, 8)
        assert images.dtype == torch.uint8
        assert labels.shape == (size,)
        assert labels.dtype == torch.int64
        if size:
            assert (labels.bincount(minlength=10) > 0).tolist() == [True] * 10
            assert (images.min(), images.max()) == (0, 255)
    assert len(data.training_set.images.unique()) == 17


def test_the_parts_together_are_the_digits_and_the_test_images_are_nowhere_else() -> None:
    from sklearn.datasets import load_digits

    data = DigitsDataModule(val_size=300)
    data.setup()
    assert data.training_set is not None
    train, val, test = (rows(part.images) for part in (data.training_set, data.val, data.test))
    assert not test & (train + val)
    assert not train & val
    digits = torch.from_numpy(load_digits().images).mul(255 / 16).round().to(torch.uint8)
    assert train + val + test == rows(digits)


def test_the_test_set_never_changes() -> None:
    """The classifier that comes with the package was trained on the rest."""
    for seed in (0, 1):
        seed_everything(seed, verbose=False)
        data = DigitsDataModule(label_seed=seed, val_size=100 * seed)
        data.setup()
        assert data.test.labels[:12].tolist() == [6, 9, 7, 0, 3, 6, 7, 8, 4, 6, 8, 0]
        assert data.test.labels.bincount().tolist() == [55, 41, 58, 36, 51, 50, 50, 53, 52, 54]
