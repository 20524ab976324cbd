"""What the library's machinery costs.

    python benchmarks/step_overhead.py [--rounds 5] [--threads 2]

Times one semi-supervised training batch (a D update on labelled, unlabelled and generated images, a G update by feature
matching, both averages) three times over, in one process, in alternating rounds: in a ``bare`` PyTorch loop, in
``plain`` Lightning (the same lines in a LightningModule that logs its losses, under the Trainer as it comes), and by
the ``library`` with the command line's default logging and progress. ``digits`` has the networks and the one thread of
configs/digits.yaml on the real digits, ``mnist`` the paper's networks on random images and ``--threads``. All that
makes a run exact and safe is in the library's time: noise by seed and batch, the checks that losses, gradients and
weights are finite, checkpoints that a kill cannot spoil, signals, counters. Writes
benchmarks/results/step_overhead.json.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader

from lit_improved_gan import DigitsDataModule, FeatureMatchingLoss, ImageDataModule, ReleasedAdam, SemiSupervisedGAN
from lit_improved_gan.callbacks import GracefulInterrupt, LastCheckpoint, RunProgress
from lit_improved_gan.cli.loggers import RunCSVLogger
from lit_improved_gan.data import Images
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator

BATCH, WARM = 100, 10
ARMS = ["bare", "plain", "library"]


class RandomMNIST(ImageDataModule):
    """Random images of MNIST's size."""

    image_shape = (1, 28, 28)
    num_classes = 10

    def load(self) -> tuple[Images, Images]:
        images = torch.randint(0, 256, (60_000, 1, 28, 28), dtype=torch.uint8)
        data = Images(images, torch.arange(60_000) % 10)
        return data, data


def digits() -> tuple[MLPGenerator, MLPDiscriminator, ImageDataModule]:
    shape = (1, 8, 8)
    data = DigitsDataModule(BATCH, labels_per_class=5, val_size=300)
    return MLPGenerator(shape, hidden=(250, 250)), MLPDiscriminator(shape, 10, (250, 250), 0.15, 0.5), data


def mnist() -> tuple[MLPGenerator, MLPDiscriminator, ImageDataModule]:
    shape = (1, 28, 28)
    return MLPGenerator(shape), MLPDiscriminator(shape), RandomMNIST(BATCH, labels_per_class=10)


class Step:
    """A training batch without epochs, streams, logs or checks."""

    def __init__(self, generator: Any, discriminator: Any, data: ImageDataModule) -> None:
        self.generator, self.discriminator = generator, discriminator
        networks = (generator, discriminator)
        self.optimizers = [ReleasedAdam([p for p in net.parameters() if p.requires_grad], lr=3e-3) for net in networks]
        averages = [deepcopy(net).requires_grad_(False) for net in networks]
        self.pairs = [
            (list(a.parameters()) + [b for b in a.buffers() if b.is_floating_point()],
             [p.detach() for p in n.parameters()] + [b for b in n.buffers() if b.is_floating_point()])
            for a, n in zip(averages, networks, strict=True)
        ]  # fmt: skip
        self.trained = [p for p in discriminator.parameters() if p.requires_grad]
        data.setup()
        assert data.training_set is not None
        self.images, self.labels = data.training_set
        self.labelled = data.labelled_rows()

    def pick(self, rows: Tensor) -> Tensor:
        return self.images[rows].float().div_(127.5).sub_(1)

    def __call__(self, g_optimizer: Any, d_optimizer: Any, backward: Callable[[Tensor], None]) -> tuple[Tensor, Tensor]:
        l_rows = self.labelled[torch.randint(len(self.labelled), (BATCH,))]
        u_rows, m_rows = torch.randint(len(self.images), (2, BATCH))
        with torch.no_grad():
            fake = self.generator(torch.rand(BATCH, 100))
        out = self.discriminator(torch.cat([self.pick(l_rows), self.pick(u_rows), fake])).logits
        l_out, u_out, f_out = out.split(BATCH)
        unsupervised = F.softplus(-u_out.logsumexp(1)).mean() + F.softplus(f_out.logsumexp(1)).mean()
        d_loss = F.cross_entropy(l_out, self.labels[l_rows]) + 0.5 * unsupervised
        d_optimizer.zero_grad()
        backward(d_loss)
        d_optimizer.step()
        for p in self.trained:
            p.requires_grad = False
        made = self.discriminator(self.generator(torch.rand(BATCH, 100))).features
        with torch.no_grad():
            real = self.discriminator(self.pick(m_rows)).features
        name = list(real)[-1]
        g_loss = (real[name].mean(0) - made[name].mean(0)).square().mean()
        g_optimizer.zero_grad()
        backward(g_loss)
        g_optimizer.step()
        for p in self.trained:
            p.requires_grad = True
        for average, values in self.pairs:
            torch._foreach_lerp_(average, values, 0.01)
        return d_loss.detach(), g_loss.detach()


