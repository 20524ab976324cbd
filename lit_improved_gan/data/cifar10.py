"""CIFAR-10."""

from typing import Any

from lit_improved_gan.data.downloaded import DownloadedDataModule

__all__ = ["CIFAR10DataModule"]


class CIFAR10DataModule(DownloadedDataModule):
    """Small photographs, (3, 32, 32), 10 classes: 50,000 training and 10,000 test images (170 MB).

    Arguments are those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`.
    """

    image_shape = (3, 32, 32)
    num_classes = 10
    files = ("cifar-10-python.tar.gz", "cifar-10-batches-py/*")

    def open(self, train: bool, download: bool) -> Any:
        """``torchvision.datasets.CIFAR10``."""
        from torchvision.datasets import CIFAR10

        return CIFAR10(self.root, train, download=download)
