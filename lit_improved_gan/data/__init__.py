"""One data set a file, all with the same splits, labelled subsets and streams."""

from lit_improved_gan.data.base import ImageDataModule, Images
from lit_improved_gan.data.digits import DigitsDataModule

__all__ = ["DigitsDataModule", "ImageDataModule", "Images"]
