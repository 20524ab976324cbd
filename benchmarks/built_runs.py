"""Training runs that are built to go wrong in a known way, or to go well, and the modes that they cover meanwhile."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch.optim.lr_scheduler import LambdaLR

from lit_improved_gan import (
    GAN,
    BalanceMonitor,
    DigitsDataModule,
    MinimaxLoss,
    MLPDiscriminator,
    MLPGenerator,
    PointDiscriminator,
    PointGenerator,
    ReleasedAdam,
    RingDataModule,
)
from lit_improved_gan.metrics import ClassifiedModes, GaussianModes, ModeJudge
from lit_improved_gan.seeding import generator
from lit_improved_gan.untouched import evaluating, untouched_noise

__all__ = ["BUILDS", "Build", "Kind", "bare_trainer", "digits", "ring", "run"]

Kind = Literal["healthy", "too strong", "too weak", "collapsing"]
CHANGE, BATCHES = 300, 1800  # something changes after so many batches of so many
LOOK, SAMPLES, SHARE = 20, 500, 0.02  # every so many batches; of so many samples a mode holds at least so many


def step(factor: float) -> Any:
    """A schedule: from the change on, so many times the learning rate."""
    return lambda optimizer: LambdaLR(optimizer, lambda batch: factor if batch >= CHANGE else 1.0)


def optimizers(g_rate: float, d_rate: float) -> dict[str, Any]:
    """Those of both players."""
    return {
        "generator_optimizer": partial(ReleasedAdam, lr=g_rate),
        "discriminator_optimizer": partial(ReleasedAdam, lr=d_rate),
    }


def ring(
    seed: int, std: float = 0.1, g_rate: float = 1e-3, d_rate: float = 1e-3, packing: int = 1, **options: Any
) -> tuple[GAN, RingDataModule]:
    """Points on a ring; with the minimax loss, unless told otherwise, all modes are found in 200 batches."""
    options = {"generator_loss": MinimaxLoss(), **optimizers(g_rate, d_rate), **options}
    module = GAN(PointGenerator(latent_size=16), PointDiscriminator(packing=packing), seed=seed, **options)
    return module, RingDataModule(std=std, batch_size=64, num_points=20_000)


def digits(seed: int, **options: Any) -> tuple[GAN, DigitsDataModule]:
    """Of configs/digits_gan.yaml."""
    noise = {"input_noise": 0.3, "hidden_noise": 0.5}
    networks = MLPGenerator(hidden=(250, 250)), MLPDiscriminator(num_outputs=1, hidden=(250, 250), **noise)
    return GAN(*networks, seed=seed, **optimizers(2e-3, 2e-3), **options), DigitsDataModule(batch_size=100)


@dataclass
class Build:
    """How a run is made.

    Attributes:
        kind: what is to be said of it.
        make: called with ``seed`` and ``options``: the module and the data.
        options: of ``make``; schedules by :func:`step`.
        since: batch at which the event begins; that of a collapse is measured.
        batches: how many.
        noise: what the generator's input noise is multiplied by, from the change on.
    """

    kind: Kind
    make: Callable[..., tuple[GAN, Any]] = ring
    options: dict[str, Any] = field(default_factory=dict)
    since: int = CHANGE
    batches: int = BATCHES
    noise: float = 1.0


def changed(g: float = 1.0, d: float = 1.0, **options: Any) -> dict[str, Any]:
    """Options with which the learning rates change."""
    return {"generator_scheduler": step(g), "discriminator_scheduler": step(d), **options}


BUILDS: dict[str, Build] = {
    "ring, minimax": Build("healthy"),
    "ring of std 0.05, minimax": Build("healthy", options={"std": 0.05}),
    "ring, minimax, packing": Build("healthy", options={"packing": 2}),
    "digits": Build("healthy", digits),
    "ring, G's rate 1e-6, D's 3e-3": Build("too strong", options={"g_rate": 1e-6, "d_rate": 3e-3}, since=0),
    "ring of std 0.02, 5 updates of D; then D's rate x10, G's x0": Build(
        "too strong", options=changed(0, 10, std=0.02, d_rate=2e-4, d_updates_per_batch=5)
    ),
    "digits; then D's rate x5, G's x0": Build("too strong", digits, changed(0, 5)),
    "ring; then D's rate x0, G's x3": Build("too weak", options=changed(3, 0)),
    "ring of std 0.02; then D's rate x0, G's x3": Build("too weak", options=changed(3, 0, std=0.02)),
    "digits; then D's rate x0": Build("too weak", digits, changed(1, 0)),
    "ring, non-saturating, both rates 5e-4": Build(
        "collapsing", options={"g_rate": 5e-4, "d_rate": 5e-4, "generator_loss": None}, since=0, batches=2400
    ),
    "ring of std 0.2; then G's noise x0.03": Build("collapsing", options={"std": 0.2}, noise=0.03),
    "digits; then G's noise x0": Build("collapsing", digits, noise=0.0),
}


class Measured(Callback):
    """Counts the modes that the generator covers, by the true centres, or by the classifier of digits."""

    def __init__(self, data: Any) -> None:
        self.judge: ModeJudge = ClassifiedModes(channels=1, confidence=0.0)
        if hasattr(data, "centres"):  # a point has a mode within half of the centres' distance of one of them
            self.judge = GaussianModes(data.centres, float(torch.pdist(data.centres).min()) / 2, within=1.0)
        self.of = self.judge.num_modes
        self.modes: list[tuple[int, int]] = []

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.batches % LOOK:
            return
        g = pl_module.generator
        with evaluating(g), untouched_noise(pl_module.device):
            x = g(g.prior(SAMPLES, generator("modes", pl_module.batches)))
        mode, good = self.judge(x)
        counts = torch.bincount(mode[good], minlength=self.of)
        self.modes.append((pl_module.batches, int((counts >= SHARE * SAMPLES).sum())))


class Dry(Callback):
    """From the change on the generator's noise is multiplied."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.batches == CHANGE and self.factor != 1:
            pl_module.generator.register_forward_pre_hook(lambda _, noise: (self.factor * noise[0],))


def bare_trainer(batches: int, callbacks: list[Callback], **options: Any) -> Trainer:
    """A quiet one that saves nothing."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    names = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    off = {**dict.fromkeys(names, False), **options}
    return Trainer(
        accelerator="cpu", max_steps=batches, max_epochs=-1, callbacks=callbacks, limit_val_batches=0,
        num_sanity_val_steps=0, **off,
    )  # fmt: skip


def run(name: str, seed: int) -> dict[str, Any]:
    """Train a build with the monitor as it is by default.

    Returns:
        ``events`` of the monitor; ``said``, its messages; ``modes``, (batch, how many are covered); ``of`` how many.
    """
    build = BUILDS[name]
    seed_everything(seed, verbose=False)
    module, data = build.make(seed, **build.options)
    monitor, measured = BalanceMonitor(), Measured(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bare_trainer(build.batches, [Dry(build.noise), monitor, measured]).fit(module, data)
    said = [str(one.message) for one in caught if str(one.message).startswith("batch ")]
    return {"events": monitor.events, "said": said, "modes": measured.modes, "of": measured.of}
