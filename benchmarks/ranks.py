"""Whether several processes train as one does.

    python benchmarks/ranks.py [--worlds 2 4] [--results benchmarks/results/ranks.json]

Trains small networks on the digits for 30 batches in float64, with each technique alone and all together, unsupervised
and semi-supervised (there G matches features): by one process, and by two and four (gloo, DDP) that share the same
global batches. The noise inside the networks is off. At the end each process leaves its weights, their averages, its
buffers (means of historical averaging, reference batches, statistics) and the moments of both optimizers; what is
written is the largest difference from those of one process, and between processes. Cases named ``local`` leave out, on
purpose, what makes several processes one. What rounding alone makes of 30 batches is shown by one process whose weights
are changed in the last bit at the start. ``--quick``: all cases unsupervised by two processes, few of the rest.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from command import ROOT
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from lit_improved_gan import GAN, DigitsDataModule, HistoricalAveraging, LabelSmoothing, R1Penalty, SemiSupervisedGAN
from lit_improved_gan.callbacks import ReferenceBatch
from lit_improved_gan.layers import (
    BatchNormWithoutGain,
    MinibatchDiscrimination,
    SpectralNormLinear,
    VirtualBatchNorm,
    WeightNormLinear,
)
from lit_improved_gan.losses import FeatureMatchingLoss
from lit_improved_gan.modules import AdversarialModule
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator
from lit_improved_gan.ranks import gathered

BATCH, BATCHES = 32, 30  # of all processes together

Case = dict[str, Any]
TOGETHER = "all of the paper's"
PATIENCE = timedelta(minutes=2)  # of a process, where another has failed or does not make the same calls


def no_norm(width: int) -> nn.Module:
    return nn.Identity()


def local_mean(features: Tensor) -> Tensor:
    """The mean over this process's batch alone."""
    return features.mean(0)


class OfTheWholeBatch(BatchNormWithoutGain):
    """Batch norm with the statistics of all processes' batches, as torch's SyncBatchNorm has them on GPUs."""

    def forward(self, x: Tensor) -> Tensor:
        whole, first = gathered(x)
        return super().forward(whole)[first : first + len(x)]


CLOSENESS = {"minibatch_discrimination": partial(MinibatchDiscrimination, num_kernels=8)}
GATHERED = {"minibatch_discrimination": partial(MinibatchDiscrimination, num_kernels=8, across_ranks=True)}
MATCHING = {"generator_loss": FeatureMatchingLoss}
HISTORY = {"penalty": partial(HistoricalAveraging, 0.01), "penalised": ("generator", "discriminator")}
R1 = {"penalty": partial(R1Penalty, 0.1), "penalised": ("discriminator",)}
SMOOTHING = {"callbacks": (LabelSmoothing,)}
VIRTUAL = {"norm": VirtualBatchNorm, "callbacks": (partial(ReferenceBatch, "generator", size=16),)}
ALL = {**GATHERED, **MATCHING, **HISTORY, **VIRTUAL, "callbacks": (*VIRTUAL["callbacks"], *SMOOTHING["callbacks"])}

TECHNIQUES: dict[str, Case] = {
    "plain": {},
    "feature matching": MATCHING,
    "minibatch discrimination, across ranks": GATHERED,
    "historical averaging": HISTORY,
    "label smoothing": SMOOTHING,
    "virtual batch norm": VIRTUAL,
    TOGETHER: ALL,
    "R1": R1,
    "R1 and minibatch discrimination": {**GATHERED, **R1},
    "spectral norm": {"layer": SpectralNormLinear},
    "clipping, accumulation, two updates of D": {
        "module": {
            "discriminator_accumulation": 2, "generator_accumulation": 2, "d_updates_per_batch": 2,
            "discriminator_clip": 0.05, "generator_clip": 0.05,
        }
    },
}  # fmt: skip
BATCH_NORM: dict[str, Case] = {
    "batch norm": {"norm": BatchNormWithoutGain},
    "batch norm of the whole batch": {"norm": OfTheWholeBatch},
}
LOCAL: dict[str, Case] = {
    "local: feature matching": {"generator_loss": partial(FeatureMatchingLoss, statistic=local_mean)},
    "local: minibatch discrimination": CLOSENESS,
    "local: noise": {"noise": "the same"},
}
CASES = TECHNIQUES | BATCH_NORM | LOCAL
FEW = [TOGETHER, "batch norm"]
MODULES: dict[str, type[AdversarialModule]] = {"unsupervised": GAN, "semi-supervised": SemiSupervisedGAN}
STATE = ("weights", "averages", "buffers", "moments")


