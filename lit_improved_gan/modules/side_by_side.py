"""The same experiment under several seeds, trained as one batched model."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torchmetrics import MeanMetric

from lit_improved_gan.losses import Penalty
from lit_improved_gan.modules.base import AdversarialModule
from lit_improved_gan.modules.gan import GAN
from lit_improved_gan.modules.preparation import (
    awaits_reference,
    check_discriminator,
    check_generator,
    datamodule_of,
    initialize_networks,
    needs_images,
    reference_images,
)
from lit_improved_gan.modules.semi_supervised import SemiSupervisedGAN
from lit_improved_gan.modules.stacked import LossOfEach, PenaltyOfEach, StackedNetwork
from lit_improved_gan.seeding import generator as seeded
from lit_improved_gan.types import DiscriminatorOutput, LabelledBatch

__all__ = ["SideBySideGAN", "SideBySideSemiSupervisedGAN"]


class _SideBySide(AdversarialModule):
    """S modules of one class, settings and architecture, that differ in seed and weights, trained as one.

    Each member trains as it would alone with its seed (but for the noise inside its networks, which is drawn for all at
    once). The datamodule's ``seeds`` should be theirs. What is logged is the mean over the members. A checkpoint is
    loaded into members of its seeds: ``load_from_checkpoint(path, members=members)``.

    Args:
        members: S modules with a ``seed`` each; losses, penalties, optimizers and settings are the first's.

    Raises:
        ValueError: the members do not fit together.
    """

    def __init__(self, members: Sequence[AdversarialModule]) -> None:
        seeds = [member.seed for member in members]
        if not seeds or None in seeds or len(set(seeds)) < len(seeds):
            raise ValueError(f"Members side by side should have a `seed` each, all different. Found {seeds}.")
        first = members[0]
        if first.generator_clip or first.discriminator_clip:
            raise ValueError(
                "Modules that clip gradients cannot train side by side: leave out `generator_clip` and "
                "`discriminator_clip`, or train them one by one."
            )
        size = len(members)
        super().__init__(
            StackedNetwork([member.generator for member in members]),
            StackedNetwork([member.discriminator for member in members]),
            LossOfEach(first.generator_loss, size),  # type: ignore[arg-type]  # has its attributes
            LossOfEach(first.discriminator_loss, size),
            generator_optimizer=first.generator_optimizer,
            discriminator_optimizer=first.discriminator_optimizer,
            generator_scheduler=first.generator_scheduler,
            discriminator_scheduler=first.discriminator_scheduler,
            d_updates_per_batch=first.d_updates_per_batch,
            g_updates_per_batch=first.g_updates_per_batch,
            generator_average=first.generator_average.rate,
            discriminator_average=first.discriminator_average.rate,
            generator_penalties=[PenaltyOfEach(cast("Penalty", p), size) for p in first.generator_penalties],
            discriminator_penalties=[PenaltyOfEach(cast("Penalty", p), size) for p in first.discriminator_penalties],
            generator_accumulation=first.generator_accumulation,
            discriminator_accumulation=first.discriminator_accumulation,
            compile_networks=first.compile_networks,
            cuda_graphs=first.cuda_graphs,
            init_images=first.init_images,
            seed=first.seed,
        )
        self.seeds: list[int] = [member.seed or 0 for member in members]
        self.hparams.clear()
        settings = {name: value for name, value in first.hparams.items() if name != "_instantiator"}
        self.save_hyperparameters(settings)  # less the function that would build one member in this module's place

    @property
    def stacks(self) -> tuple[StackedNetwork, StackedNetwork]:
        """G and D."""
        return cast("StackedNetwork", self.generator), cast("StackedNetwork", self.discriminator)

    def setup(self, stage: str) -> None:
        """Check and initialise each member as it would be alone."""
        seeds = getattr(datamodule_of(self), "seeds", None)
        if stage == "fit" and list(seeds or []) != self.seeds:
            raise ValueError(
                f"Members side by side have data of their own each: the datamodule's `seeds` should be {self.seeds}. "
                f"Found {seeds}."
            )
        if self.trainer.world_size > 1:
            raise ValueError(
                f"Members side by side train in one process. Found {self.trainer.world_size}: set the trainer's "
                "devices to 1, or train them one by one."
            )
        generator, discriminator = self.stacks
        if stage == "fit" or not awaits_reference(generator, discriminator):  # else the checkpoint is about to bring it
            images = check_generator(generator.member(0), datamodule_of(self))
            check_discriminator(discriminator.member(0), images, self.outputs)
        self._batch_checked = False
        if stage == "fit" and not self.initialized:
            for i, seed in enumerate(self.seeds):
                networks = generator.member(i), discriminator.member(i)
                if needs_images(*networks):
                    initialize_networks(*networks, reference_images(self, self.init_images, seed), seed)
                    generator.set_member(i, networks[0])
                    discriminator.set_member(i, networks[1])
            self.generator_average.restart(self.generator)
            self.discriminator_average.restart(self.discriminator)
            self.initialized.fill_(True)
        if stage == "fit":  # initialised: a layer that does it at its first batch is not run as one
            generator.check(generator.prior(2, seeded("check")))
            discriminator.check(images)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the counts and the seeds."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["improved_gan"]["seeds"] = self.seeds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts.

        Raises:
            ValueError: the checkpoint is one of other seeds.
        """
        kept = checkpoint.get("improved_gan", {}).get("seeds")
        if kept != self.seeds:
            raise ValueError(f"The members' seeds should be those of the checkpoint, {kept}. Found {self.seeds}.")
        super().on_load_checkpoint(checkpoint)

    def _noise(self, n: int, player: str, update: int) -> Tensor:
        prior, own = self.stacks[0].prior, n // len(self.seeds)
        sources = (seeded(seed, self.batches, player, update, device=self.device) for seed in self.seeds)
        noise = torch.cat([prior(own, source) for source in sources])
        return noise.to(next(self.generator.parameters()).dtype)

    def discriminate(self, *groups: Tensor) -> list[DiscriminatorOutput]:
        """D's output for each group of images, each with an equal part for each member."""
        if len(groups) == 1 or not getattr(self.discriminator, "independent_examples", False):
            return [DiscriminatorOutput.of(self.discriminator(group)) for group in groups]
        parts = [group.unflatten(0, (len(self.seeds), -1)) for group in groups]
        output = DiscriminatorOutput.of(self.discriminator(torch.cat(parts, 1).flatten(0, 1)))
        by_member: DiscriminatorOutput = tree_map(lambda value: value.unflatten(0, (len(self.seeds), -1)), output)
        cuts = [part.shape[1] for part in parts]
        split = tree_map(lambda value: [piece.flatten(0, 1) for piece in value.split(cuts, 1)], by_member)
        return [
            DiscriminatorOutput(split.logits[i], {name: pieces[i] for name, pieces in split.features.items()})
            for i in range(len(groups))
        ]

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The gradient of the members' sum, in which each has its own loss alone; logged is their mean."""
        super().manual_backward(loss * len(self.seeds), *args, **kwargs)

    def forward(self, z: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` from noise ``(N, latent_size)``: row i by member i modulo S."""
        size, n = len(self.seeds), len(z)
        padded = torch.cat([z, z[:1].expand(-n % size, *z.shape[1:])])
        images: Tensor = super().forward(padded.unflatten(0, (-1, size)).transpose(0, 1).flatten(0, 1))
        dealt: Tensor = images.unflatten(0, (size, -1)).transpose(0, 1).flatten(0, 1)[:n]
        return dealt


class SideBySideGAN(_SideBySide, GAN):
    """Unsupervised GANs side by side; arguments are those of :class:`_SideBySide`.

    Validation and test report the mean of the members' ``d_real``.
    """

    def _log_d_real(self, name: str, batch: LabelledBatch) -> None:
        super()._log_d_real(name, LabelledBatch(_for_each(batch[0], len(self.seeds)), batch[1]))


class SideBySideSemiSupervisedGAN(_SideBySide, SemiSupervisedGAN):
    """Semi-supervised GANs side by side; arguments are those of :class:`_SideBySide`.

    Reports ``error_percent`` of each member (``error_percent_seed3``), their mean, and ``ensemble_error_percent``, that
    of the mean of their class probabilities.
    """

    def __init__(self, members: Sequence[AdversarialModule]) -> None:
        super().__init__(members)
        self.errors = nn.ModuleDict({stage: _metrics(len(members)) for stage in ("val", "test")})

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Count the errors of the averaged D on held-out images."""
        self._count("val", batch)

    def test_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Count the errors of the averaged D on test images."""
        self._count("test", batch)

    def _count(self, stage: str, batch: LabelledBatch) -> None:
        images, labels = batch
        size = len(self.seeds)
        logits = DiscriminatorOutput.of(self.discriminator_average(_for_each(images, size))).logits
        each = logits.unflatten(0, (size, -1)).softmax(2)
        names = ["error_percent", "ensemble_error_percent", *(f"error_percent_seed{seed}" for seed in self.seeds)]
        wrong = [each.argmax(2) != labels, each.mean(0).argmax(1) != labels, *(each.argmax(2) != labels)]
        metrics = cast("list[MeanMetric]", self.errors[stage])
        for name, metric, found in zip(names, metrics, wrong, strict=True):
            metric.update(100.0 * found)
            self.log(f"{stage}/{name}", metric, on_epoch=True, prog_bar=name == "error_percent" and stage == "val")


def _for_each(images: Tensor, members: int) -> Tensor:
    """The same images, or points, for each member."""
    return images.repeat(members, *[1] * (images.dim() - 1))


def _metrics(members: int) -> nn.ModuleList:
    return nn.ModuleList(MeanMetric() for _ in range(members + 2))
