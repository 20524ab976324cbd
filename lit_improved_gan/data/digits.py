"""scikit-learn's bundled digits: 1,797 real 8x8 images, nothing to download."""

import torch

from lit_improved_gan.data.base import ImageDataModule
from lit_improved_gan.data.images import Images
from lit_improved_gan.seeding import permutation

__all__ = ["DigitsDataModule"]


class DigitsDataModule(ImageDataModule):
    """Handwritten digits, (1, 8, 8), 10 classes: 1,297 training images and a fixed test set of 500.

    Arguments are those of :class:`~lit_improved_gan.data.base.ImageDataModule`.

    Source: ``sklearn.datasets.load_digits``, the test part of the UCI optical recognition of handwritten digits data.
    Its 17 grey levels 0..16 are scaled to 0..255. The test set is a random choice that never changes.
    """

    image_shape = (1, 8, 8)
    num_classes = 10
    test_size = 500

    def load(self) -> tuple[Images, Images]:
        """Read the digits from the installed scikit-learn."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
        labels = torch.from_numpy(digits.target).long()
        rows = permutation(len(labels), "digits test set")
        test, train = rows[: self.test_size], rows[self.test_size :]
        return Images(images[train], labels[train]), Images(images[test], labels[test])
