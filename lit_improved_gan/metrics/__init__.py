"""Measures of samples, as torchmetrics."""

from lit_improved_gan.metrics.classifier_score import ClassifierScore
from lit_improved_gan.metrics.small_classifier import SmallClassifier, load_classifier

__all__ = ["ClassifierScore", "SmallClassifier", "load_classifier"]
