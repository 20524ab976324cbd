"""The unsupervised GAN."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lit_improved_gan.losses import AdversarialLoss, GeneratorLoss, NonSaturatingLoss, real_logit
from lit_improved_gan.modules.base import AdversarialModule
from lit_improved_gan.modules.preparation import check_loss
from lit_improved_gan.types import DiscriminatorOutput, LabelledBatch

__all__ = ["GAN"]


class GAN(AdversarialModule):
    """D tells real images from generated ones; G is trained to be taken for real, or to match D's features.

    Validation and test report ``d_real``, the mean probability of "real" that the averaged D gives held-out images.

    Args:
        generator: see :class:`AdversarialModule`.
        discriminator: see :class:`AdversarialModule`; its logits may be one, or those of K classes.
        generator_loss: what G minimises; by default the non-saturating loss.
        discriminator_loss: called with D's output on real and on generated images; by default cross-entropy.
        **kwargs: the other arguments of :class:`AdversarialModule`.
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
            NonSaturatingLoss() if generator_loss is None else generator_loss,
            AdversarialLoss() if discriminator_loss is None else discriminator_loss,
            **kwargs,
        )
        check_loss("discriminator_loss", self.discriminator_loss, "real", "fake")
        check_loss("generator_loss", self.generator_loss, "fake", "real")

    def discriminator_step(self, batch: Mapping[str, Any], fake: Tensor) -> dict[str, Tensor]:
        """D's loss on real and on generated images."""
        on_real, on_fake = self.discriminate(batch["unlabelled"], fake)
        return {
            "d_loss": self.discriminator_loss(on_real, on_fake),
            "d_real": real_logit(on_real.logits).sigmoid().mean(),
            "d_fake": real_logit(on_fake.logits).sigmoid().mean(),
        }

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """D(x) of held-out images."""
        self._log_d_real("val/d_real", batch)

    def test_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """D(x) of test images."""
        self._log_d_real("test/d_real", batch)

    def _log_d_real(self, name: str, batch: LabelledBatch) -> None:
        logits = DiscriminatorOutput.of(self.discriminator_average(batch[0])).logits
        self.log(name, real_logit(logits).sigmoid().mean(), batch_size=len(logits), sync_dist=True)
