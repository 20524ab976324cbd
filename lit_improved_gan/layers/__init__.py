"""One technique a file, each usable in anybody's network."""

from lit_improved_gan.layers.data_dependent import initialize
from lit_improved_gan.layers.gaussian_noise import GaussianNoise
from lit_improved_gan.layers.weight_norm import WeightNormLinear, normalise_weight

__all__ = ["GaussianNoise", "WeightNormLinear", "initialize", "normalise_weight"]
