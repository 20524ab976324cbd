"""Improved Techniques for Training GANs (Salimans et al. 2016), as a PyTorch Lightning collection.

The public names of the subpackages, found when first used: ``import lit_improved_gan`` imports neither torch nor
Lightning.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "callbacks": [
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
    ],
    "data": [
        "ArrayDataModule",
        "CIFAR100DataModule",
        "CIFAR10DataModule",
        "DigitsDataModule",
        "FashionMNISTDataModule",
        "FolderDataModule",
        "GridDataModule",
        "ImageDataModule",
        "MNISTDataModule",
        "MoonsDataModule",
        "RingDataModule",
        "STL10DataModule",
        "SVHNDataModule",
        "StackedDigitsDataModule",
        "StackedMNISTDataModule",
    ],
    "layers": [
        "BatchNormWithoutGain",
        "GaussianNoise",
        "JointMinibatchDiscrimination",
        "MinibatchDiscrimination",
        "SpectralNormLinear",
        "VirtualBatchNorm",
        "WeightNormConv2d",
        "WeightNormConvTranspose2d",
        "WeightNormLinear",
    ],
    "losses": [
        "AdversarialLoss",
        "DivergenceDiscriminatorLoss",
        "DivergenceGeneratorLoss",
        "FeatureMatchingLoss",
        "HingeDiscriminatorLoss",
        "HingeGeneratorLoss",
        "HistoricalAveraging",
        "LeastSquaresDiscriminatorLoss",
        "LeastSquaresGeneratorLoss",
        "MMDLoss",
        "MinimaxLoss",
        "NonSaturatingLoss",
        "R1Penalty",
        "SemiSupervisedLoss",
    ],
    "metrics": [
        "ClassifiedModes",
        "ClassifierScore",
        "FrechetInceptionDistance",
        "GaussianModes",
        "InceptionFeatures",
        "InceptionScore",
        "KernelInceptionDistance",
        "ModeCoverage",
        "NetworkFeatures",
        "PrecisionRecall",
        "SmallClassifier",
        "SupportSize",
    ],
    "modules": [
        "AdversarialModule",
        "Classifier",
        "GAN",
        "SemiSupervisedGAN",
        "SideBySideGAN",
        "SideBySideSemiSupervisedGAN",
    ],
    "networks": [
        "ConvDiscriminator",
        "ConvGenerator",
        "MLPDiscriminator",
        "MLPGenerator",
        "PointDiscriminator",
        "PointGenerator",
        "StridedDiscriminator",
        "TappedDiscriminator",
    ],
    "optim": ["LinearDecay", "ReleasedAdam"],
    "types": ["DiscriminatorOutput", "LabelledBatch"],
}
_WHERE = {name: home for home, names in _HOME.items() for name in names}
__all__ = ["__version__", *sorted(_WHERE)]  # noqa: PLE0604  # strings, computed


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
