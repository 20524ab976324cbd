"""A classifier trained on labels alone: the baseline of semi-supervised training, and the judge of samples."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lit_improved_gan.modules.average import AveragedNetwork
from lit_improved_gan.modules.axis import BatchAxis
from lit_improved_gan.modules.hparams import save_plain_hyperparameters
from lit_improved_gan.modules.preparation import (
    check_discriminator,
    datamodule_of,
    make_optimizer,
    make_schedule,
    needs_images,
    reference_images,
)
from lit_improved_gan.modules.progress import Resumable
from lit_improved_gan.optim import ReleasedAdam
from lit_improved_gan.seeding import current_seed, mix
from lit_improved_gan.types import DiscriminatorOutput, LabelledBatch, OptimizerFactory, SchedulerFactory

__all__ = ["Classifier"]


class Classifier(Resumable, BatchAxis):
    """Cross-entropy on labelled images; validation and test report ``error_percent`` of the averaged weights.

    Args:
        network: maps images to K logits, or to a :class:`~lit_improved_gan.types.DiscriminatorOutput`: any
            discriminator with K outputs will do.
        optimizer: makes the optimizer.
        scheduler: makes the learning-rate schedule, stepped once per training batch.
        average: rate of the average of the weights, in (0, 1]; 1: the last weights.
        init_images: images for the data-dependent initialisation of a network that has ``initialize``, >= 2.
        seed: of all noise in training; ``None``: the seed of ``seed_everything``.

    Raises:
        ValueError: an argument is out of its range; in ``setup``: network and data do not fit together.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerFactory = ReleasedAdam,
        scheduler: SchedulerFactory | None = None,
        average: float = 0.01,
        init_images: int = 500,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if init_images < 2:
            raise ValueError(
                f"Parameter `init_images` of Classifier should be 2 or more. Found init_images={init_images}."
            )
        save_plain_hyperparameters(self)
        self.network, self.average = network, AveragedNetwork(network, average, "average")
        self.optimizer, self.scheduler = optimizer, scheduler
        self.init_images, self.seed = init_images, seed
        self.val_error, self.test_error = MeanMetric(), MeanMetric()
        self.initialized: Tensor
        self.register_buffer("initialized", torch.tensor(False))

    @property
    def batches(self) -> int:
        """Training batches done."""
        return self.trainer.global_step

    @property
    def streams(self) -> dict[str, int]:
        """One batch of labelled images."""
        return {"labelled": 1}

    def setup(self, stage: str) -> None:
        """Check that network and data fit together; before a first fit, initialise the network from data."""
        if self.seed is None:
            self.seed = current_seed()
        data = datamodule_of(self)
        if data is not None and hasattr(data, "reference_images"):
            check_discriminator(self.network, reference_images(self, 2, self.seed), data.num_classes)
        if stage == "fit" and not self.initialized and needs_images(self.network):
            self.initialize(reference_images(self, self.init_images, self.seed))

    def initialize(self, images: Tensor) -> None:
        """Initialise the network from images ``(N, C, H, W)`` in [-1, 1]; ``fit`` does it with the datamodule's."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(self.seed or 0, "initialize"))
            self.network.initialize(images)  # type: ignore[operator]  # it has one
        self.average.restart(self.network)
        self.initialized.fill_(True)

    def configure_optimizers(self) -> Any:
        """The optimizer, and its schedule if there is one."""
        optimizer = make_optimizer("optimizer", self.optimizer, self.network)
        if self.scheduler is None:
            return optimizer
        return [optimizer], [{"scheduler": make_schedule(self.scheduler, optimizer), "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the seed: a run resumed under another one keeps its own noise."""
        checkpoint["improved_gan"] = {"seed": self.seed, "batches_per_epoch": self.trainer.num_training_batches}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the seed, and the place in the epoch.

        Raises:
            ValueError: another kind of module made the checkpoint.
        """
        state = checkpoint.get("improved_gan", {})
        if state.keys() != {"seed", "batches_per_epoch"}:
            raise ValueError(
                f"The checkpoint is not one of a Classifier: it has {sorted(state)}. Load it into its own module."
            )
        self.seed = state["seed"]
        self.resume_after(checkpoint, checkpoint["global_step"], state["batches_per_epoch"])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch: (images, labels), or a dict of an ``ImageDataModule`` with them."""
        torch.default_generator.manual_seed(mix(self.seed or 0, self.batches, self.global_rank))
        images, labels = batch["labelled"] if isinstance(batch, dict) else batch
        loss = F.cross_entropy(DiscriminatorOutput.of(self.network(images)).logits, labels)
        if (self.batches + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]  # a connector sets it
            self.log_after(self.batches + 1, {}, {"train/loss": loss.detach()})
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the weights, then their average."""
        super().optimizer_step(*args, **kwargs)
        self.average.update(self.network, self.batches + 1)  # Lightning counts this batch after the hook

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K)`` of the averaged network."""
        return DiscriminatorOutput.of(self.average(images)).logits

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Count the errors on held-out images."""
        self.val_error.update(100.0 * (self(batch.images).argmax(1) != batch.labels))
        self.log("val/error_percent", self.val_error, on_epoch=True, prog_bar=True)

    def test_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Count the errors on test images."""
        self.test_error.update(100.0 * (self(batch.images).argmax(1) != batch.labels))
        self.log("test/error_percent", self.test_error, on_epoch=True)
