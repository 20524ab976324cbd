"""Splits, labelled subsets, streams: every image of this data set carries its own number in its pixels."""

from collections.abc import Callable
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn

from lit_improved_gan.data import ImageDataModule, Images
from lit_improved_gan.types import LabelledBatch

TRAIN, TEST, CLASSES = 60, 17, 3


def numbered(first: int, count: int) -> Images:
    rows = torch.arange(first, first + count)
    return Images(rows.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone(), rows % CLASSES)


class Numbered(ImageDataModule):
    """Training images 0..59, test images 200..216; the class is the number modulo 3."""

    image_shape = (1, 2, 2)
    num_classes = CLASSES

    def load(self) -> tuple[Images, Images]:
        return numbered(0, TRAIN), numbered(200, TEST)


def numbers(images: Tensor) -> list[int]:
    """Which images these are."""
    if images.is_floating_point():
        images = ((images + 1) * 127.5).round()
    return images[:, 0, 0, 0].long().tolist()


class Watch(LightningModule):
    """A module that asks for streams, if any, and keeps the batches it is given."""

    def __init__(self, streams: dict[str, int] | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: list[Any] = []
        if streams is not None:
            self.streams = streams

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen.append(batch)
        return self.layer.weight.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.seen.append(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Counting(Watch):
    """A module that counts batches itself."""

    def __init__(self, streams: dict[str, int] | None = None, batches: int = 0) -> None:
        super().__init__(streams)
        self.batches = batches

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.batches += 1
        return super().training_step(batch, batch_idx)


def trainer(steps: int = 3, **kwargs: Any) -> Trainer:
    return Trainer(
        **{
            "max_steps": steps, "max_epochs": -1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
            "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
            "limit_val_batches": 0, **kwargs,
        }
    )  # fmt: skip


def fitted(data: ImageDataModule, module: Watch, steps: int = 3, **kwargs: Any) -> list[Any]:
    trainer(steps, **kwargs).fit(module, data)
    return module.seen


def on_rank(rank: int, world: int, streams: dict[str, int], **kwargs: Any) -> Numbered:
    """The data module as one of several processes sees it."""
    data = Numbered(**kwargs)
    module = SimpleNamespace(streams=streams, batches=0)
    data.trainer = SimpleNamespace(world_size=world, global_rank=rank, lightning_module=module)  # type: ignore[assignment]
    data.setup()
    return data


# --- splits ---


def test_validation_images_are_held_out_and_the_test_set_is_left_alone() -> None:
    data = Numbered(val_size=13)
    data.setup()
    assert data.training_set is not None
    training, held_out = numbers(data.training_set.images), numbers(data.val.images)
    assert len(held_out) == 13
    assert sorted(training + held_out) == list(range(TRAIN))
    assert numbers(data.test.images) == list(range(200, 200 + TEST))
    for part in (data.training_set, data.val, data.test):
        assert part.labels.tolist() == [number % CLASSES for number in numbers(part.images)]


def test_the_split_is_the_same_for_every_seed() -> None:
    splits = []
    for seed in (1, 2):
        seed_everything(seed, verbose=False)
        data = Numbered(val_size=13)
        data.setup()
        splits.append(numbers(data.val.images))
    assert splits[0] == splits[1]


def test_data_are_loaded_once() -> None:
    class Loads(Numbered):
        count = 0

        def load(self) -> tuple[Images, Images]:
            self.count += 1
            return super().load()

    data = Loads()
    for stage in ("fit", "validate", "fit", None):
        data.setup(stage)
    assert data.count == 1


def test_labels_per_class_and_their_seed() -> None:
    def rows(**kwargs: Any) -> list[int]:
        data = Numbered(val_size=6, **kwargs)
        data.setup()
        assert data.training_set is not None
        return numbers(data.training_set.images[data.labelled_rows()])

    few = rows(labels_per_class=4, label_seed=1)
    assert [number % CLASSES for number in few] == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(few)) == 12
    assert set(few) != set(rows(labels_per_class=4, label_seed=2))
    assert len(rows()) == TRAIN - 6
    for seed in (1, 2):
        seed_everything(seed, verbose=False)
        assert rows(labels_per_class=4) == rows(labels_per_class=4, label_seed=seed)


def test_reference_images_are_training_images_chosen_by_seed() -> None:
    data = Numbered(val_size=20)
    images = data.reference_images(30, seed=1)
    assert data.training_set is not None
    assert images.dtype == torch.float32
    assert len(set(numbers(images))) == 30
    assert set(numbers(images)) <= set(numbers(data.training_set.images))
    assert torch.equal(images, data.reference_images(30, seed=1))
    assert not torch.equal(images, data.reference_images(30, seed=2))
    assert len(data.reference_images(1000, seed=1)) == 40


# --- errors ---


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("labels_per_class", 0), ("val_size", -1), ("num_workers", -1), ("num_samples", 0)],
)
def test_values_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of Numbered .* Found {name}={value}"):
        Numbered(**{name: value})