class AtValidation(Callback):
    """Keeps the buffers that a validation finds."""

    def __init__(self) -> None:
        self.buffers: dict[str, Tensor] = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.buffers = {name: value.clone() for name, value in pl_module.named_buffers()}


def cases(experiment: str, world: int, quick: bool) -> list[str]:
    """What is trained by ``world`` processes; one trains all of it."""
    names = [*TECHNIQUES, *BATCH_NORM, *(LOCAL if experiment == "unsupervised" and world <= 2 else ())]
    if experiment == "semi-supervised":
        names.remove("plain")
    few = quick and (world > 2 or experiment == "semi-supervised")
    return [name for name in names if name in FEW or not few]


class LastBit(Callback):
    """Changes all weights in the last bit before the first batch: what rounding alone does in the batches after it."""

    @torch.no_grad()
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for weight in [*pl_module.generator.parameters(), *pl_module.discriminator.parameters()]:
            weight.mul_(1 + 2**-52)


def build(experiment: str, case: Case) -> AdversarialModule:
    """The module of a case, the same on every process."""
    torch.manual_seed(0)
    generator = MLPGenerator(hidden=(24, 24), latent_size=10, norm=case.get("norm", no_norm))
    discriminator = MLPDiscriminator(
        num_outputs=1 if experiment == "unsupervised" else 10, hidden=(24, 24), input_noise=0, hidden_noise=0,
        layer=case.get("layer", WeightNormLinear), minibatch_discrimination=case.get("minibatch_discrimination"),
    )  # fmt: skip
    options: dict[str, Any] = {"seed": 3, **case.get("module", {})}
    if "generator_loss" in case:
        options["generator_loss"] = case["generator_loss"]()
    for player in case.get("penalised", ()):
        options[f"{player}_penalties"] = [case["penalty"]()]
    return MODULES[experiment](generator, discriminator, **options)


def share_one_noise(module: AdversarialModule) -> None:
    """Give every process the noise of the first."""
    own = module._noise

    def noise(n: int, player: str, update: int) -> Tensor:
        z = own(n, player, update).contiguous()
        if dist.is_initialized():
            dist.broadcast(z, 0)
        return z

    module._noise = noise  # type: ignore[method-assign]


