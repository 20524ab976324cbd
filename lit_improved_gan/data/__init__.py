"""One data set a file, all with the same splits, labelled subsets and streams."""

from lit_improved_gan.data.arrays import ArrayDataModule
from lit_improved_gan.data.base import ImageDataModule
from lit_improved_gan.data.cifar10 import CIFAR10DataModule
from lit_improved_gan.data.cifar100 import CIFAR100DataModule
from lit_improved_gan.data.digits import DigitsDataModule
from lit_improved_gan.data.downloaded import DownloadedDataModule
from lit_improved_gan.data.fashion_mnist import FashionMNISTDataModule
from lit_improved_gan.data.folders import FolderDataModule
from lit_improved_gan.data.images import Images
from lit_improved_gan.data.mnist import MNISTDataModule
from lit_improved_gan.data.points import GaussiansDataModule, GridDataModule, MoonsDataModule, RingDataModule
from lit_improved_gan.data.stacked import StackedDigitsDataModule, StackedMNISTDataModule
from lit_improved_gan.data.stl10 import STL10DataModule
from lit_improved_gan.data.svhn import SVHNDataModule

__all__ = [
    "ArrayDataModule",
    "CIFAR10DataModule",
    "CIFAR100DataModule",
    "DigitsDataModule",
    "DownloadedDataModule",
    "FashionMNISTDataModule",
    "FolderDataModule",
    "GaussiansDataModule",
    "GridDataModule",
    "ImageDataModule",
    "Images",
    "MNISTDataModule",
    "MoonsDataModule",
    "RingDataModule",
    "STL10DataModule",
    "SVHNDataModule",
    "StackedDigitsDataModule",
    "StackedMNISTDataModule",
]