@pytest.mark.parametrize("name_and_value", [("val_size", TRAIN), ("labels_per_class", TRAIN // CLASSES + 1)])
def test_values_that_do_not_fit_the_data_are_refused(name_and_value: tuple[str, int]) -> None:
    name, value = name_and_value
    with pytest.raises(ValueError, match=f"`{name}`.* Found {name}={value}"):
        Numbered(**{name: value}).setup()


@pytest.mark.parametrize("part", ["training", "test"])
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda data: Images(data.images.float() / 255, data.labels), "float32"),
        (lambda data: Images(data.images[:, :, :1], data.labels), r"\(1, 1, 2\)"),
        (lambda data: Images(data.images[:, 0], data.labels), r"\(2, 2\)"),
        (lambda data: Images(data.images, data.labels + 1), r"1\.\.3"),
        (lambda data: Images(data.images, data.labels - 2), r"-2\.\.0"),
    ],
    ids=["dtype", "size", "no channels", "label too large", "label negative"],
)
def test_wrong_data_are_refused(part: str, change: Callable[[Images], Images], found: str) -> None:
    class Wrong(Numbered):
        def load(self) -> tuple[Images, Images]:
            train, test = super().load()
            return (change(train), test) if part == "training" else (train, change(test))

    with pytest.raises(ValueError, match=f"Wrong: the {part} (images|labels) .* Found .*{found}"):
        Wrong().setup()


@pytest.mark.parametrize(
    ("streams", "arguments", "found"),
    [
        ({"unlabelled": 1}, {"batch_size": TRAIN + 1}, "61 unlabelled"),
        ({"unlabelled": 4, "labelled": 1}, {"batch_size": 20}, "80 unlabelled"),
        (None, {"batch_size": 10, "labels_per_class": 3}, "10 labelled"),
    ],
)
def test_a_batch_larger_than_the_data_is_refused(
    streams: dict[str, int] | None, arguments: dict[str, int], found: str
) -> None:
    with pytest.raises(ValueError, match=rf"`batch_size` of Numbered .*{found}"):
        fitted(Numbered(**arguments), Watch(streams))


def test_a_batch_too_large_for_all_processes_together_is_refused() -> None:
    on_rank(0, 2, {"unlabelled": 1}, batch_size=30).train_dataloader()
    with pytest.raises(ValueError, match=r"`batch_size` of Numbered .* 2 process"):
        on_rank(0, 2, {"unlabelled": 1}, batch_size=31).train_dataloader()


def test_an_unknown_stream_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`streams` of Watch .*sideways"):
        fitted(Numbered(batch_size=10), Watch({"unlabelled": 1, "sideways": 1}))


# --- training batches ---


def test_a_module_gets_the_streams_it_asks_for() -> None:
    data = Numbered(batch_size=10, labels_per_class=4, label_seed=0, val_size=6)
    seen = fitted(data, Watch({"labelled": 1, "unlabelled": 3, "matching": 2}), 4)
    assert data.training_set is not None
    labelled_rows = set(numbers(data.training_set.images[data.labelled_rows()]))
    for batch in seen:
        assert set(batch) == {"labelled", "unlabelled", "matching"}
        images, labels = batch["labelled"]
        assert labels.tolist() == [number % CLASSES for number in numbers(images)]
        assert set(numbers(images)) <= labelled_rows
        assert [len(part) for part in (images, batch["unlabelled"], batch["matching"])] == [10, 30, 20]
        for part in (images, batch["unlabelled"], batch["matching"]):
            assert part.dtype == torch.float32
            assert -1 <= part.min() <= part.max() <= 1


