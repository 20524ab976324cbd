"""A generator and a discriminator for each experiment."""

from lit_improved_gan.networks.mlp import MLPDiscriminator, MLPGenerator

__all__ = ["MLPDiscriminator", "MLPGenerator"]
