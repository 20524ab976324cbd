"""Three random digits as the channels of one image: a thousand modes that a classifier of digits can count."""

from typing import Any

import torch

from lit_improved_gan.checks import check_positive
from lit_improved_gan.data.digits import DigitsDataModule
from lit_improved_gan.data.images import Images
from lit_improved_gan.data.mnist import MNISTDataModule
from lit_improved_gan.seeding import generator

__all__ = ["StackedDigitsDataModule", "StackedMNISTDataModule"]


class StackedDigitsDataModule(DigitsDataModule):
    """Stacked digits of scikit-learn, (3, 8, 8), 1,000 classes: nothing to download.

    The class of digits a, b, c is 100a + 10b + c. Training images are of training digits, test images of test digits.

    Args:
        num_images: training images, >= 1, drawn once and for all.
        num_test: test images, >= 1; published counts of modes are of 26,000.
        kwargs: those of :class:`~lit_improved_gan.data.base.ImageDataModule`.

    Raises:
        ValueError: an argument is out of its range.
    """

    image_shape = (3, 8, 8)
    num_classes = 1000

    def __init__(self, num_images: int = 50_000, num_test: int = 26_000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive("StackedDigitsDataModule", num_images=num_images, num_test=num_test)
        self.num_images, self.num_test = num_images, num_test

    def load(self) -> tuple[Images, Images]:
        """Stack the digits."""
        train, test = super().load()
        return stacked(train, self.num_images, "training"), stacked(test, self.num_test, "test")


class StackedMNISTDataModule(MNISTDataModule):
    """Stacked MNIST, (3, 28, 28), 1,000 classes; 2 KB of memory an image.

    The class of digits a, b, c is 100a + 10b + c. Training images are of training digits, test images of test digits.

    Args:
        num_images: training images, >= 1, drawn once and for all; published runs have 128,000.
        num_test: test images, >= 1; published counts of modes are of 26,000.
        kwargs: those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`.

    Raises:
        ValueError: an argument is out of its range; before training: MNIST is missing or cannot be downloaded.

    Source: the stacked MNIST of PacGAN (arXiv:1712.04086).
    """

    image_shape = (3, 28, 28)
    num_classes = 1000

    def __init__(self, num_images: int = 128_000, num_test: int = 26_000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive("StackedMNISTDataModule", num_images=num_images, num_test=num_test)
        self.num_images, self.num_test = num_images, num_test

    def load(self) -> tuple[Images, Images]:
        """Stack the digits."""
        train, test = super().load()
        return stacked(train, self.num_images, "training"), stacked(test, self.num_test, "test")


def stacked(digits: Images, n: int, part: str) -> Images:
    """``n`` images ``(n, 3, H, W)`` of three digits each, all independent and equally likely, and their classes.

    Args:
        digits: images ``(N, 1, H, W)`` and classes in 0..9.
        n: how many.
        part: of the data; the choice depends on its name alone.
    """
    rows = torch.randint(len(digits.labels), (n, 3), generator=generator("stacked digits", part))
    labels = digits.labels[rows] @ torch.tensor([100, 10, 1])
    return Images(digits.images[rows].squeeze(2), labels)
