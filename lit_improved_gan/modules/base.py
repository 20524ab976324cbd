"""The two-optimizer training loop: the order of the steps, counters, noise, averages, what is logged."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from lit_improved_gan.losses import GeneratorLoss, Penalty
from lit_improved_gan.modules.average import AveragedNetwork
from lit_improved_gan.modules.batches import check_batch, deal, named_streams
from lit_improved_gan.modules.captured import check_capture
from lit_improved_gan.modules.counting import count
from lit_improved_gan.modules.driver import ask_the_runtime
from lit_improved_gan.modules.hparams import save_plain_hyperparameters
from lit_improved_gan.modules.noise import NoisyModule
from lit_improved_gan.modules.preparation import (
    awaits_reference,
    check_discriminator,
    check_generator,
    datamodule_of,
    initialize_networks,
    make_optimizer,
    make_schedule,
    needs_images,
    reference_images,
)
from lit_improved_gan.modules.sampling import SamplingModule
from lit_improved_gan.modules.updates import check_clip
from lit_improved_gan.optim import ReleasedAdam
from lit_improved_gan.precision import uncached_casts
from lit_improved_gan.ranks import share_statistics
from lit_improved_gan.seeding import current_seed
from lit_improved_gan.types import DiscriminatorOutput, DivergedError, OptimizerFactory, SchedulerFactory

__all__ = ["AdversarialModule"]


class AdversarialModule(SamplingModule, NoisyModule, ABC):
    """Trains a discriminator D and a generator G in turn, under manual optimization.

    A training batch makes ``d_updates_per_batch`` updates of D, each on real images of its own, then
    ``g_updates_per_batch`` of G. ``trainer.global_step`` and :attr:`batches` count training batches, :attr:`d_updates`
    and :attr:`g_updates` the updates. All noise is a function of (seed, batch, process). A subclass says which
    streams of data it needs and defines the losses.

    Args:
        generator: a network with ``prior(n, generator)`` that maps noise to images in [-1, 1].
        discriminator: a network that maps images to logits or to a
            :class:`~lit_improved_gan.types.DiscriminatorOutput`. If its attribute ``independent_examples`` is true,
            several batches share one pass.
        generator_loss: what G minimises.
        discriminator_loss: what D minimises; if it has an attribute ``real_target``, labels can be smoothed.
        generator_optimizer: makes G's optimizer.
        discriminator_optimizer: makes D's optimizer.
        generator_scheduler: makes G's learning-rate schedule, stepped once per training batch.
        discriminator_scheduler: the same for D.
        d_updates_per_batch: updates of D in a training batch, >= 1.
        g_updates_per_batch: updates of G in a training batch, >= 1.
        generator_average: rate of the average of G's weights, which makes the samples, in (0, 1]; 1: the last weights.
        discriminator_average: rate of the average of D's weights, which is evaluated, in (0, 1].
        generator_penalties: terms added to G's loss.
        discriminator_penalties: terms added to D's loss.
        generator_accumulation: parts of an update of G, >= 1, each a batch of its own; the mean of their losses is
            minimised. Statistics of a batch, as in feature matching, are each part's own.
        discriminator_accumulation: the same for D.
        generator_clip: largest norm of G's gradient, above which it is scaled down, > 0; ``None``: any.
        discriminator_clip: the same for D.
        compile_networks: whether both networks are compiled by torch.compile in training.
        cuda_graphs: whether the computation of each player's gradient is captured as a CUDA graph and replayed: faster
            where the networks are small. On one GPU, without penalties, virtual batch normalisation or float16.
        init_images: real images for the data-dependent initialisation of networks that have ``initialize``, >= 2.
        seed: of all noise in training; ``None``: the seed of ``seed_everything``.

    Raises:
        ValueError: an argument is out of its range; in ``setup``: the networks and the data do not fit together.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_loss: GeneratorLoss,
        discriminator_loss: nn.Module,
        generator_optimizer: OptimizerFactory = ReleasedAdam,
        discriminator_optimizer: OptimizerFactory = ReleasedAdam,
        generator_scheduler: SchedulerFactory | None = None,
        discriminator_scheduler: SchedulerFactory | None = None,
        d_updates_per_batch: int = 1,
        g_updates_per_batch: int = 1,
        generator_average: float = 0.01,
        discriminator_average: float = 0.01,
        generator_penalties: list[Penalty] | None = None,
        discriminator_penalties: list[Penalty] | None = None,
        generator_accumulation: int = 1,
        discriminator_accumulation: int = 1,
        generator_clip: float | None = None,
        discriminator_clip: float | None = None,
        compile_networks: bool = False,
        cuda_graphs: bool = False,
        init_images: int = 500,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        for name, value, least in [
            ("d_updates_per_batch", d_updates_per_batch, 1),
            ("g_updates_per_batch", g_updates_per_batch, 1),
            ("generator_accumulation", generator_accumulation, 1),
            ("discriminator_accumulation", discriminator_accumulation, 1),
            ("init_images", init_images, 2),
        ]:
            if value < least:
                raise ValueError(
                    f"Parameter `{name}` of {type(self).__name__} should be {least} or more. Found {name}={value}."
                )
        check_clip(self, generator_clip=generator_clip, discriminator_clip=discriminator_clip)
        save_plain_hyperparameters(self)
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.generator_average = AveragedNetwork(generator, generator_average, "generator_average")
        self.discriminator_average = AveragedNetwork(discriminator, discriminator_average, "discriminator_average")
        self.generator_loss, self.discriminator_loss = generator_loss, discriminator_loss
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.generator_scheduler, self.discriminator_scheduler = generator_scheduler, discriminator_scheduler
        self.d_updates_per_batch, self.g_updates_per_batch = d_updates_per_batch, g_updates_per_batch
        self.generator_accumulation, self.discriminator_accumulation = (
            generator_accumulation,
            discriminator_accumulation,
        )
        self.generator_clip, self.discriminator_clip = generator_clip, discriminator_clip
        self.compile_networks, self.cuda_graphs, self.init_images = compile_networks, cuda_graphs, init_images
        self.generator_penalties = nn.ModuleList(generator_penalties or [])
        self.discriminator_penalties = nn.ModuleList(discriminator_penalties or [])
        for network, penalties in [(generator, generator_penalties), (discriminator, discriminator_penalties)]:
            for penalty in penalties or []:
                penalty.follow(network)
        self._batch_checked = False
        self.initialized: Tensor
        self.register_buffer("initialized", torch.tensor(False))

    # --- what a subclass defines, or overrides ---

    @property
    def streams(self) -> dict[str, int]:
        """What a training batch holds: the name of a stream of ``ImageDataModule``, and how many batches of it."""
        matching = {"matching": self._parts_of_g} if self.generator_loss.needs_real else {}
        return {"unlabelled": self._parts_of_d, **matching}

    @property
    def _parts_of_d(self) -> int:
        return self.d_updates_per_batch * self.discriminator_accumulation

    @property
    def _parts_of_g(self) -> int:
        return self.g_updates_per_batch * self.generator_accumulation

    @abstractmethod
    def discriminator_step(self, batch: Mapping[str, Any], fake: Tensor) -> dict[str, Tensor]:
        """D's loss on one batch of each stream and as many generated images: ``d_loss``, and what else to log."""

    def generator_step(self, batch: Mapping[str, Any], fake: Tensor) -> dict[str, Tensor]:
        """G's loss on generated images and, where the loss needs them, real ones: ``g_loss``, and what else to log."""
        real = None
        if self.generator_loss.needs_real:
            with torch.no_grad():
                (real,) = self.discriminate(batch["matching"])
        (on_fake,) = self.discriminate(fake)
        return {"g_loss": self.generator_loss(on_fake, real)}

    @property
    def real_target(self) -> float:
        """The target of real images in D's loss: below 1, one-sided label smoothing.

        Raises:
            AttributeError: the loss has no such target (then ``hasattr`` is false).
        """
        target: float = self.discriminator_loss.real_target  # type: ignore[assignment]  # a loss with one
        return target

    @real_target.setter
    def real_target(self, value: float) -> None:
        self.discriminator_loss.real_target = value  # type: ignore[assignment]  # a loss with one

    # --- preparation ---

    @property
    def outputs(self) -> int | None:
        """How many logits D should have; ``None``: any number."""
        return None

    def setup(self, stage: str) -> None:
        """Check that networks and data fit together; before a first fit, initialise the networks from data."""
        if self.seed is None:
            self.seed = current_seed()
        waits = awaits_reference(self.generator, self.discriminator)  # for the checkpoint to bring it
        if stage == "fit" or not waits:
            images = check_generator(self.generator, datamodule_of(self))
            check_discriminator(self.discriminator, images, self.outputs)
        self._batch_checked = False
        if stage == "fit" and not self.initialized and needs_images(self.generator, self.discriminator):
            self.initialize(reference_images(self, self.init_images, self._seed))

    def on_fit_start(self) -> None:
        """Compile the networks, whose noise stays as it is, and check that what is to be captured can be."""
        ask_the_runtime()
        if self.compile_networks:
            for network in (self.generator, self.discriminator):
                network.compile(dynamic=False, options={"fallback_random": True})
        if self.cuda_graphs:
            check_capture(self)

    def on_fit_end(self) -> None:
        """Let go of what was captured."""
        self._captured.clear()

    def initialize(self, images: Tensor) -> None:
        """Initialise the networks that have a method ``initialize``: D from real images, G from noise.

        ``fit`` calls it once with images of the datamodule; call it before ``fit`` where the loader is your own.

        Args:
            images: ``(N, C, H, W)`` in [-1, 1]; the released code uses 500.
        """
        initialize_networks(self.generator, self.discriminator, images, self._seed)
        self.generator_average.restart(self.generator)
        self.discriminator_average.restart(self.discriminator)
        self.initialized.fill_(True)

    def configure_optimizers(self) -> Any:
        """Both players' optimizers, D's first, and the schedules there are."""
        d_optimizer = make_optimizer("discriminator_optimizer", self.discriminator_optimizer, self.discriminator)
        g_optimizer = make_optimizer("generator_optimizer", self.generator_optimizer, self.generator)
        schedulers = [(self.discriminator_scheduler, d_optimizer), (self.generator_scheduler, g_optimizer)]
        return [d_optimizer, g_optimizer], [make_schedule(make, optimizer) for make, optimizer in schedulers if make]

    # --- one training batch ---

    @uncached_casts()
    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Make all updates of one training batch, or pass it over where they diverge and :attr:`recover` helps."""
        trainer: Any = self.trainer
        counts, step = (self.batches, self.d_updates, self.g_updates), trainer.global_step
        try:
            self._train_on(batch)
        except DivergedError as error:
            if self.recover is None:
                raise
            self.recover(error)
            if trainer.global_step == step:
                count(self.optimizers()[1])  # type: ignore[index]  # there are two
            each = (1, self.d_updates_per_batch, self.g_updates_per_batch)
            self.batches, self.d_updates, self.g_updates = (n + new for n, new in zip(counts, each, strict=True))
        self._step_schedules()
        self.mid_batch = False

    def _train_on(self, batch: Any) -> None:
        parts = named_streams(batch)
        if not self._batch_checked:  # the first of a fit; later ones come from the same place
            check_batch(self, parts, self.streams, self.discriminator_average)
            self._batch_checked = True
        parts = {name: parts[name] for name in self.streams}
        d_optimizer, g_optimizer = self.optimizers()  # type: ignore[attr-defined]  # there are two
        for_d, for_g = deal(parts, self._parts_of_d, self._parts_of_g)
        size = len(for_d[0]["unlabelled"])
        self._seed_noise()
        self.mid_batch = True
        logs: dict[str, Tensor] = {}
        of_d = [(part, self._noise(size, "D", i)) for i, part in enumerate(for_d)]
        of_g = [(part, self._noise(size, "G", i)) for i, part in enumerate(for_g)]
        for i in range(self.d_updates_per_batch):
            own = of_d[i * self.discriminator_accumulation :][: self.discriminator_accumulation]
            logs |= self.update(d_optimizer, "d_loss", self._d_losses, own, counted=False)
            self.d_updates += 1
        for i in range(self.g_updates_per_batch):
            own = of_g[i * self.generator_accumulation :][: self.generator_accumulation]
            last = i == self.g_updates_per_batch - 1
            logs |= self.update(g_optimizer, "g_loss", self._g_losses, own, counted=last)
            self.g_updates += 1
        self.batches += 1
        share_statistics(self.generator, self.discriminator)
        self.generator_average.update(self.generator, self.batches)
        self.discriminator_average.update(self.discriminator, self.batches)
        self._log(logs, d_optimizer, g_optimizer)

    def _d_losses(self, part: Mapping[str, Any], noise: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generator(noise)
        losses = self.discriminator_step(part, fake)
        self._penalise(losses, "d", self.discriminator, self.discriminator_penalties, part["unlabelled"])
        return losses

    def _g_losses(self, part: Mapping[str, Any], noise: Tensor) -> dict[str, Tensor]:
        losses = self.generator_step(part, self.generator(noise))
        self._penalise(losses, "g", self.generator, self.generator_penalties, None)
        return losses

    @staticmethod
    def _penalise(
        losses: dict[str, Tensor], player: str, network: nn.Module, penalties: nn.ModuleList, real: Tensor | None
    ) -> None:
        """Add a player's penalties to its loss; their sum is logged, too."""
        if penalties:
            losses[f"{player}_penalty"] = torch.stack([penalty(network, real) for penalty in penalties]).sum()
            losses[f"{player}_loss"] = losses[f"{player}_loss"] + losses[f"{player}_penalty"]

    def discriminate(self, *groups: Tensor) -> list[DiscriminatorOutput]:
        """D's output for each group of images, in one pass where D treats every example on its own."""
        if len(groups) > 1 and getattr(self.discriminator, "independent_examples", False):
            return DiscriminatorOutput.of(self.discriminator(torch.cat(groups))).split([len(group) for group in groups])
        return [DiscriminatorOutput.of(self.discriminator(group)) for group in groups]

    # --- logging and checks ---

    def _log(self, logs: dict[str, Tensor], d_optimizer: LightningOptimizer, g_optimizer: LightningOptimizer) -> None:
        trainer: Any = self.trainer
        if self.batches % trainer.log_every_n_steps:
            return
        self.check_finite()
        losses = {f"train/{name}": value.detach() for name, value in logs.items()}
        counts = {
            "d_updates": float(self.d_updates),
            "g_updates": float(self.g_updates),
            "lr/discriminator": d_optimizer.param_groups[0]["lr"],
            "lr/generator": g_optimizer.param_groups[0]["lr"],
        }
        self.log_after(self.batches, counts, losses)

    def _step_schedules(self) -> None:
        schedules = self.lr_schedulers() or []
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            schedule.step()  # type: ignore[call-arg]  # one that needs a metric is refused
