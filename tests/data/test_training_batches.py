"""Training images that stay on the accelerator."""

import pytest
import torch
from lightning.pytorch import Trainer

from lit_improved_gan import DigitsDataModule, SemiSupervisedGAN
from lit_improved_gan.data import base
from lit_improved_gan.data.streams import Stream
from lit_improved_gan.data.training_batches import Rows, TrainingBatches, fits
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator


class Seen(SemiSupervisedGAN):
    """Keeps its batches."""

    def training_step(self, batch, batch_idx):
        self.kept.append(batch)
        super().training_step(batch, batch_idx)


def batches(**kwargs):
    module = Seen(MLPGenerator(hidden=(8,)), MLPDiscriminator(hidden=(8,)), d_updates_per_batch=2, seed=1)
    module.kept = []
    trainer = Trainer(
        max_steps=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    data = DigitsDataModule(batch_size=20, labels_per_class=3, label_seed=0, **kwargs)
    trainer.fit(module, datamodule=data)
    assert data._resident is None  # let go of
    return module.kept


def test_a_batch_of_rows_becomes_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    travelled = batches()
    monkeypatch.setattr(base, "fits", lambda size, device: True)
    made: list[object] = []
    train_batch = base._train_batch
    monkeypatch.setattr(base, "_train_batch", lambda *args: made.append(train_batch(*args)) or made[-1])
    stayed = batches()
    assert all(isinstance(part, Rows) for batch in made for part in batch.values())
    assert len(made) == len(stayed) == len(travelled) == 3
    for a, b in zip(travelled, stayed, strict=True):
        assert torch.equal(a["labelled"].images, b["labelled"].images)
        assert torch.equal(a["labelled"].labels, b["labelled"].labels)
        assert torch.equal(a["unlabelled"], b["unlabelled"])
        assert torch.equal(a["matching"], b["matching"])
        assert a["unlabelled"].dtype == torch.float32


def test_only_an_accelerator_with_room_keeps_images(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not fits(1, torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    assert fits(500, torch.device("cuda"))
    assert not fits(501, torch.device("cuda"))


@pytest.mark.parametrize("world", [1, 3])
def test_rows_are_those_of_the_streams_one_batch_at_a_time(world: int) -> None:
    rows = torch.arange(50)
    streams = {"unlabelled": [Stream(rows, seed, "u") for seed in (0, 1)], "labelled": [Stream(rows[:7], 0, "l")] * 2}
    updates = {"unlabelled": 2, "labelled": 1}
    for rank in range(world):
        batches = TrainingBatches(streams, updates, 4, rank, world)
        for number in (0, 1, 31, 32, 33, 100, 5):
            found = batches(number)
            for name, members in streams.items():
                size = updates[name] * 4 * world
                parts = [stream.take(number * size, size)[rank::world].view(-1, 4) for stream in members]
                expected = [part[update] for update in range(updates[name]) for part in parts]
                assert torch.equal(found[name].rows, torch.cat(expected))
                assert found[name].labelled == (name == "labelled")
