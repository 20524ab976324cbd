"""What the two players minimise."""

from lit_improved_gan.losses.adversarial import (
    AdversarialLoss,
    GeneratorLoss,
    MinimaxLoss,
    NonSaturatingLoss,
    discriminator_loss,
    real_logit,
)
from lit_improved_gan.losses.divergence import DivergenceDiscriminatorLoss, DivergenceGeneratorLoss, target_divergence
from lit_improved_gan.losses.feature_matching import (
    FeatureMatchingLoss,
    MMDLoss,
    feature_matching,
    maximum_mean_discrepancy,
)
from lit_improved_gan.losses.hinge import HingeDiscriminatorLoss, HingeGeneratorLoss, hinge_discriminator_loss
from lit_improved_gan.losses.historical_averaging import HistoricalAveraging, historical_averaging
from lit_improved_gan.losses.least_squares import (
    LeastSquaresDiscriminatorLoss,
    LeastSquaresGeneratorLoss,
    least_squares_discriminator_loss,
)
from lit_improved_gan.losses.penalty import Penalty, R1Penalty, r1_penalty
from lit_improved_gan.losses.semi_supervised import SemiSupervisedLoss, SemiSupervisedTerms, implicit_logits
from lit_improved_gan.losses.statistics import (
    batch_covariance,
    batch_mean,
    batch_mean_variance,
    l1_distance,
    l2_distance,
    squared_distance,
)

__all__ = [
    "AdversarialLoss",
    "DivergenceDiscriminatorLoss",
    "DivergenceGeneratorLoss",
    "FeatureMatchingLoss",
    "GeneratorLoss",
    "HingeDiscriminatorLoss",
    "HingeGeneratorLoss",
    "HistoricalAveraging",
    "LeastSquaresDiscriminatorLoss",
    "LeastSquaresGeneratorLoss",
    "MMDLoss",
    "MinimaxLoss",
    "NonSaturatingLoss",
    "Penalty",
    "R1Penalty",
    "SemiSupervisedLoss",
    "SemiSupervisedTerms",
    "batch_covariance",
    "batch_mean",
    "batch_mean_variance",
    "discriminator_loss",
    "feature_matching",
    "hinge_discriminator_loss",
    "historical_averaging",
    "implicit_logits",
    "l1_distance",
    "l2_distance",
    "least_squares_discriminator_loss",
    "maximum_mean_discrepancy",
    "r1_penalty",
    "real_logit",
    "squared_distance",
    "target_divergence",
]
