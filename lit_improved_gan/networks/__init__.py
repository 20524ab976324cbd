"""A generator and a discriminator for each experiment."""

from lit_improved_gan.networks.convnet import ConvDiscriminator, ConvGenerator
from lit_improved_gan.networks.mlp import MLPDiscriminator, MLPGenerator
from lit_improved_gan.networks.packing import pack, unpack
from lit_improved_gan.networks.points import PointDiscriminator, PointGenerator
from lit_improved_gan.networks.strided import StridedDiscriminator
from lit_improved_gan.networks.tapped import TappedDiscriminator

__all__ = [
    "ConvDiscriminator",
    "ConvGenerator",
    "MLPDiscriminator",
    "MLPGenerator",
    "PointDiscriminator",
    "PointGenerator",
    "StridedDiscriminator",
    "TappedDiscriminator",
    "pack",
    "unpack",
]
