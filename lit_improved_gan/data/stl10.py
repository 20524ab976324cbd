"""STL-10."""

from typing import Any

from lit_improved_gan.data.downloaded import DownloadedDataModule

__all__ = ["STL10DataModule"]


class STL10DataModule(DownloadedDataModule):
    """Photographs, (3, 96, 96), 10 classes: 5,000 labelled, 100,000 unlabelled and 8,000 test images (2.6 GB).

    Arguments are those of :class:`~lit_improved_gan.data.downloaded.DownloadedDataModule`. All 105,000 are training
    images; those without a label have the label -1.
    """

    image_shape = (3, 96, 96)
    num_classes = 10
    files = ("stl10_binary.tar.gz", "stl10_binary/*")

    def open(self, train: bool, download: bool) -> Any:
        """``torchvision.datasets.STL10``."""
        from torchvision.datasets import STL10

        return STL10(self.root, "train+unlabeled" if train else "test", download=download)
