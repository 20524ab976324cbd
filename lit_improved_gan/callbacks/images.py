"""Pictures of samples: scaled to be seen, saved as PNG, sent to the loggers that show pictures."""

from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor
from torchvision.utils import make_grid, save_image

__all__ = ["grid_of", "log_image", "save_png"]


def grid_of(images: Tensor, columns: int) -> Tensor:
    """A grid ``(3, H', W')`` in [0, 1] of images ``(N, C, H, W)`` in [-1, 1]; small ones are enlarged to 32 pixels."""
    factor = max(1, 32 // images.shape[-1])
    images = (images.float().clamp(-1, 1) + 1) / 2
    images = images.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    grid: Tensor = make_grid(images.cpu(), nrow=columns, padding=2, pad_value=0.5)
    return grid


def save_png(picture: Tensor, path: Path) -> None:
    """Save a picture ``(3, H, W)`` in [0, 1]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(picture, path)


def log_image(loggers: list[Logger], key: str, picture: Tensor, step: int) -> None:
    """Send a picture ``(3, H, W)`` in [0, 1] to the loggers that take pictures, at training batch ``step``."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(key, [picture], step=step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(key, picture, step)
