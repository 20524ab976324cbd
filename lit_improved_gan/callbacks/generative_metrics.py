"""Inception score, FID and their kin of a module's samples, while training and at test."""

import json
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import torch
import torchmetrics
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from tqdm import tqdm

from lit_improved_gan.axis import batches_done, log_at
from lit_improved_gan.callbacks.numbered_samples import check_samples, numbered_samples
from lit_improved_gan.metrics import FeatureExtractor, FeatureMetric, RealStatistics, cache_folder, content_of
from lit_improved_gan.seeding import mix
from lit_improved_gan.untouched import untouched_noise

__all__ = ["GenerativeMetrics"]


class GenerativeMetrics(Callback):
    """Measure samples of the averaged generator against real images.

    Logs what the measures return, under ``val/`` every few epochs and under ``test/`` at the end, the same on every
    process, and adds it to ``metrics.json`` in the run directory with all that is needed to repeat it. Each process
    makes and measures its share of the same samples; all images pass the extractor once, whatever the number of
    measures. The state of training's noise is untouched, and nothing of the extractor enters a checkpoint.

    Works on any LightningModule with ``sample(n, seed)`` that returns images ``(n, C, H, W)`` in [-1, 1] (with
    ``sample_numbered(numbers, seed)`` each process makes its share alone), and on any datamodule with
    ``real_images(split)`` that returns them in uint8.

    Args:
        extractor: turns images into features.
        metrics: make the measures, each from the extractor.
        num_samples: samples that are measured at test, >= 2. Values of different numbers do not compare.
        every_n_epochs: epochs between two looks while training; 0: none.
        val_samples: samples at each look; ``None``: ``num_samples``.
        real: the part of the data that they are measured against.
        num_real: the first real images of that part; ``None``: all.
        batch_size: images that the extractor is given at once, >= 1.
        seed: of the samples.
        cache: folder of what was measured of the real images; ``None``: in the user's cache.

    Raises:
        ValueError: an argument is out of its range; in ``setup``: there are too few images for a measure, or the
            extractor takes others than the data's.
        TypeError: in ``setup``: the module makes no samples, or the datamodule has no real images.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        metrics: list[Callable[[FeatureExtractor], FeatureMetric]],
        num_samples: int = 50_000,
        every_n_epochs: int = 0,
        val_samples: int | None = None,
        real: Literal["train", "val", "test"] = "train",
        num_real: int | None = None,
        batch_size: int = 50,
        seed: int = 0,
        cache: str | None = None,
    ) -> None:
        for name, value, least in [
            ("num_samples", num_samples, 2),
            ("every_n_epochs", every_n_epochs, 0),
            ("val_samples", val_samples, 2),
            ("num_real", num_real, 2),
            ("batch_size", batch_size, 1),
        ]:
            if value is not None and value < least:
                raise ValueError(f"Parameter `{name}` of GenerativeMetrics should be {least} or more. Found {value}.")
        if not metrics:
            raise ValueError("Parameter `metrics` of GenerativeMetrics should name one or more. Found none.")
        self.extractor = extractor
        self.metrics = [make(extractor) for make in metrics]
        self.num_samples, self.every_n_epochs, self.batch_size = num_samples, every_n_epochs, batch_size
        self.val_samples = num_samples if val_samples is None else val_samples
        self.real, self.num_real, self.seed = real, num_real, seed
        self.cache = cache_folder() if cache is None else Path(cache)
        self._real_count, self._content = 0, ""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Check that there are samples and real images, and enough of them."""
        if stage not in ("fit", "test"):
            return
        check_samples("GenerativeMetrics", pl_module)
        shape = getattr(trainer.datamodule, "image_shape", None)
        if shape is not None:
            self.extractor.check_size(*shape[1:])
        wanted = (
            {self.num_samples} if stage == "test" or not self.every_n_epochs else {self.num_samples, self.val_samples}
        )
        real = self._know_real_images(trainer) if self._against_real else 0
        for metric in self.metrics:
            for count in wanted:
                metric.expect(real, count)

    @property
    def _against_real(self) -> bool:
        return any(metric.needs_real for metric in self.metrics)

    def _know_real_images(self, trainer: Any) -> int:
        """How many there are; what was measured of others is forgotten."""
        images = self._real_images(trainer)
        content = content_of(images)
        if content != self._content:
            self._real_count, self._content = 0, content
        return len(images)

    def _real_images(self, trainer: Any) -> Tensor:
        if not callable(getattr(trainer.datamodule, "real_images", None)):
            raise TypeError(
                "GenerativeMetrics needs a method real_images(split) of the datamodule, which returns images in uint8. "
                f"Found none in {type(trainer.datamodule).__name__}."
            )
        images: Tensor = trainer.datamodule.real_images(self.real)
        if self.num_real is not None and self.num_real > len(images):
            raise ValueError(
                f"Parameter `num_real` of GenerativeMetrics should be at most the {len(images)} images of "
                f"{self.real!r}. Found {self.num_real}."
            )
        if not len(images):
            raise ValueError(f"Parameter `real` of GenerativeMetrics: there are no images in {self.real!r}.")
        return images[: self.num_real]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measure ``val_samples`` samples where it is due."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            values = self._measure(trainer, pl_module, "val", self.val_samples)
            pl_module.log_dict(values, logger=False)
            log_at(trainer.loggers, values, batches_done(trainer, pl_module))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measure ``num_samples`` samples."""
        pl_module.log_dict(self._measure(trainer, pl_module, "test", self.num_samples))

    def _measure(self, trainer: Trainer, pl_module: Any, stage: str, n: int) -> dict[str, float]:
        # not in inference mode: its tensors do not tell whether they have changed, and the extractor remembers the last
        with torch.inference_mode(False), torch.no_grad(), untouched_noise(pl_module.device):
            torch.manual_seed(mix(self.seed, stage, trainer.global_rank))  # for a generator with noise of its own
            found = self._found(trainer, pl_module, n)
        values = {f"{stage}/{name}": float(value) for name, value in found.items()}
        self._record(trainer, pl_module, values, n)
        return values

    def _found(self, trainer: Trainer, pl_module: Any, n: int) -> dict[str, Tensor]:
        self.extractor.to(pl_module.device)
        for metric in self.metrics:
            metric.to(pl_module.device)
            metric.reset_generated()  # of a measurement that was cut off
        if self._against_real and not self._real_count:
            self._measure_real(trainer, pl_module.device)
        numbers = torch.arange(n)[trainer.global_rank :: trainer.world_size]
        parts = numbered_samples(pl_module, numbers, n, self.seed, self.batch_size)
        for metric in self.metrics:
            metric.expect(self._real_count, n)
        for part, images in self._shown(trainer, parts, len(numbers), "samples"):
            # one tensor for all, which passes the extractor once; a copy where a module sampled in inference mode
            images = images.float().clone() if images.is_inference() else images.float()  # noqa: PLW2901
            for metric in self.metrics:
                metric.update(images, real=False, numbers=part)
        found: dict[str, Tensor] = {}
        for metric in self.metrics:
            found |= metric.compute()
            metric.reset_generated()
        self.extractor.forget()
        return found

    def _measure_real(self, trainer: Trainer, device: torch.device) -> None:
        """Take what is kept, and gather the rest, each process its share; the first process has the sum."""
        images = self._real_images(trainer)
        kept = RealStatistics(self.cache, self._content)
        asked = [metric for metric in self.metrics if metric.needs_real]
        for metric in asked:
            metric.reset()
        found = [trainer.is_global_zero and kept.load(metric) for metric in asked]
        found = trainer.strategy.broadcast(found)
        missing = [metric for metric, there in zip(asked, found, strict=True) if not there]
        if missing:
            rows = torch.arange(len(images))[trainer.global_rank :: trainer.world_size]
            parts = ((part, images[part].to(device)) for part in rows.split(self.batch_size))
            for part, batch in self._shown(trainer, parts, len(rows), "real images"):
                for metric in missing:
                    metric.update(batch, real=True, numbers=part.to(device))
        for metric in missing:
            total = {
                name: trainer.strategy.reduce(value, reduce_op="sum") for name, value in metric.real_state().items()
            }
            if trainer.is_global_zero:
                metric.load_real_state({name: value for name, value in total.items() if isinstance(value, Tensor)})
                kept.save(metric)
            else:
                metric.reset()
        self._real_count = len(images)

    def _shown(self, trainer: Trainer, parts: Iterable[Any], n: int, what: str) -> Iterable[Any]:
        """The parts, with a progress bar where there is one for training."""
        hidden = trainer.progress_bar_callback is None or not trainer.is_global_zero
        total = -(-n // self.batch_size)
        bar: Iterable[Any] = tqdm(parts, f"measuring {what}", total, leave=False, disable=hidden, mininterval=1.0)
        return bar

    def _record(self, trainer: Any, pl_module: Any, values: dict[str, float], n: int) -> None:
        if not trainer.is_global_zero:
            return
        path = Path(trainer.default_root_dir) / "metrics.json"
        records = json.loads(path.read_text()) if path.is_file() else []
        records.append(
            {
                **values,
                "batches": batches_done(trainer, pl_module),
                "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
                "samples": n,
                "seed of the samples": self.seed,
                "real images": f"{self._real_count} of {type(trainer.datamodule).__name__}, {self.real}",
                "content of the real images": self._content,
                "features": self.extractor.fingerprint,
                "measures": [metric.settings for metric in self.metrics],
                "processes": trainer.world_size,
                "versions": {
                    "python": platform.python_version(),
                    "torch": torch.__version__,
                    "torchmetrics": torchmetrics.__version__,
                },
            }
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(records, indent=1) + "\n")
        unfinished.replace(path)
