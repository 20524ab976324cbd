"""One technique a file, each usable in anybody's network."""

from lit_improved_gan.layers.batch_norm import BatchNormWithoutGain
from lit_improved_gan.layers.data_dependent import initialize
from lit_improved_gan.layers.dense_product import Dense, dense_product
from lit_improved_gan.layers.gaussian_noise import GaussianNoise
from lit_improved_gan.layers.minibatch_discrimination import (
    JointMinibatchDiscrimination,
    MinibatchDiscrimination,
    joint_minibatch_closeness,
    minibatch_closeness,
)
from lit_improved_gan.layers.reference_input import attach_reference, convert_batch_norm, set_reference
from lit_improved_gan.layers.softplus import Softplus
from lit_improved_gan.layers.spectral_norm import SpectralNormLinear
from lit_improved_gan.layers.virtual_batch_norm import VirtualBatchNorm, virtual_batch_norm
from lit_improved_gan.layers.weight_norm import (
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    weight_scale,
)

__all__ = [
    "BatchNormWithoutGain",
    "Dense",
    "GaussianNoise",
    "JointMinibatchDiscrimination",
    "MinibatchDiscrimination",
    "Softplus",
    "SpectralNormLinear",
    "VirtualBatchNorm",
    "WeightNormConv2d",
    "WeightNormConvTranspose2d",
    "WeightNormLinear",
    "attach_reference",
    "convert_batch_norm",
    "dense_product",
    "initialize",
    "joint_minibatch_closeness",
    "minibatch_closeness",
    "set_reference",
    "virtual_batch_norm",
    "weight_scale",
]
