"""What the library's machinery costs.

    python benchmarks/step_overhead.py [--rounds 5] [--threads 2]

Times one semi-supervised training batch (a D update on labelled, unlabelled and generated images, a G update by feature
matching, both averages) as a bare PyTorch loop and through the Trainer with the command line's default logging and
progress, in one process, in alternating rounds: ``digits`` with the
networks and the one thread of configs/digits.yaml on the real digits, ``mnist`` with the paper's networks on random
images and ``--threads``. All that makes a run exact and safe is in the library's time: noise by seed and batch, the
checks that losses, gradients and weights are finite, checkpoints that a kill cannot spoil, signals, counters. Writes
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
from lightning.pytorch import Callback, Trainer, seed_everything

from lit_improved_gan import DigitsDataModule, FeatureMatchingLoss, ImageDataModule, ReleasedAdam, SemiSupervisedGAN
from lit_improved_gan.callbacks import GracefulInterrupt, LastCheckpoint, RunProgress
from lit_improved_gan.cli.loggers import RunCSVLogger
from lit_improved_gan.data import Images
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator

BATCH = 100


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


def bare_loop(generator: Any, discriminator: Any, data: ImageDataModule, steps: int) -> float:
    """Milliseconds per batch of the same computation without Lightning, epochs, streams, logs or checks."""
    g_optimizer, d_optimizer = (
        ReleasedAdam([p for p in net.parameters() if p.requires_grad], lr=3e-3) for net in (generator, discriminator)
    )
    averages = [deepcopy(net).requires_grad_(False) for net in (generator, discriminator)]
    pairs = [
        (list(a.parameters()) + [b for b in a.buffers() if b.is_floating_point()],
         [p.detach() for p in n.parameters()] + [b for b in n.buffers() if b.is_floating_point()])
        for a, n in zip(averages, (generator, discriminator), strict=True)
    ]  # fmt: skip
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    data.setup()
    images, labels = data.training_set.images, data.training_set.labels
    labelled = data.labelled_rows()

    def pick(rows: torch.Tensor) -> torch.Tensor:
        return images[rows].float().div_(127.5).sub_(1)

    start = 0.0
    for step in range(-10, steps):
        if step == 0:
            start = time.perf_counter()
        l_rows = labelled[torch.randint(len(labelled), (BATCH,))]
        u_rows, m_rows = torch.randint(len(images), (2, BATCH))
        with torch.no_grad():
            fake = generator(torch.rand(BATCH, 100))
        out = discriminator(torch.cat([pick(l_rows), pick(u_rows), fake])).logits
        l_out, u_out, f_out = out.split(BATCH)
        unsupervised = F.softplus(-u_out.logsumexp(1)).mean() + F.softplus(f_out.logsumexp(1)).mean()
        loss = F.cross_entropy(l_out, labels[l_rows]) + 0.5 * unsupervised
        d_optimizer.zero_grad()
        loss.backward()
        d_optimizer.step()
        for p in trained:
            p.requires_grad = False
        fake = discriminator(generator(torch.rand(BATCH, 100))).features
        with torch.no_grad():
            real = discriminator(pick(m_rows)).features
        name = list(real)[-1]
        loss = (real[name].mean(0) - fake[name].mean(0)).square().mean()
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()
        for p in trained:
            p.requires_grad = True
        for average, values in pairs:
            torch._foreach_lerp_(average, values, 0.01)
    return 1e3 * (time.perf_counter() - start) / steps


class Clock(Callback):
    """Times the batches after the first ten."""

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == 10:
            self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self.end = time.perf_counter()


def through_library(generator: Any, discriminator: Any, data: ImageDataModule, steps: int) -> float:
    """Milliseconds per batch through the Trainer, epoch ends and logging included, validation left out."""
    make = partial(ReleasedAdam, lr=3e-3)
    module = SemiSupervisedGAN(
        generator, discriminator, FeatureMatchingLoss(), generator_optimizer=make, discriminator_optimizer=make
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=steps + 10,
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
    assert module.batches == steps + 10
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
        times: dict[str, list[float]] = {"bare": [], "library": []}
        for i in range(options.rounds):
            seed_everything(i, verbose=False)
            times["bare"].append(bare_loop(*build(), steps))
            times["library"].append(through_library(*build(), steps))
        ratios = [b / a for a, b in zip(times["bare"], times["library"], strict=True)]
        results[name] = {"threads": threads, "ms": times, "ratio": ratios, "median_ratio": statistics.median(ratios)}
        bare, library = (statistics.median(times[kind]) for kind in ("bare", "library"))
        print(
            f"{name}: bare {bare:.2f} ms, library {library:.2f} ms, ratio {statistics.median(ratios):.3f}", flush=True
        )
    path = Path(__file__).parent / "results" / "step_overhead.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
