"""LightningModules: the two-optimizer loop and what is trained with it."""

from lit_improved_gan.modules.average import AveragedNetwork
from lit_improved_gan.modules.base import AdversarialModule
from lit_improved_gan.modules.classifier import Classifier
from lit_improved_gan.modules.gan import GAN
from lit_improved_gan.modules.semi_supervised import SemiSupervisedGAN
from lit_improved_gan.modules.side_by_side import SideBySideGAN, SideBySideSemiSupervisedGAN
from lit_improved_gan.types import DivergedError

__all__ = [
    "GAN",
    "AdversarialModule",
    "AveragedNetwork",
    "Classifier",
    "DivergedError",
    "SemiSupervisedGAN",
    "SideBySideGAN",
    "SideBySideSemiSupervisedGAN",
]
