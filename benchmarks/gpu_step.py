"""A training batch of the paper's MNIST experiment on a GPU: as usual, with its gradients as CUDA graphs, and compiled.

    python benchmarks/gpu_step.py [--data data] [--batches 180] [--rows 0 1 2 ...] [--output FILE]

One seed alone and ten seeds side by side (the time is that of all ten), products in TF32, the training images on the
GPU; with bfloat16 by autocast and with compiled networks, too. Each is a fit of the library's module by the trainer,
without callbacks; the first thirty batches are not timed. Prints milliseconds a batch, and writes
benchmarks/results/gpu/gpu_step.json, in the place of this GPU's earlier rows: give some rows an --output of their own.
`benchmarks/bare_mnist_ssl.py` times the same as a bare loop.
"""

import argparse
import json
import logging
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from command import ROOT
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from lit_improved_gan import MLPDiscriminator, MLPGenerator, MNISTDataModule, ReleasedAdam, SideBySideSemiSupervisedGAN
from lit_improved_gan.modules import SemiSupervisedGAN

WARM_UP = 30
VARIANTS: list[tuple[int, bool, bool, Any]] = [  # seeds, CUDA graphs, networks compiled, precision
    (1, False, False, "32-true"),
    (1, True, False, "32-true"),
    (10, False, False, "32-true"),
    (10, True, False, "32-true"),
    (10, True, True, "32-true"),
    (10, True, False, "bf16-mixed"),
]


class Timer(Callback):
    """Milliseconds a batch, from one batch on to another."""

    def __init__(self, last: int) -> None:
        self.last, self.start, self.ms = last, 0.0, 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Read the clock."""
        if pl_module.batches not in (WARM_UP, self.last):
            return
        torch.cuda.synchronize()
        if pl_module.batches == WARM_UP:
            self.start = time.perf_counter()
        else:
            self.ms = 1e3 * (time.perf_counter() - self.start) / (self.last - WARM_UP)


def member(seed: int, graphs: bool, compiled: bool) -> SemiSupervisedGAN:
    """The module of configs/mnist_ssl.yaml."""
    seed_everything(seed, verbose=False)
    optimizer = partial(ReleasedAdam, lr=0.003)
    return SemiSupervisedGAN(
        MLPGenerator((1, 28, 28)),
        MLPDiscriminator((1, 28, 28)),
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        generator_average=0.001,
        discriminator_average=0.0001,
        seed=seed,
        cuda_graphs=graphs,
        compile_networks=compiled,
    )


def milliseconds(size: int, graphs: bool, compiled: bool, precision: Any, options: argparse.Namespace) -> float:
    """A batch of ``size`` seeds."""
    torch.compiler.reset()  # the networks of the row before are not to count
    members = [member(seed, graphs, compiled) for seed in range(size)]
    module = SideBySideSemiSupervisedGAN(members) if size > 1 else members[0]
    data = MNISTDataModule(root=options.data, labels_per_class=10, seeds=list(range(size)) if size > 1 else None)
    timer = Timer(options.batches)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(
        max_steps=options.batches, accelerator="gpu", devices=1, precision=precision, callbacks=[timer], **off
    )
    trainer.fit(module, data)
    return timer.ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--batches", type=int, default=180)
    parser.add_argument("--rows", type=int, nargs="+", default=list(range(len(VARIANTS))), help="which, from 0")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "gpu" / "gpu_step.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.backends.cuda.matmul.allow_tf32 = True
    done = json.loads(options.output.read_text()) if options.output.is_file() else {}
    rows: list[dict[str, Any]] = []
    done[torch.cuda.get_device_name()] = {"torch": torch.__version__, "rows": rows}
    for size, graphs, compiled, precision in [VARIANTS[i] for i in options.rows]:
        ms = milliseconds(size, graphs, compiled, precision, options)
        kind = {"seeds": size, "cuda_graphs": graphs, "compiled": compiled, "precision": precision}
        rows.append({**kind, "ms": round(ms, 2)})
        print(rows[-1], flush=True)
        options.output.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    main()
