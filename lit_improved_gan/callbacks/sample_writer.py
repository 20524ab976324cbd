"""Write the samples of ``predict`` to files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from lit_improved_gan.metrics import to_levels

__all__ = ["SampleWriter"]


class SampleWriter(BasePredictionWriter):
    """Write each sample as ``000000.png``, ``000001.png``, ... and all of them as ``samples.npz``.

    The archive holds ``images``, uint8 ``(N, C, H, W)``, in the order of the file names. Works on any LightningModule
    whose ``predict_step`` takes numbers of samples ``(n,)`` and returns images ``(n, C, H, W)`` in [-1, 1].

    Args:
        folder: where to; ``None``: ``predictions`` below the run directory. It must be empty or new.

    Raises:
        FileExistsError: in ``setup``: the folder has files in it.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self._images: list[Tensor] = []
        self._numbers: list[Tensor] = []

    def _path(self, trainer: Trainer) -> Path:
        return Path(trainer.default_root_dir) / "predictions" if self.folder is None else Path(self.folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder."""
        if stage != "predict" or not trainer.is_global_zero:
            return
        path = self._path(trainer)
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileExistsError(f"{path} has files in it. Remove them, or give SampleWriter another `folder`.")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the PNG files of one batch."""
        images, path = to_levels(prediction).cpu(), self._path(trainer)
        for number, image in zip(batch.tolist(), images, strict=True):
            to_pil_image(image).save(path / f"{number:06d}.png")
        self._images.append(images)
        self._numbers.append(batch.cpu())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the archive, with the samples of all processes in order."""
        images, numbers = torch.cat(self._images), torch.cat(self._numbers)
        parts: list[tuple[Tensor, Tensor] | None] = [(images, numbers)]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, (images, numbers))
        if trainer.is_global_zero:
            images, numbers = (torch.cat(column) for column in zip(*(p for p in parts if p), strict=True))
            path = self._path(trainer)
            np.savez(path / "samples.npz", images=images[numbers.argsort()].numpy())
            rank_zero_info(f"{len(numbers)} samples are in {path}: PNG files, and all of them in samples.npz")
        self._images, self._numbers = [], []
