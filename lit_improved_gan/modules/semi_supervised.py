"""The semi-supervised GAN: D is a classifier that also tells real from generated."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torchmetrics import MeanMetric

from lit_improved_gan.losses import FeatureMatchingLoss, GeneratorLoss, SemiSupervisedLoss
from lit_improved_gan.modules.base import AdversarialModule
from lit_improved_gan.modules.preparation import check_loss, datamodule_of
from lit_improved_gan.types import DiscriminatorOutput, LabelledBatch

__all__ = ["SemiSupervisedGAN"]


class SemiSupervisedGAN(AdversarialModule):
    """D classifies K classes and tells real from generated; G matches D's features.

    A training batch has ``labelled``, ``unlabelled`` and ``matching`` parts. Validation and test report
    ``error_percent``: the share of images that the averaged D puts in a wrong class, in percent.

    Args:
        generator: see :class:`AdversarialModule`.
        discriminator: see :class:`AdversarialModule`; K logits.
        generator_loss: what G minimises; by default feature matching, which works best here.
        discriminator_loss: called with the logits of labelled images, their labels, and the logits of unlabelled and
            of generated images; by default :class:`~lit_improved_gan.losses.SemiSupervisedLoss`.
        **kwargs: the other arguments of :class:`AdversarialModule`.

    Source: paper section 5.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_loss: GeneratorLoss | None = None,
        discriminator_loss: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            generator,
            discriminator,
            FeatureMatchingLoss() if generator_loss is None else generator_loss,
            SemiSupervisedLoss() if discriminator_loss is None else discriminator_loss,
            **kwargs,
        )
        check_loss("discriminator_loss", self.discriminator_loss, "labelled", "labels", "unlabelled", "fake")
        check_loss("generator_loss", self.generator_loss, "fake", "real")
        self.val_error, self.test_error = MeanMetric(), MeanMetric()

    @property
    def streams(self) -> dict[str, int]:
        """The streams of an unsupervised GAN, and labelled images for each update of D."""
        return {"labelled": self._parts_of_d, **super().streams}

    @property
    def outputs(self) -> int | None:
        """The classes of the data."""
        return getattr(datamodule_of(self), "num_classes", None)

    def discriminator_step(self, batch: Mapping[str, Any], fake: Tensor) -> dict[str, Tensor]:
        """D's loss on labelled, unlabelled and generated images."""
        images, labels = batch["labelled"]
        labelled, unlabelled, generated = self.discriminate(images, batch["unlabelled"], fake)
        terms = self.discriminator_loss(labelled.logits, labels, unlabelled.logits, generated.logits)
        return {"d_loss": terms.total, "supervised": terms.supervised, "unsupervised": terms.unsupervised}

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Count the errors of the averaged D on held-out images."""
        self.val_error.update(self._wrong(batch))
        self.log("val/error_percent", self.val_error, on_epoch=True, prog_bar=True)

    def test_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Count the errors of the averaged D on test images."""
        self.test_error.update(self._wrong(batch))
        self.log("test/error_percent", self.test_error, on_epoch=True)

    def _wrong(self, batch: LabelledBatch) -> Tensor:
        images, labels = batch
        logits = DiscriminatorOutput.of(self.discriminator_average(images)).logits
        return 100.0 * (logits.argmax(1) != labels)
