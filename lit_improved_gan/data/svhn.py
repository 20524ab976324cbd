"""Street View House Numbers."""

from typing import Any

from lit_improved_gan.data.downloaded import DownloadedDataModule

__all__ = ["SVHNDataModule"]


class SVHNDataModule(DownloadedDataModule):
    """Digits of house numbers, (3, 32, 32), 10 classes: 73,257 training and 26,032 test images (250 MB).

    Arguments are those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`. The "extra" set is not used,
    as in the released code.
    """

    image_shape = (3, 32, 32)
    num_classes = 10
    files = ("*_32x32.mat",)

    def open(self, train: bool, download: bool) -> Any:
        """``torchvision.datasets.SVHN``."""
        from torchvision.datasets import SVHN

        return SVHN(self.root, "train" if train else "test", download=download)
