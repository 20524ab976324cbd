"""Callbacks, each on any LightningModule that offers what its docstring names."""

from lit_improved_gan.callbacks.balance_monitor import BalanceMonitor
from lit_improved_gan.callbacks.checkpoints import LastCheckpoint
from lit_improved_gan.callbacks.classifier_score import ClassifierScoreMonitor
from lit_improved_gan.callbacks.curves import Curves
from lit_improved_gan.callbacks.generative_metrics import GenerativeMetrics
from lit_improved_gan.callbacks.interrupt import GracefulInterrupt
from lit_improved_gan.callbacks.label_smoothing import LabelSmoothing
from lit_improved_gan.callbacks.mode_coverage import ModeCoverageMonitor
from lit_improved_gan.callbacks.point_pictures import PointPictures
from lit_improved_gan.callbacks.progress import RunProgress
from lit_improved_gan.callbacks.reference_batch import ReferenceBatch
from lit_improved_gan.callbacks.roll_back import RollBack
from lit_improved_gan.callbacks.sample_grid import SampleGrid
from lit_improved_gan.callbacks.sample_writer import SampleWriter

__all__ = [
    "BalanceMonitor",
    "ClassifierScoreMonitor",
    "Curves",
    "GenerativeMetrics",
    "GracefulInterrupt",
    "LabelSmoothing",
    "LastCheckpoint",
    "ModeCoverageMonitor",
    "PointPictures",
    "ReferenceBatch",
    "RollBack",
    "RunProgress",
    "SampleGrid",
    "SampleWriter",
]