def bare_loop(generator: Any, discriminator: Any, data: ImageDataModule, steps: int) -> float:
    """Milliseconds per batch of the step alone."""
    step = Step(generator, discriminator, data)
    start = 0.0
    for i in range(-WARM, steps):
        if i == 0:
            start = time.perf_counter()
        step(*step.optimizers, torch.Tensor.backward)
    return 1e3 * (time.perf_counter() - start) / steps


class Clock(Callback):
    """Times the batches after the first ones."""

    def on_train_start(self, *args: Any) -> None:
        self.batches = 0

    def on_train_batch_start(self, *args: Any) -> None:
        if self.batches == WARM:
            self.start = time.perf_counter()
        self.batches += 1

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self.end = time.perf_counter()


class Plain(LightningModule):
    """The step in the fewest lines that Lightning asks for."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator, self.step = step.generator, step.discriminator, step

    def configure_optimizers(self) -> Any:
        return self.step.optimizers

    def training_step(self, batch: Any, batch_idx: int) -> None:
        d_loss, g_loss = self.step(*self.optimizers(), self.manual_backward)
        self.log_dict({"d_loss": d_loss, "g_loss": g_loss}, prog_bar=True)


def plain_lightning(generator: Any, discriminator: Any, data: ImageDataModule, steps: int) -> float:
    """Milliseconds per batch of the step in a LightningModule, in epochs as long as the library's."""
    module, clock = Plain(Step(generator, discriminator, data)), Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=2 * (steps + WARM),
            max_epochs=-1,
            accelerator="cpu",
            default_root_dir=folder,
            logger=CSVLogger(folder),
            callbacks=[clock],
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(range(len(module.step.images) // BATCH), batch_size=None))
    assert clock.batches == steps + WARM
    return 1e3 * (clock.end - clock.start) / steps


def through_library(generator: Any, discriminator: Any, data: ImageDataModule, steps: int) -> float:
    """Milliseconds per batch through the Trainer, epoch ends and logging included, validation left out."""
    make = partial(ReleasedAdam, lr=3e-3)
    module = SemiSupervisedGAN(
        generator, discriminator, FeatureMatchingLoss(), generator_optimizer=make, discriminator_optimizer=make
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=steps + WARM,
            max_epochs=-1,
            accelerator="cpu",
            default_root_dir=folder,
            logger=[RunCSVLogger(Path(folder))],
            callbacks=[clock, GracefulInterrupt(), LastCheckpoint(1000), RunProgress()],
            limit_val_batches=0,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_checkpointing=True,
        )
        trainer.fit(module, data)
    assert module.batches == clock.batches == steps + WARM
    return 1e3 * (clock.end - clock.start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of mnist")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    cases: dict[str, tuple[Callable[[], Any], int, int]] = {
        "digits": (digits, 500, 1),
        "mnist": (mnist, 60, options.threads),
    }
    results: dict[str, Any] = {
        "command": f"python benchmarks/step_overhead.py --rounds {options.rounds} --threads {options.threads}",
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    for name, (build, steps, threads) in cases.items():
        torch.set_num_threads(threads)
        times: dict[str, list[float]] = {arm: [] for arm in ARMS}
        for i in range(options.rounds):
            seed_everything(i, verbose=False)
            for arm, measure in zip(ARMS, (bare_loop, plain_lightning, through_library), strict=True):
                times[arm].append(measure(*build(), steps))
        ratios = {
            arm: statistics.median(b / a for a, b in zip(times[arm], times["library"], strict=True)) for arm in ARMS[:2]
        }
        results[name] = {"threads": threads, "ms": times, "ratio_to": ratios}
        print(
            f"{name}: ms { ({arm: round(statistics.median(times[arm]), 2) for arm in ARMS}) }, ratio to {ratios}",
            flush=True,
        )
    path = Path(__file__).parent / "results" / "step_overhead.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
