"""The test error over the epochs, for a reproduction in which nothing is chosen by it, and that of an ensemble."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from lit_improved_gan import DiscriminatorOutput, ImageDataModule, SemiSupervisedGAN, SideBySideSemiSupervisedGAN

__all__ = ["PROBABILITIES", "ErrorCurve", "ensemble_wrong", "read_curve"]

PROBABILITIES = "test_probabilities.npz"


class ErrorCurve(Callback):
    """Appends ``epoch, averaged, last`` to ``test_errors.csv`` in the run directory: wrong test images of both D.

    Of seeds side by side, ``averaged, last`` stand there for each in turn. After a test of the run the averaged D's
    class probabilities are in ``test_probabilities.npz``: ``probabilities``, float32 ``(S, N, K)`` of S seeds, and
    ``labels``, int64 ``(N,)``.

    Args:
        every_n_epochs: epochs between two lines.
    """

    def __init__(self, every_n_epochs: int = 5) -> None:
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: SemiSupervisedGAN) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs and epoch != trainer.max_epochs:
            return
        was_training = pl_module.discriminator.training
        pl_module.discriminator.eval()
        logits, labels = _on_test_set(trainer, pl_module, pl_module.discriminator_average, pl_module.discriminator)
        pl_module.discriminator.train(was_training)
        wrong = (logits.argmax(3) != labels).sum(2).T.flatten().tolist()
        with open(Path(trainer.default_root_dir) / "test_errors.csv", "a", newline="") as file:
            csv.writer(file).writerow([epoch, *wrong])

    def on_test_end(self, trainer: Trainer, pl_module: SemiSupervisedGAN) -> None:
        (logits,), labels = _on_test_set(trainer, pl_module, pl_module.discriminator_average)
        path = Path(trainer.default_root_dir) / PROBABILITIES
        np.savez(path, probabilities=logits.float().softmax(2).numpy(), labels=labels.numpy())


@torch.no_grad()
def _on_test_set(trainer: Trainer, module: SemiSupervisedGAN, *networks: nn.Module) -> tuple[Tensor, Tensor]:
    """Logits ``(networks, S, N, K)`` of the test set, and its labels ``(N,)``."""
    size = len(module.seeds) if isinstance(module, SideBySideSemiSupervisedGAN) else 1
    data: ImageDataModule = trainer.datamodule
    found: list[Tensor] = []
    known: list[Tensor] = []
    for batch in data.test_dataloader():
        images, labels = data.on_after_batch_transfer(module.transfer_batch_to_device(batch, module.device, 0), 0)
        each = [DiscriminatorOutput.of(network(images.repeat(size, 1, 1, 1))).logits for network in networks]
        found.append(torch.stack(each).unflatten(1, (size, -1)).cpu())
        known.append(labels.cpu())
    return torch.cat(found, 2), torch.cat(known)


def read_curve(folder: Path, member: int = 0) -> list[list[int]]:
    """``[epoch, averaged, last]`` in order; an epoch that a resumed run repeated counts once.

    Args:
        folder: the run directory.
        member: of seeds side by side, which of them.
    """
    path = folder / "test_errors.csv"
    rows = list(csv.reader(path.open())) if path.is_file() else []
    newest = sorted({int(row[0]): row for row in rows}.items())
    return [[epoch, *map(int, row[1 + 2 * member : 3 + 2 * member])] for epoch, row in newest]


def ensemble_wrong(members: Sequence[tuple[Path, int]]) -> int:
    """Wrong test images of the mean of the class probabilities of some runs.

    Args:
        members: a run directory, and of seeds side by side in it which of them; 0 of one alone.
    """
    kept = {folder: np.load(folder / PROBABILITIES) for folder, _ in members}
    each = {folder: torch.from_numpy(file["probabilities"]) for folder, file in kept.items()}
    mean = torch.stack([each[folder][i] for folder, i in members]).mean(0)
    return int((mean.argmax(1) != torch.from_numpy(next(iter(kept.values()))["labels"])).sum())