def test_grey_levels_are_mapped_to_plus_and_minus_one() -> None:
    class Extremes(Numbered):
        def load(self) -> tuple[Images, Images]:
            train, test = super().load()
            train.images[:, 0, 0] = torch.tensor([0, 255], dtype=torch.uint8)
            return train, test

    (batch,) = fitted(Extremes(batch_size=20), Watch({"unlabelled": 1}), 1)
    assert batch["unlabelled"][:, 0, 0].tolist() == [[-1.0, 1.0]] * 20


def test_images_have_the_precision_of_the_module() -> None:
    (batch,) = fitted(Numbered(batch_size=5), Watch({"labelled": 1, "unlabelled": 1}), 1, precision="64-true")
    assert batch["labelled"].images.dtype == batch["unlabelled"].dtype == torch.float64


def test_every_image_comes_once_before_any_comes_again() -> None:
    """Over the ends of epochs too: 24 images a batch, 60 in all, 2 batches in an epoch."""
    seen = fitted(Numbered(batch_size=24), Counting({"unlabelled": 1, "matching": 1}), 5)
    orders = [list(chain.from_iterable(numbers(batch[name]) for batch in seen)) for name in ("unlabelled", "matching")]
    for order in orders:
        assert sorted(order[:TRAIN]) == sorted(order[TRAIN:]) == list(range(TRAIN))
        assert order[:TRAIN] != order[TRAIN:]
    assert orders[0] != orders[1]


def test_few_labels_fill_a_large_batch() -> None:
    data = Numbered(batch_size=30, labels_per_class=2)
    (batch,) = fitted(data, Watch({"labelled": 1, "unlabelled": 1}), 1)
    counts = torch.tensor(numbers(batch["labelled"].images)).bincount()
    assert counts[counts > 0].tolist() == [5] * 6


def test_a_module_that_asks_for_no_stream_gets_images_and_labels() -> None:
    seen = fitted(Numbered(batch_size=20, labels_per_class=10), Watch(), 3)
    for batch in seen:
        images, labels = batch
        assert isinstance(batch, LabelledBatch)
        assert labels.tolist() == [number % CLASSES for number in numbers(images)]
    assert len(set(numbers(seen[0].images))) == 20


def order_of(seen: list[Any]) -> list[tuple[list[int], list[int]]]:
    return [(numbers(batch["unlabelled"]), numbers(batch["labelled"].images)) for batch in seen]


@pytest.mark.parametrize("start", [1, 3, 7])
def test_the_order_depends_on_the_seed_and_the_batch_alone(start: int) -> None:
    streams = {"unlabelled": 1, "labelled": 1}

    def run(seed: int, start: int, noise: int) -> list[tuple[list[int], list[int]]]:
        seed_everything(seed, verbose=False)
        data = Numbered(batch_size=16, labels_per_class=2, label_seed=0)
        torch.rand(noise)
        return order_of(fitted(data, Counting(streams, batches=start), 10 - start))

    assert run(1, start, noise=5) == run(1, 0, noise=0)[start:]
    assert run(1, start, noise=0) != run(2, start, noise=0)


def test_worker_processes_change_nothing() -> None:
    streams = {"unlabelled": 1, "labelled": 1}
    orders = [
        order_of(fitted(Numbered(batch_size=16, num_workers=workers), Counting(streams, batches=2), 7))
        for workers in (0, 2)
    ]
    assert orders[0] == orders[1]


