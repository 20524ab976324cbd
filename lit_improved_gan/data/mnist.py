"""MNIST."""

from typing import Any

from lit_improved_gan.data.downloaded import DownloadedDataModule

__all__ = ["MNISTDataModule"]


class MNISTDataModule(DownloadedDataModule):
    """Handwritten digits, (1, 28, 28), 10 classes: 60,000 training and 10,000 test images (11 MB).

    Arguments are those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`. The released code trains on
    all 60,000; ``val_size`` holds some out.
    """

    image_shape = (1, 28, 28)
    num_classes = 10
    files = ("MNIST/raw/*",)

    def open(self, train: bool, download: bool) -> Any:
        """``torchvision.datasets.MNIST``."""
        from torchvision.datasets import MNIST

        return MNIST(self.root, train, download=download)
