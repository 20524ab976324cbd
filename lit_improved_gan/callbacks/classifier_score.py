"""Classifier score and class histogram of samples, while training and at test."""

from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lit_improved_gan.axis import batches_done, log_at
from lit_improved_gan.callbacks.numbered_samples import check_samples, numbered_samples
from lit_improved_gan.metrics import ClassifierScore, load_classifier

__all__ = ["ClassifierScoreMonitor"]


class ClassifierScoreMonitor(Callback):
    """Let a classifier judge samples of the averaged generator.

    Logs ``classifier_score`` and its standard deviation over splits, ``confident_share`` (samples with a class above
    0.9) and the share of samples in each class, ``class_0`` and so on: under ``val/`` every few epochs, under ``test/``
    at the end. The same samples, split over the processes, are judged each time; the state of training's noise is
    untouched.

    Works on any LightningModule with ``sample(n, seed)`` that returns images ``(n, C, H, W)`` in [-1, 1], and with
    ``batches`` or Lightning's ``global_step`` to count training batches.

    Args:
        classifier: checkpoint of a trained ``Classifier``; by default the one for digits that comes with the package.
        num_samples: samples judged at test, >= splits. The score depends on it: compare at equal numbers.
        every_n_epochs: epochs between two looks while training; 0: none.
        val_samples: samples judged at each look, >= splits.
        splits: groups over which mean and standard deviation are taken.
        seed: of the samples.

    Raises:
        ValueError: an argument is out of its range; the classifier takes other images than the module makes.
        TypeError: in ``setup``: the module has no ``sample``.
    """

    def __init__(
        self,
        classifier: str | None = None,
        num_samples: int = 5000,
        every_n_epochs: int = 0,
        val_samples: int = 1000,
        splits: int = 10,
        seed: int = 0,
    ) -> None:
        self.classifier = load_classifier(classifier)
        if every_n_epochs < 0:
            raise ValueError(
                f"Parameter `every_n_epochs` of ClassifierScoreMonitor should be 0 or more. Found {every_n_epochs}."
            )
        self.num_samples, self.every_n_epochs, self.val_samples = num_samples, every_n_epochs, val_samples
        self.splits, self.seed = splits, seed
        for samples in (num_samples, val_samples):
            ClassifierScore(self.classifier.num_classes, samples, splits)  # says what is wrong with the numbers

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Check that there are samples, and that the classifier takes the data's images."""
        check_samples("ClassifierScoreMonitor", pl_module)
        shape = getattr(trainer.datamodule, "image_shape", None)
        if shape is not None and tuple(shape) != self.classifier.image_shape:
            raise ValueError(
                f"Parameter `classifier` of ClassifierScoreMonitor takes images {self.classifier.image_shape}. "
                f"The data has {tuple(shape)}: train one on this data and give its checkpoint."
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Judge ``val_samples`` samples where it is due."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            values, _ = self._judge(trainer, pl_module, "val", self.val_samples)
            pl_module.log_dict(values, logger=False)
            log_at(trainer.loggers, values, batches_done(trainer, pl_module))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Judge ``num_samples`` samples, and show the histogram."""
        values, shares = self._judge(trainer, pl_module, "test", self.num_samples)
        pl_module.log_dict(values)
        bars = "\n".join(f"  class {k}  {share:6.1%}  {'#' * round(100 * share)}" for k, share in enumerate(shares))
        sure = values["test/confident_share"]
        title = f"class histogram of {self.num_samples} samples, {sure:.1%} of them classified confidently:"
        rank_zero_info(f"{title}\n{bars}")

    @torch.no_grad()
    def _judge(self, trainer: Trainer, pl_module: Any, stage: str, n: int) -> tuple[dict[str, float], list[float]]:
        classifier = self.classifier.to(pl_module.device)
        metric = ClassifierScore(classifier.num_classes, n, self.splits).to(pl_module.device)
        histogram = torch.zeros(classifier.num_classes + 1, dtype=torch.float64, device=pl_module.device)
        mine = torch.arange(n)[trainer.global_rank :: trainer.world_size]
        for numbers, images in numbered_samples(pl_module, mine, n, self.seed, 1000):
            p = classifier(images.float()).softmax(1)
            metric.update(p, numbers)
            histogram[:-1] += torch.bincount(p.argmax(1), minlength=classifier.num_classes)
            histogram[-1] += (p.amax(1) > 0.9).sum()
        histogram = trainer.strategy.reduce(histogram, reduce_op="sum") / n
        mean, std = metric.compute()
        *shares, confident = histogram.tolist()
        values = {"classifier_score": mean, "classifier_score_std": std, "confident_share": confident}
        values |= {f"class_{k}": share for k, share in enumerate(shares)}
        return {f"{stage}/{name}": float(value) for name, value in values.items()}, shares
