"""Modes that the samples cover, while training and at test."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lit_improved_gan.axis import batches_done, log_at
from lit_improved_gan.callbacks.numbered_samples import check_samples, numbered_samples
from lit_improved_gan.metrics import GaussianModes, ModeCoverage, ModeJudge, SupportSize, distance_of_share
from lit_improved_gan.seeding import generator, mix, permutation
from lit_improved_gan.types import seeds_of
from lit_improved_gan.untouched import untouched_noise

__all__ = ["ModeCoverageMonitor"]

_PART = 1000


class ModeCoverageMonitor(Callback):
    """Count the modes of the data that samples of the averaged generator cover.

    Logs what :class:`~lit_improved_gan.metrics.ModeCoverage` returns, ``modes``, ``quality``, ``kl`` and so on, under
    ``val/`` every so many training batches and under ``test/`` at the end; and, as a scale for them, the same of real
    samples, ``real_modes``, and of noise that is uniform over the data's range, ``noise_modes``. Beside them is
    ``support``, how many different samples the first 1,000 of each process say that there are by coinciding pairs, see
    :class:`~lit_improved_gan.metrics.SupportSize`: it needs no judge, and is 1,000 for real ones. Of seeds side by side
    each is measured, ``modes_seed3``, and their mean. The same samples, split over the processes, are judged each time;
    the state of training's noise is untouched.

    Works on any LightningModule with ``sample(n, seed)``, and with ``batches`` or Lightning's ``global_step`` to count
    training batches; on any datamodule with ``real_images(split)``, in uint8 or, where they are unbounded, float.

    Args:
        judge: says which mode a sample belongs to, and whether it is good enough to count; ``None``: by the ``centres``
            and the ``std`` of a datamodule of Gaussians.
        num_samples: samples judged at test, >= 1. Compare at equal numbers: published ones are of 2,500 points, or
            26,000 images.
        every_n_batches: training batches between two looks; 0: none.
        val_samples: samples judged at each look, >= 1.
        seed: of the samples.

    Raises:
        ValueError: an argument is out of its range; in ``setup``: the judge takes other samples, or there is none.
        TypeError: in ``setup``: the module makes no samples, or the datamodule has no real ones.
    """

    def __init__(
        self,
        judge: ModeJudge | None = None,
        num_samples: int = 2500,
        every_n_batches: int = 2000,
        val_samples: int = 2500,
        seed: int = 0,
    ) -> None:
        for name, value, least in [
            ("num_samples", num_samples, 1),
            ("every_n_batches", every_n_batches, 0),
            ("val_samples", val_samples, 1),
        ]:
            if value < least:
                raise ValueError(f"Parameter `{name}` of ModeCoverageMonitor should be {least} or more. Found {value}.")
        self.judge, self.num_samples, self.seed = judge, num_samples, seed
        self.every_n_batches, self.val_samples = every_n_batches, val_samples
        self._within = 0.0
        self._null: dict[int, dict[str, float]] = {}

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Check that there are samples and real ones, and that the judge takes them."""
        if stage not in ("fit", "test"):
            return
        check_samples("ModeCoverageMonitor", pl_module)
        data = trainer.datamodule
        if not callable(getattr(data, "real_images", None)):
            raise TypeError(
                f"ModeCoverageMonitor needs a method real_images(split) of the datamodule. Found none in "
                f"{type(data).__name__}: use an ImageDataModule."
            )
        if self.judge is None:
            if not hasattr(data, "centres"):
                raise ValueError(
                    "Parameter `judge` of ModeCoverageMonitor is needed where the datamodule has no `centres`. Found "
                    f"none in {type(data).__name__}: give a ModeJudge, such as ClassifiedModes."
                )
            self.judge = GaussianModes(data.centres, data.std)
        self._null.clear()
        self.judge.cpu()(_real(data, 2))
        self._within = distance_of_share(_real(data, -_PART))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        """Judge ``val_samples`` samples where it is due."""
        batches = batches_done(trainer, pl_module)
        if self.every_n_batches and batches % self.every_n_batches == 0:
            values = self._measure(trainer, pl_module, "val", self.val_samples)
            pl_module.log_dict(values, logger=False)
            log_at(trainer.loggers, values, batches)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Judge ``num_samples`` samples, and show what they cover beside real samples and noise."""
        values = self._measure(trainer, pl_module, "test", self.num_samples)
        pl_module.log_dict(values)
        seeds = seeds_of(pl_module)
        rows, whose = [("generated", "", "")], ""
        if len(seeds) > 1:
            rows, whose = [(f"seed {seed}", "", f"_seed{seed}") for seed in seeds], " of each seed"
            rows.append(("their mean", "", ""))
        rows += [("real", "real_", ""), ("noise", "noise_", "")]
        count = f"{self._judge.num_modes} modes, {self.num_samples} samples{whose}"
        lines = [f"of {count} cover (all, with those of low quality):"]
        for row, prefix, end in rows:
            modes, quality, kl, all_modes, all_kl = (
                values[f"test/{prefix}{name}{end}"]
                for name in ("modes", "quality", "kl", "modes_ungated", "kl_ungated")
            )
            lines.append(
                f"  {row:10} {modes:5g} modes, KL {kl:.3f}, {quality:6.1%} of high quality "
                f"(all: {all_modes:6g} modes, KL {all_kl:.3f})"
            )
        rank_zero_info("\n".join(lines))

    @property
    def _judge(self) -> ModeJudge:
        assert self.judge is not None  # setup has made one
        return self.judge

    @torch.no_grad()
    def _measure(self, trainer: Trainer, pl_module: Any, stage: str, n: int) -> dict[str, float]:
        self._judge.to(pl_module.device)
        if n not in self._null:
            samples = {"real": _real(trainer.datamodule, n), "noise": _noise(trainer.datamodule, n)}  # type: ignore[attr-defined]  # the loader of data sets it
            self._null[n] = {
                f"{row}_{name}": value
                for row, x in samples.items()
                for name, value in self._coverage(part.to(pl_module.device) for part in x.split(_PART)).items()
            }
        seeds = seeds_of(pl_module)
        with untouched_noise(pl_module.device):
            torch.manual_seed(mix(self.seed, stage, trainer.global_rank))  # for a generator with noise of its own
            parts = list(self._samples(trainer, pl_module, n, len(seeds)))
        each = [self._coverage(part[i :: len(seeds)] for part in parts) for i in range(len(seeds))]
        found = {name: sum(one[name] for one in each) / len(each) for name in each[0]}
        if len(seeds) > 1:
            for seed, one in zip(seeds, each, strict=True):
                found |= {f"{name}_seed{seed}": value for name, value in one.items()}
        return {f"{stage}/{name}": value for name, value in (found | self._null[n]).items()}

    def _samples(self, trainer: Trainer, pl_module: Any, n: int, members: int) -> Iterator[Tensor]:
        """This process's share of ``n`` samples of each member; row i of a part is by member i modulo their number."""
        numbers = torch.arange(n * members)[trainer.global_rank :: trainer.world_size]
        for _, images in numbered_samples(pl_module, numbers, n * members, self.seed, _PART * members):
            yield images

    def _coverage(self, parts: Any) -> dict[str, float]:
        coverage, support = ModeCoverage(self._judge.num_modes), SupportSize(self._within)
        for i, part in enumerate(parts):
            coverage.to(part.device).update(*self._judge(part))
            if i == 0:
                support.to(part.device).update(part)
        return {name: float(value) for name, value in (coverage.compute() | support.compute()).items()}


def _real(data: Any, n: int) -> Tensor:
    """``n`` real training samples, as the generator makes them; of -n, n others. All where there are fewer."""
    images: Tensor = data.real_images("train")
    rows = permutation(len(images), "real samples")
    images = images[rows[:n] if n >= 0 else rows[n:]]
    return images.float().div(127.5).sub(1) if images.dtype == torch.uint8 else images


def _noise(data: Any, n: int) -> Tensor:
    """``n`` samples of noise, uniform between the least and the largest real value."""
    real = _real(data, 10_000)
    low, high = (float(value) for value in real.aminmax())
    return low + (high - low) * torch.rand(n, *real.shape[1:], generator=generator("noise samples"))
