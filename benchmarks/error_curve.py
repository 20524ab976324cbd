"""The test error over the epochs, for a reproduction in which nothing is chosen by it."""

import csv
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer

from lit_improved_gan import DiscriminatorOutput, ImageDataModule, SemiSupervisedGAN

__all__ = ["ErrorCurve", "read_curve"]


class ErrorCurve(Callback):
    """Appends ``epoch, averaged, last`` to ``test_errors.csv`` in the run directory: wrong test images of both D.

    Args:
        every_n_epochs: epochs between two lines.
    """

    def __init__(self, every_n_epochs: int = 5) -> None:
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: SemiSupervisedGAN) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs and epoch != trainer.max_epochs:
            return
        data: ImageDataModule = trainer.datamodule
        was_training = pl_module.discriminator.training
        pl_module.discriminator.eval()
        wrong = [0, 0]
        with torch.no_grad():
            for batch in data.test_dataloader():
                images, labels = data.on_after_batch_transfer(
                    pl_module.transfer_batch_to_device(batch, pl_module.device, 0), 0
                )
                for i, network in enumerate((pl_module.discriminator_average, pl_module.discriminator)):
                    logits = DiscriminatorOutput.of(network(images)).logits
                    wrong[i] += int((logits.argmax(1) != labels).sum())
        pl_module.discriminator.train(was_training)
        with open(Path(trainer.default_root_dir) / "test_errors.csv", "a", newline="") as file:
            csv.writer(file).writerow([epoch, *wrong])


def read_curve(folder: Path) -> list[list[int]]:
    """``[epoch, averaged, last]`` in order; an epoch that a resumed run repeated counts once."""
    path = folder / "test_errors.csv"
    rows = list(csv.reader(path.open())) if path.is_file() else []
    return [list(map(int, row)) for _, row in sorted({int(row[0]): row for row in rows}.items())]
