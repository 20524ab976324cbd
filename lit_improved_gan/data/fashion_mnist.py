"""Fashion-MNIST."""

from typing import Any

from lit_improved_gan.data.downloaded import DownloadedDataModule

__all__ = ["FashionMNISTDataModule"]


class FashionMNISTDataModule(DownloadedDataModule):
    """Clothes, (1, 28, 28), 10 classes: 60,000 training and 10,000 test images (30 MB).

    Arguments are those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`.
    """

    image_shape = (1, 28, 28)
    num_classes = 10
    files = ("FashionMNIST/raw/*",)

    def open(self, train: bool, download: bool) -> Any:
        """``torchvision.datasets.FashionMNIST``."""
        from torchvision.datasets import FashionMNIST

        return FashionMNIST(self.root, train, download=download)
