"""What the two players minimise."""

from lit_improved_gan.losses.adversarial import (
    AdversarialLoss,
    GeneratorLoss,
    MinimaxLoss,
    NonSaturatingLoss,
    discriminator_loss,
    real_logit,
)
from lit_improved_gan.losses.feature_matching import FeatureMatchingLoss, feature_matching
from lit_improved_gan.losses.semi_supervised import SemiSupervisedLoss, SemiSupervisedTerms

__all__ = [
    "AdversarialLoss",
    "FeatureMatchingLoss",
    "GeneratorLoss",
    "MinimaxLoss",
    "NonSaturatingLoss",
    "SemiSupervisedLoss",
    "SemiSupervisedTerms",
    "discriminator_loss",
    "feature_matching",
    "real_logit",
]
