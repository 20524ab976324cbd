"""CIFAR-100."""

from typing import Any

from lit_improved_gan.data.downloaded import DownloadedDataModule

__all__ = ["CIFAR100DataModule"]


class CIFAR100DataModule(DownloadedDataModule):
    """Small photographs, (3, 32, 32), 100 classes: 50,000 training and 10,000 test images (170 MB).

    Arguments are those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`.
    """

    image_shape = (3, 32, 32)
    num_classes = 100
    files = ("cifar-100-python.tar.gz", "cifar-100-python/*")

    def open(self, train: bool, download: bool) -> Any:
        """``torchvision.datasets.CIFAR100``."""
        from torchvision.datasets import CIFAR100

        return CIFAR100(self.root, train, download=download)
