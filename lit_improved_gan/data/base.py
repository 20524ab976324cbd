"""The DataModule that all data sets share: splits, labelled subsets, streams."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from lit_improved_gan.data.images import Images, check_images, gather, to_float
from lit_improved_gan.data.labels import check_labelled, labelled_rows
from lit_improved_gan.data.streams import BatchDataset, BatchSampler, Stream
from lit_improved_gan.data.training_batches import Rows, TrainingBatches, fits
from lit_improved_gan.seeding import current_seed, permutation
from lit_improved_gan.types import LabelledBatch, TwoPlayers

__all__ = ["ImageDataModule"]


class ImageDataModule(LightningDataModule, ABC):
    """Batches of images in [-1, 1], in an order that depends on the seed and the number of the batch alone.

    A data set is a subclass with :meth:`load`. A training batch is a dict with one entry for each stream that the
    LightningModule asks for in its attribute ``streams`` (stream: batches of it in a training batch):
    ``labelled`` is a :class:`~lit_improved_gan.types.LabelledBatch`; ``unlabelled`` and ``matching`` are images, two
    independent orders of the whole training set. A module without ``streams`` gets (images, labels).
    Validation and test batches are (images, labels), in order, each image exactly once over all processes.

    Args:
        batch_size: images of a stream's batch, on each process.
        labels_per_class: labelled training images of each class; ``None``: all whose class is known.
        label_seed: chooses them; ``None``: the seed of ``seed_everything``.
        released_labels: choose them as the released scripts do from ``--seed_data``, which is then ``label_seed``;
            with ``val_size`` among the rest, so they are not the authors' subset then.
        seeds: of members that train side by side: a training batch holds a part for each, one after the other, with the
            labelled subset and the order of that seed. ``None``: there is one.
        val_size: training images held out for validation; the split is the same for every seed. 0: none.
        num_workers: processes that load batches; the images are in memory, so 0 is fastest.
        num_samples: images that ``predict`` generates.

    Raises:
        ValueError: a value is out of its range, in the constructor or, where it depends on the data, in ``setup``.
    """

    def __init__(
        self,
        batch_size: int = 100,
        labels_per_class: int | None = None,
        label_seed: int | None = None,
        val_size: int = 0,
        num_workers: int = 0,
        num_samples: int = 100,
        seeds: list[int] | None = None,
        released_labels: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        for name, value, least in [
            ("batch_size", batch_size, 1),
            ("labels_per_class", labels_per_class, 1),
            ("val_size", val_size, 0),
            ("num_workers", num_workers, 0),
            ("num_samples", num_samples, 1),
        ]:
            if value is not None and value < least:
                raise ValueError(
                    f"Parameter `{name}` of {type(self).__name__} should be {least} or more. Found {name}={value}."
                )
        if released_labels and labels_per_class is None:
            raise ValueError(
                f"Parameter `released_labels` of {type(self).__name__} chooses which images have labels. "
                "Found labels_per_class=None: give it too, or leave out `released_labels`."
            )
        self.batch_size = batch_size
        self.labels_per_class = labels_per_class
        self.label_seed = label_seed
        self.val_size = val_size
        self.num_workers = num_workers
        self.num_samples = num_samples
        self.seeds = seeds
        self.released_labels = released_labels
        self.order_seed: int | None = None
        self.training_set: Images | None = None
        self._resident: Images | None = None

    # --- what a data set defines ---

    image_shape: tuple[int, ...]
    """(C, H, W)."""
    unbounded: bool = False
    """Whether what is learned is no images but float32 of any shape and range, such as points: it is left as it is."""
    num_classes: int
    """K; labels are 0..K-1."""

    @abstractmethod
    def load(self) -> tuple[Images, Images]:
        """Load the training and the test set."""

    # --- splits ---

    def setup(self, stage: str | None = None) -> None:
        """Load and check the data, once, and split off the validation set."""
        if self.training_set is not None:
            return
        if not hasattr(self, "image_shape") or not hasattr(self, "num_classes"):
            raise ValueError(f"{type(self).__name__} should have the attributes `image_shape` and `num_classes`.")
        train, self.test = self.load()
        for part, data in [("training", train), ("test", self.test)]:
            check_images(type(self).__name__, part, data, tuple(self.image_shape), self.num_classes, self.unbounded)
        known = (train.labels >= 0).nonzero().squeeze(1)
        if self.val_size >= len(known) and self.val_size:
            raise ValueError(
                f"Parameter `val_size` of {type(self).__name__} should be below the {len(known)} training images with "
                f"a label. Found val_size={self.val_size}."
            )
        val = known[permutation(len(known), "validation split")[: self.val_size]]
        kept = torch.ones(len(train.labels), dtype=torch.bool)
        kept[val] = False
        rest = kept.nonzero().squeeze(1)
        self.val = Images(train.images[val], train.labels[val])
        self.training_set = Images(train.images[rest], train.labels[rest])
        if self.label_seed is None:
            self.label_seed = current_seed()
        if self.order_seed is None:
            self.order_seed = current_seed()
        for seed in self.seeds or [self.label_seed]:
            self.labelled_rows(seed)  # what is wrong with the labels is said before training

    def _training_set(self) -> Images:
        if self.training_set is None:
            self.setup()
        assert self.training_set is not None  # setup has just set it
        return self.training_set

    def labelled_rows(self, seed: int | None = None) -> Tensor:
        """Rows of the training set whose labels may be used, ``(count,)``; ``seed`` is by default ``label_seed``."""
        labels = self._training_set().labels
        if self.labels_per_class is None:
            return (labels >= 0).nonzero().squeeze(1)
        chosen_by = self.label_seed if seed is None else seed
        assert chosen_by is not None  # setup has set it
        return labelled_rows(labels, self.num_classes, self.labels_per_class, chosen_by, self.released_labels)

    def real_images(self, split: str) -> Tensor:
        """The images that generated ones are measured against, ``(N, C, H, W)``, uint8; float32 where unbounded.

        Args:
            split: ``"train"``, without those held out, ``"val"`` or ``"test"``.
        """
        train = self._training_set()
        parts = {"train": train, "val": self.val, "test": self.test}
        if split not in parts:
            raise ValueError(f"Parameter `split` of real_images should be one of {list(parts)}. Found {split!r}.")
        return parts[split].images

    def reference_images(self, n: int, seed: int) -> Tensor:
        """``n`` training images in [-1, 1] chosen by ``seed``, the same on every process; all of them if fewer."""
        images = self._training_set().images
        return to_float(images[permutation(len(images), seed, "reference images")[:n]])

    def state_dict(self) -> dict[str, Any]:
        """The seeds: a run resumed under another seed keeps its own subset and order."""
        return {"label_seed": self.label_seed, "order_seed": self.order_seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the seeds of the checkpoint."""
        self.label_seed, self.order_seed = state_dict["label_seed"], state_dict["order_seed"]

    # --- loaders ---

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of every stream that the module asks for, from the module's own batch on."""
        module: Any = self.trainer.lightning_module if self.trainer else None
        wanted: Mapping[str, int] = getattr(module, "streams", {})
        world = self.trainer.world_size if self.trainer else 1
        rank = self.trainer.global_rank if self.trainer else 0
        n = len(self._training_set().labels)
        every = torch.arange(n)
        known = ["labelled", "unlabelled", "matching"]
        unknown = set(wanted) - set(known)
        if unknown:
            raise ValueError(f"Attribute `streams` of {type(module).__name__} should name {known}. Found {unknown}.")
        if isinstance(module, TwoPlayers) and "labelled" not in wanted and self.labels_per_class is not None:
            rank_zero_warn(
                f"Parameter `labels_per_class` of {type(self).__name__} does nothing here: {type(module).__name__} "
                f"takes no labels. Found labels_per_class={self.labels_per_class}: leave it out, or train by a "
                "SemiSupervisedGAN (configs/technique/semi_supervised.yaml)."
            )
        if "labelled" in (wanted or ["labelled"]):
            labels, named = self._training_set().labels, "labelled" in wanted
            check_labelled(type(self).__name__, labels, self.num_classes, every_class=named)
        assert self.order_seed is not None  # setup has set it
        members = [(seed, seed) for seed in self.seeds] if self.seeds else [(self.label_seed, self.order_seed)]
        streams = {
            name: [
                Stream(self.labelled_rows(label_seed) if name == "labelled" else every, order_seed, name)
                for label_seed, order_seed in members
            ]
            for name in wanted or ["labelled"]
        }
        if {"labelled", "unlabelled"} <= streams.keys():
            each = f", for each of {len(members)} seeds" if len(members) > 1 else ""
            rank_zero_info(f"{len(streams['labelled'][0].rows):,} of {n:,} training images have labels{each}.")
        main = "unlabelled" if "unlabelled" in streams else "labelled"
        size, available = wanted.get(main, 1) * self.batch_size * world, len(streams[main][0].rows)
        length = available // size
        if length == 0:
            raise ValueError(
                f"Parameter `batch_size` of {type(self).__name__} is too large: one training batch takes {size} "
                f"{main} images on {world} process(es), and there are {available}. Choose a smaller batch."
            )
        updates = {name: wanted.get(name, 1) for name in streams}
        batches = TrainingBatches(streams, updates, self.batch_size, rank, world)
        make = partial(_train_batch, batches, None if self._stays() else self._training_set(), bool(wanted))
        # without a module that counts batches, epochs repeat the same order only if the module is asked for it
        return self._loader(make, length, lambda: int(getattr(module, "batches", getattr(module, "global_step", 0))))

    def teardown(self, stage: str) -> None:
        """Let go of the images on the accelerator."""
        self._resident = None

    def _stays(self) -> bool:
        """Whether the training images stay on the trainer's accelerator, so that a batch travels as its rows."""
        self._resident = None
        device = getattr(getattr(self.trainer, "strategy", None), "root_device", None)
        return device is not None and fits(4 * self._training_set().images.numel(), device)

    def _loader(self, make: Any, length: int, first: Any) -> DataLoader[Any]:
        return DataLoader(
            BatchDataset(make),
            batch_size=None,
            sampler=BatchSampler(length, first),
            num_workers=self.num_workers,
            generator=torch.Generator().manual_seed(0),  # workers' base seed: without it the global generator is used
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The held-out images in order; nothing where ``val_size`` is 0."""
        return self._in_order(self.val) if self.val_size else []

    def test_dataloader(self) -> DataLoader[Any]:
        """The test images in order."""
        return self._in_order(self.test)

    def _in_order(self, data: Images) -> DataLoader[Any]:
        world = self.trainer.world_size if self.trainer else 1
        rank = self.trainer.global_rank if self.trainer else 0
        rows = torch.arange(len(data.labels))[rank::world].split(self.batch_size)
        return self._loader(partial(_eval_batch, data, rows), len(rows), lambda: 0)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Batches of sample numbers 0..num_samples-1."""
        world = self.trainer.world_size if self.trainer else 1
        rank = self.trainer.global_rank if self.trainer else 0
        numbers = torch.arange(self.num_samples)[rank::world].split(self.batch_size)
        return self._loader(partial(_numbers, numbers), len(numbers), lambda: 0)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Turn uint8 images, or their rows in the training set, into floats in [-1, 1], on the device."""
        dtype = cast("torch.dtype", self.trainer.lightning_module.dtype) if self.trainer else torch.float32
        if isinstance(batch, Rows):
            if self._resident is None:
                images, labels = (part.to(batch.rows.device) for part in self._training_set())
                self._resident = Images(to_float(images, dtype), labels)
            return gather(self._resident, batch)
        if isinstance(batch, LabelledBatch):
            return LabelledBatch(to_float(batch.images, dtype), batch.labels)
        if isinstance(batch, dict):
            return {name: self.on_after_batch_transfer(part, dataloader_idx) for name, part in batch.items()}
        return to_float(batch, dtype)


def _train_batch(batches: TrainingBatches, data: Images | None, named: bool, number: int) -> Any:
    rows = batches(number)
    batch = rows if data is None else {name: gather(data, part) for name, part in rows.items()}
    return batch if named else batch["labelled"]


def _eval_batch(data: Images, rows: tuple[Tensor, ...], number: int) -> LabelledBatch:
    return LabelledBatch(data.images[rows[number]], data.labels[rows[number]])


def _numbers(numbers: tuple[Tensor, ...], number: int) -> Tensor:
    return numbers[number]
