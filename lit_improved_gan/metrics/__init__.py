"""Measures of samples, as torchmetrics."""

from lit_improved_gan.metrics.classifier_score import ClassifierScore
from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.metrics.feature_metric import FeatureMetric
from lit_improved_gan.metrics.frechet_inception_distance import FrechetInceptionDistance, frechet_distance
from lit_improved_gan.metrics.images import to_levels, to_uint8
from lit_improved_gan.metrics.inception import InceptionFeatures
from lit_improved_gan.metrics.inception_score import InceptionScore
from lit_improved_gan.metrics.kernel_inception_distance import KernelInceptionDistance, squared_discrepancy
from lit_improved_gan.metrics.mode_coverage import ModeCoverage, divergence_from_uniform
from lit_improved_gan.metrics.modes import ClassifiedModes, GaussianModes, ModeJudge
from lit_improved_gan.metrics.network_features import NetworkFeatures
from lit_improved_gan.metrics.precision_recall import PrecisionRecall, precision_recall_density_coverage
from lit_improved_gan.metrics.real_statistics import RealStatistics, cache_folder, content_of
from lit_improved_gan.metrics.small_classifier import SmallClassifier, load_classifier
from lit_improved_gan.metrics.support_size import SupportSize, distance_of_share

__all__ = [
    "ClassifiedModes",
    "ClassifierScore",
    "FeatureExtractor",
    "FeatureMetric",
    "FrechetInceptionDistance",
    "GaussianModes",
    "InceptionFeatures",
    "InceptionScore",
    "KernelInceptionDistance",
    "ModeCoverage",
    "ModeJudge",
    "NetworkFeatures",
    "PrecisionRecall",
    "RealStatistics",
    "SmallClassifier",
    "SupportSize",
    "cache_folder",
    "content_of",
    "distance_of_share",
    "divergence_from_uniform",
    "frechet_distance",
    "load_classifier",
    "precision_recall_density_coverage",
    "squared_discrepancy",
    "to_levels",
    "to_uint8",
]