def test_loading_leaves_the_global_generator_alone() -> None:
    data = on_rank(0, 1, {"unlabelled": 1, "labelled": 1}, batch_size=16)
    before = torch.get_rng_state()
    assert len(list(data.train_dataloader())) == 3
    list(data.test_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("label_seed", [None, 7])
def test_a_resumed_run_keeps_its_labels_and_order_under_another_seed(tmp_path, label_seed: int | None) -> None:
    streams, path = {"unlabelled": 1, "labelled": 1}, tmp_path / "x.ckpt"

    def data(seed: int) -> Numbered:
        seed_everything(seed, verbose=False)
        return Numbered(batch_size=16, labels_per_class=4, label_seed=label_seed)

    whole = order_of(fitted(data(1), Watch(streams), 8))
    first = trainer(4)
    first.fit(Watch(streams), data(1))
    first.save_checkpoint(path)
    resumed = Watch(streams)
    trainer(8).fit(resumed, data(2), ckpt_path=path)
    assert order_of(resumed.seen) == whole[4:]
    assert order_of(fitted(data(2), Watch(streams), 8)) != whole


def test_seeds_are_loaded_before_or_after_setup() -> None:
    seed_everything(1, verbose=False)
    first = Numbered(labels_per_class=4)
    first.setup()
    seed_everything(2, verbose=False)
    before, after = Numbered(labels_per_class=4), Numbered(labels_per_class=4)
    before.load_state_dict(first.state_dict())
    before.setup()
    after.setup()
    assert not after.labelled_rows().equal(first.labelled_rows())
    after.load_state_dict(first.state_dict())
    for data in (before, after):
        assert data.state_dict() == {"label_seed": 1, "order_seed": 1}
        assert data.labelled_rows().equal(first.labelled_rows())


# --- evaluation ---


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [5, 17, 100])
def test_every_test_image_is_seen_once_and_in_order(size: int, workers: int) -> None:
    module = Watch({"unlabelled": 1})
    trainer().test(module, Numbered(batch_size=size, num_workers=workers), verbose=False)
    images = torch.cat([batch[0] for batch in module.seen])
    assert numbers(images) == list(range(200, 200 + TEST))
    assert torch.cat([batch[1] for batch in module.seen]).tolist() == [n % CLASSES for n in range(200, 200 + TEST)]
    assert images.is_floating_point()


def test_validation_sees_the_held_out_images() -> None:
    module, data = Watch(), Numbered(batch_size=5, val_size=13)
    trainer(limit_val_batches=1.0).validate(module, data, verbose=False)
    assert list(chain.from_iterable(numbers(batch[0]) for batch in module.seen)) == numbers(data.val.images)


def test_without_a_held_out_part_there_is_no_validation() -> None:
    module = Counting({"unlabelled": 1})
    fitted(Numbered(batch_size=20), module, 6, limit_val_batches=1.0)
    assert module.batches == len(module.seen) == 6


def test_predictions_are_numbered() -> None:
    module = Watch()
    trainer().predict(module, Numbered(batch_size=4, num_samples=10))
    assert [batch.tolist() for batch in module.seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


# --- several processes ---


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_out_each_batch(world: int) -> None:
    streams = {"labelled": 1, "unlabelled": 2, "matching": 1}
    shares = [
        list(on_rank(rank, world, streams, batch_size=6, labels_per_class=2).train_dataloader())
        for rank in range(world)
    ]
    whole = list(on_rank(0, 1, streams, batch_size=6 * world, labels_per_class=2).train_dataloader())
    assert [len(share) for share in shares] == [len(whole)] * world
    for number, batch in enumerate(whole):
        for name in ("unlabelled", "matching"):
            parts = [numbers(share[number][name]) for share in shares]
            assert {len(part) for part in parts} == {6 * streams[name]}
            assert parts == [numbers(batch[name])[rank::world] for rank in range(world)]
        parts = [numbers(share[number]["labelled"].images) for share in shares]
        assert parts == [numbers(batch["labelled"].images)[rank::world] for rank in range(world)]


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_out_evaluation_without_padding(world: int) -> None:
    ranks = [on_rank(rank, world, {}, batch_size=4, val_size=13, num_samples=11) for rank in range(world)]
    tested = list(chain.from_iterable(numbers(batch.images) for data in ranks for batch in data.test_dataloader()))
    held_out = list(chain.from_iterable(numbers(batch.images) for data in ranks for batch in data.val_dataloader()))
    predicted = list(chain.from_iterable(batch.tolist() for data in ranks for batch in data.predict_dataloader()))
    assert sorted(tested) == list(range(200, 200 + TEST))
    assert sorted(held_out) == sorted(numbers(ranks[0].val.images))
    assert sorted(predicted) == list(range(11))


def test_what_a_data_set_should_define_is_said() -> None:
    import numpy as np

    class Shapeless(ImageDataModule):
        def load(self):
            raise AssertionError

    class Arrays(Numbered):
        def load(self):
            return Images(np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2)), super().load()[1]

    class Pairs(Numbered):
        def load(self):
            return tuple(map(tuple, super().load()))

    with pytest.raises(ValueError, match="Shapeless should have the attributes `image_shape`"):
        Shapeless().setup()
    for wrong, found in ((Arrays, "ndarray"), (Pairs, "Found tuple")):
        with pytest.raises(ValueError, match=rf"{wrong.__name__}\.load should return Images.*{found}"):
            wrong().setup()


