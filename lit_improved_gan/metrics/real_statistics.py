"""What measures gathered of the real images, kept on disk."""

import hashlib
import os
import warnings
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from lit_improved_gan.metrics.feature_metric import FeatureMetric

__all__ = ["RealStatistics", "cache_folder", "content_of"]


def cache_folder() -> Path:
    """``lit_improved_gan`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit_improved_gan"


def content_of(images: Tensor) -> str:
    """The number of images, ``(N, C, H, W)``, uint8, and a hash of their shape and content."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    for part in images.split(1000):
        digest.update(part.contiguous().numpy().tobytes())
    return f"{len(images)}-{digest.hexdigest()[:16]}"


class RealStatistics:
    """One file for each measure and set of images, named by all that it depends on.

    Args:
        folder: where the files are; made when the first is written.
        images: names the real images by their content, see :func:`content_of`.
    """

    def __init__(self, folder: Path, images: str) -> None:
        self.folder, self.images = folder, images

    def path(self, metric: FeatureMetric) -> Path:
        """The file of a measure."""
        extractor = metric.extractor.fingerprint if metric.extractor else "features"
        return self.folder / f"{self.images}-{extractor}-{metric.real_key}.pt"

    def load(self, metric: FeatureMetric) -> bool:
        """Give a measure what is kept for it.

        Returns:
            whether there was anything; a file that cannot be read is as good as none, and said.
        """
        path, wanted = self.path(metric), metric.real_state()
        if not path.is_file():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            fits = {name: value.shape for name, value in state.items()} == {n: v.shape for n, v in wanted.items()}
        except Exception:  # whatever a damaged file makes the reader raise
            fits = False
        if not fits:
            warnings.warn(f"{path} is damaged: the real images are measured again.", stacklevel=2)
            return False
        metric.load_real_state(state)
        return True

    def save(self, metric: FeatureMetric) -> None:
        """Keep what a measure gathered; a kill leaves no half-written file under that name.

        Where it cannot be written that is said, and what was measured is not lost for it.
        """
        path = self.path(metric)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({name: value.cpu().clone() for name, value in metric.real_state().items()}, unfinished)
            unfinished.replace(path)
        except (OSError, RuntimeError) as error:  # torch's own writer raises the latter
            warnings.warn(f"{path} could not be written ({error}): the next run measures again.", stacklevel=2)
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