def train(experiment: str, case: Case, world: int, folder: Path, *more: Callback) -> dict[str, Any]:
    """Train one case; what this process then has."""
    seed_everything(0, verbose=False)
    module, seen = build(experiment, case), AtValidation()
    if case.get("noise") == "the same":
        share_one_noise(module)
    trainer = Trainer(
        accelerator="cpu", devices=world, strategy="ddp_find_unused_parameters_true" if world > 1 else "auto",
        plugins=LightningEnvironment(), precision="64-true", max_epochs=2, limit_train_batches=BATCHES // 2,
        num_sanity_val_steps=0, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
        callbacks=[seen, *more, *(make() for make in case.get("callbacks", ()))],
    )  # fmt: skip
    parts = 4 if "module" in case else 1
    trainer.fit(module, DigitsDataModule(BATCH // parts // world, labels_per_class=5, val_size=33))
    assert trainer.global_step == BATCHES
    trainer.save_checkpoint(path := folder / f"{world}.ckpt")
    parameters = {name: value.detach() for name, value in module.named_parameters()}
    noise = module._noise(BATCH // world, "D", 0)
    module._seed_noise()
    return {
        "weights": {name: value for name, value in parameters.items() if "average" not in name},
        "averages": {name: value for name, value in parameters.items() if "average" in name},
        "buffers": dict(module.named_buffers()),
        "moments": {
            f"{player}.{i}.{name}": value
            for player, optimizer in zip(("D", "G"), trainer.optimizers, strict=True)
            for i, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
            if isinstance(value, Tensor)
        },
        "at validation": seen.buffers,
        "checkpoint": torch.load(path, weights_only=True)["state_dict"],
        "noise": noise,
        "noise inside": torch.randn(4),
    }


def process(rank: int, world: int, folder: Path, quick: bool, *more: Callback) -> None:
    """One of several processes: train its cases, and leave the results."""
    if world > 1:
        os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}  # as a launcher would
        store = f"file://{folder / f'store{world}'}"
        dist.init_process_group("gloo", store, rank=rank, world_size=world, timeout=PATIENCE)
    found = {
        (experiment, name): train(experiment, CASES[name], world, folder, *more)
        for experiment in MODULES
        for name in cases(experiment, world, quick)
    }
    torch.save(found, folder / f"{world}-{rank}.pt")


def run(world: int, folder: Path, quick: bool, *more: Callback) -> list[dict[tuple[str, str], dict[str, Any]]]:
    """All processes at once, forked from this one, which saves the time of the imports; what each has, by case.

    Raises:
        SystemExit: one failed.
    """
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                process(rank, world, folder, quick, *more)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)  # gloo's threads may abort the interpreter's own exit
        children.append(child)
    if max([os.waitpid(child, 0)[1] for child in children]):
        raise SystemExit(f"One of {world} processes failed.")
    return [torch.load(folder / f"{world}-{rank}.pt", weights_only=True) for rank in range(world)]


def difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor], relative: bool = False) -> float:
    """The largest, over all tensors; ``relative``: to a tensor's largest entry, where that is above 1."""
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    found = [0.0]
    for name, value in a.items():
        size = max(1.0, float(value.abs().max())) if relative else 1.0
        found.append(float((value.double() - b[name].double()).abs().max()) / size)
    return max(found)


def compare(one: dict[str, Any], ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """The differences of several processes from one, and from each other."""
    first = ranks[0]
    whole = torch.stack([rank["noise"] for rank in ranks], 1).flatten(0, 1)
    inside = {tuple(rank["noise inside"].tolist()) for rank in ranks}
    return {
        **{kind: max(difference(one[kind], r[kind], kind == "moments") for r in ranks) for kind in STATE},
        "between processes": max(difference(first[kind], rank[kind]) for rank in ranks for kind in STATE),
        "between processes, at validation": max(difference(first["at validation"], r["at validation"]) for r in ranks),
        "from the checkpoint": max(
            difference(first["checkpoint"], rank["weights"] | rank["averages"] | rank["buffers"]) for rank in ranks
        ),
        "noise is that of one process": torch.equal(whole, one["noise"]),
        "rows of noise that differ": len({tuple(row) for row in whole.tolist()}),
        "processes whose noise inside differs": len(inside),
    }


def measure(worlds: list[int], folder: Path, quick: bool) -> list[dict[str, Any]]:
    """The cases by one process and by each number of them, compared."""
    (one,) = run(1, folder, quick)
    rows = []
    for world in worlds if quick else [1, *worlds]:
        ranks = run(world, folder, quick, *([LastBit()] if world == 1 else []))
        for key in ranks[0]:
            row = compare(one[key], [rank[key] for rank in ranks])
            rows.append({"experiment": key[0], "case": key[1], "processes": world, **row})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The differences of the weights, as docs/several-processes.md has them."""
    columns = list(dict.fromkeys((row["experiment"], row["processes"]) for row in rows))
    columns.sort(key=lambda column: list(MODULES).index(column[0]))
    found = {(row["case"], row["experiment"], row["processes"]): f"{row['weights']:.0e}" for row in rows}
    lines = ["| | " + " | ".join(f"{experiment}, {world}" for experiment, world in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for case in CASES:
        lines.append(f"| {case} | " + " | ".join(found.get((case, *column), "") for column in columns) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/ranks.json")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.worlds, Path(folder), options.quick)
    result = {"command": "python benchmarks/ranks.py", "batch": BATCH, "batches": BATCHES, "rows": rows}
    options.results.write_text(json.dumps(result, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
