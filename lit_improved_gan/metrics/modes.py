"""Which mode of the data a sample belongs to, and whether it is good enough to count."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lit_improved_gan.checks import check_positive
from lit_improved_gan.metrics.small_classifier import load_classifier

__all__ = ["ClassifiedModes", "GaussianModes", "ModeJudge"]


class ModeJudge(nn.Module):
    """What every judge is: called with samples ``(N, ...)``, it returns their modes and whether they pass.

    Attributes:
        num_modes: M, how many modes there are.
    """

    num_modes: int

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Modes ``(N,)``, int64 in 0..M-1, and whether each sample is of high quality, ``(N,)``, bool."""
        raise TypeError(f"{type(self).__name__} should define forward(samples).")


class GaussianModes(ModeJudge):
    """A point belongs to the nearest centre, and passes within ``within`` standard deviations of it.

    Args:
        centres: of the Gaussians, ``(M, D)``.
        std: of each, in each direction, > 0.
        within: the largest distance in standard deviations, > 0.

    Shapes:
        points ``(N, D)``; a point that is not finite never passes.

    Raises:
        ValueError: an argument is out of its range, or points have another number of dimensions.

    Source: PacGAN (arXiv:1712.04086), section 4.1; real points of two dimensions pass with probability 0.989.
    """

    centres: Tensor

    def __init__(self, centres: Tensor, std: float, within: float = 3.0) -> None:
        super().__init__()
        if centres.dim() != 2 or not len(centres):
            raise ValueError(
                f"Parameter `centres` of GaussianModes should be (M, D), M >= 1. Found {tuple(centres.shape)}."
            )
        check_positive("GaussianModes", std=std, within=within)
        self.register_buffer("centres", centres.clone(), persistent=False)
        self.std, self.within, self.num_modes = std, within, len(centres)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest centre, and whether it is near enough."""
        if samples.dim() != 2 or samples.shape[1] != self.centres.shape[1]:
            raise ValueError(
                f"GaussianModes should be given points (N, {self.centres.shape[1]}). Found {tuple(samples.shape)}."
            )
        points, centres = samples.double(), self.centres.double()
        distance, mode = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        return mode, distance <= self.within * self.std  # not a number is not below anything


class ClassifiedModes(ModeJudge):
    """A stack of images belongs to the classes of its channels, and passes if all are classified confidently.

    With C channels and K classes there are K^C modes; that of classes a, b, c is (a K + b) K + c.

    Args:
        classifier: checkpoint of a trained ``Classifier`` of one channel; by default the one for digits that comes with
            the package.
        channels: C, >= 1.
        confidence: probability of the best class that every channel has to exceed, in [0, 1).

    Shapes:
        images ``(N, C, H, W)`` in [-1, 1].

    Raises:
        ValueError: an argument is out of its range, the classifier takes no single channels, or images have another
            shape.

    Source: stacked MNIST as in PacGAN (arXiv:1712.04086), section 4.2, which has no threshold.
    """

    def __init__(self, classifier: str | Path | None = None, channels: int = 3, confidence: float = 0.9) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"Parameter `channels` of ClassifiedModes should be 1 or more. Found channels={channels}.")
        if not 0 <= confidence < 1:
            raise ValueError(
                f"Parameter `confidence` of ClassifiedModes should be in [0, 1). Found confidence={confidence}."
            )
        self.classifier = load_classifier(classifier)
        if self.classifier.image_shape[0] != 1:
            raise ValueError(
                "Parameter `classifier` of ClassifiedModes should be of images with one channel. "
                f"Found one of {self.classifier.image_shape}: train one on the single digits."
            )
        self.channels, self.confidence = channels, confidence
        self.num_modes = self.classifier.num_classes**channels

    @torch.no_grad()
    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Classify every channel."""
        shape = (self.channels, *self.classifier.image_shape[1:])
        if tuple(samples.shape[1:]) != shape:
            raise ValueError(
                f"ClassifiedModes should be given images (N, {', '.join(map(str, shape))}). "
                f"Found {tuple(samples.shape)}."
            )
        p = self.classifier(samples.float().reshape(-1, *self.classifier.image_shape)).softmax(1)
        chance, digit = p.unflatten(0, (len(samples), self.channels)).max(2)
        places = self.classifier.num_classes ** torch.arange(self.channels - 1, -1, -1, device=digit.device)
        return (digit * places).sum(1), (chance > self.confidence).all(1)