# --- images without a class ---


class Partly(Numbered):
    """The images whose number ends in 0 to 4 have no class: 30 of 60."""

    def load(self) -> tuple[Images, Images]:
        train, test = super().load()
        train.labels[torch.arange(TRAIN) % 10 < 5] = -1
        return train, test


def has_class(number: int) -> bool:
    return number % 10 >= 5


@pytest.mark.parametrize("count", [None, 3])
def test_images_without_a_class_are_in_the_unlabelled_streams_alone(count: int | None) -> None:
    data = Partly(batch_size=6, labels_per_class=count, label_seed=0, val_size=12)
    seen = fitted(data, Watch({"labelled": 1, "unlabelled": 1, "matching": 1}), 8)
    held_out = numbers(data.val.images)
    rest = sorted(set(range(TRAIN)) - set(held_out))
    assert len(held_out) == 12
    assert all(map(has_class, held_out))
    assert data.val.labels.tolist() == [number % CLASSES for number in held_out]
    for name in ("unlabelled", "matching"):
        assert sorted(chain.from_iterable(numbers(batch[name]) for batch in seen)) == rest
    labelled = list(chain.from_iterable(numbers(batch["labelled"].images) for batch in seen))
    labels = list(chain.from_iterable(batch["labelled"].labels.tolist() for batch in seen))
    assert labels == [number % CLASSES for number in labelled]
    known = {number for number in rest if has_class(number)}
    assert set(labelled) <= known
    assert len(set(labelled)) == (len(known) if count is None else count * CLASSES)


def test_validation_takes_labelled_images_alone_and_at_most_all_but_one() -> None:
    data = Partly(val_size=29)
    data.setup()
    assert (data.val.labels >= 0).all()
    assert len(data.labelled_rows()) == 1
    with pytest.raises(ValueError, match=r"`val_size` of Partly .* 30 training images with a label.* val_size=30"):
        Partly(val_size=30).setup()


def test_a_class_with_too_few_labels_is_refused() -> None:
    Partly(labels_per_class=10).setup()
    with pytest.raises(ValueError, match=r"labels_per_class=11, and class 0 has 10"):
        Partly(labels_per_class=11).setup()


def test_test_images_without_a_class_are_refused() -> None:
    class Wrong(Partly):
        def load(self) -> tuple[Images, Images]:
            train, test = super().load()
            test.labels[3] = -1
            return train, test

    with pytest.raises(ValueError, match=r"Wrong: the test labels should be in 0\.\.2.* Found -1\.\.2: leave out"):
        Wrong().setup()


@pytest.mark.parametrize("streams", [None, {"labelled": 1, "unlabelled": 1}])
def test_training_on_labels_without_a_label_is_refused(streams: dict[str, int] | None) -> None:
    class Without(Numbered):
        def load(self) -> tuple[Images, Images]:
            train, test = super().load()
            train.labels.fill_(-1)
            return train, test

    assert len(fitted(Without(batch_size=10), Watch({"unlabelled": 1}), 2)) == 2
    with pytest.raises(ValueError, match=r"Without should have training images with a label.*`labelled`"):
        fitted(Without(batch_size=10), Watch(streams))


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda labels: labels[:-1], r"\d+ images, and labels \(\d+,\)"),
        (lambda labels: labels.unsqueeze(1), r"labels \(\d+, 1\)"),
        (lambda labels: labels.float(), "float32"),
    ],
    ids=["too few", "two dimensions", "float"],
)
def test_labels_that_are_not_one_integer_an_image_are_refused(part: int, change: Any, found: str) -> None:
    class Wrong(Numbered):
        def load(self) -> tuple[Images, Images]:
            parts = list(super().load())
            parts[part] = Images(parts[part].images, change(parts[part].labels))
            return parts[0], parts[1]

    with pytest.raises(ValueError, match=f"Wrong: each {('training', 'test')[part]} image should .*{found}"):
        Wrong().setup()
