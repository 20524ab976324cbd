"""Stacked digits."""

import pytest
import torch

from lit_improved_gan import DigitsDataModule, MNISTDataModule, StackedDigitsDataModule, StackedMNISTDataModule
from lit_improved_gan.data import Images
from lit_improved_gan.data.stacked import stacked


def test_channels_are_digits_of_their_part_and_the_class_names_all_three() -> None:
    data, digits = StackedDigitsDataModule(num_images=3000, num_test=2000), DigitsDataModule()
    data.setup()
    digits.setup()
    for part, single in ((data.training_set, digits.training_set), (data.test, digits.test)):
        known: dict[bytes, set[int]] = {}
        for image, label in zip(*single, strict=True):
            known.setdefault(image.numpy().tobytes(), set()).add(int(label))
        for image, label in zip(*part, strict=True):
            for channel, place in zip(image, (100, 10, 1), strict=True):
                assert int(label) // place % 10 in known[channel.numpy().tobytes()]
    assert data.training_set.images.shape == (3000, 3, 8, 8)
    assert data.training_set.images.dtype == torch.uint8
    assert data.test.images.shape == (2000, 3, 8, 8)


def test_all_modes_are_there_and_the_channels_are_independent() -> None:
    data = StackedDigitsDataModule()
    data.setup()
    labels = data.training_set.labels
    assert len(labels.unique()) == 1000
    first, second, third = labels // 100, labels // 10 % 10, labels % 10
    for a, b in ((first, second), (second, third), (first, third)):
        joint = torch.zeros(10, 10).index_put_((a, b), torch.ones(len(a)), accumulate=True) / len(a)
        assert float((joint - joint.sum(1, keepdim=True) * joint.sum(0)).abs().max()) < 2e-3


def test_the_choice_depends_on_the_part_alone() -> None:
    digits = Images(torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1), torch.arange(20) % 10)
    once, again, other = (stacked(digits, 50, part) for part in ("training", "training", "test"))
    assert torch.equal(once.images, again.images)
    assert not torch.equal(once.images, other.images)
    assert torch.equal(once.labels, once.images.flatten(1).long() % 10 @ torch.tensor([100, 10, 1]))


def test_stacked_mnist(real_data) -> None:
    data, single = StackedMNISTDataModule(root=str(real_data), num_images=500, num_test=100), MNISTDataModule(real_data)
    data.setup()
    single.setup()
    assert data.training_set.images.shape == (500, 3, 28, 28)
    known = {image.numpy().tobytes() for image in single.training_set.images}
    assert all(channel.numpy().tobytes() in known for image in data.training_set.images[:20] for channel in image)


@pytest.mark.parametrize("kind", [StackedDigitsDataModule, StackedMNISTDataModule])
@pytest.mark.parametrize("name", ["num_images", "num_test"])
def test_arguments_out_of_range_are_refused(kind, name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of {kind.__name__} should be above 0. Found {name}=0"):
        kind(**{name: 0})
