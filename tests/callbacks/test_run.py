"""Checkpoints, interrupts and progress of a run."""

import errno
import os
import signal
from pathlib import Path

import pytest
import torch

from lit_improved_gan.callbacks import ClassifierScoreMonitor, GracefulInterrupt, LastCheckpoint, RunProgress


def saved_step(tmp_path: Path) -> int:
    return torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


def test_the_last_state_is_saved_when_due_and_at_the_end(foreign, loader, make_trainer, tmp_path) -> None:
    seen = []

    class Watch(LastCheckpoint):
        def _save(self, trainer):
            super()._save(trainer)
            seen.append(saved_step(tmp_path))

    make_trainer(Watch(every_n_epochs=2), max_epochs=3, enable_checkpointing=True).fit(foreign, loader)
    assert seen == [12, 18]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    with pytest.raises(ValueError, match="every_n_epochs"):
        LastCheckpoint(0)


def test_a_failed_save_keeps_the_earlier_one(foreign, loader, make_trainer, tmp_path, monkeypatch) -> None:
    trainer = make_trainer(LastCheckpoint(), max_epochs=3, enable_checkpointing=True)
    save = trainer.save_checkpoint

    def full(path, **kwargs):
        if trainer.global_step == 12:
            Path(path).write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, **kwargs)

    monkeypatch.setattr(trainer, "save_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.fit(foreign, loader)
    assert saved_step(tmp_path) == 6
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_ctrl_c_finishes_the_batch(foreign, loader, make_trainer, tmp_path) -> None:
    step = foreign.training_step
    finished = []

    def training_step(batch, batch_idx):
        if batch_idx == 3:
            os.kill(os.getpid(), signal.SIGINT)
        loss = step(batch, batch_idx)
        finished.append(batch_idx)
        return loss

    foreign.training_step = training_step
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            make_trainer(GracefulInterrupt(), LastCheckpoint(), enable_checkpointing=True).fit(foreign, loader)
    finally:
        signal.signal(signal.SIGINT, before)
    assert finished == [0, 1, 2, 3]
    assert saved_step(tmp_path) == 4


def test_ctrl_c_is_given_back(foreign, loader, make_trainer) -> None:
    before = signal.getsignal(signal.SIGINT)
    make_trainer(GracefulInterrupt()).fit(foreign, loader)
    assert signal.getsignal(signal.SIGINT) is before

    def failing(batch, batch_idx):
        raise KeyError("a fault")

    foreign.training_step = failing
    with pytest.raises(KeyError):
        make_trainer(GracefulInterrupt()).fit(foreign, loader)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_between_two_updates_keeps_the_earlier_state(foreign, loader, make_trainer, tmp_path) -> None:
    step = foreign.training_step

    def training_step(batch, batch_idx):
        if foreign.trainer.global_step == 7:
            foreign.mid_batch = True
            raise KeyboardInterrupt
        return step(batch, batch_idx)

    foreign.training_step = training_step
    with pytest.raises(SystemExit):
        make_trainer(LastCheckpoint(), max_epochs=2, enable_checkpointing=True).fit(foreign, loader)
    assert saved_step(tmp_path) == 6
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_progress_is_a_line_every_tenth_where_there_is_no_terminal(foreign, loader, make_trainer, capsys) -> None:
    make_trainer(RunProgress(refresh_every=1), max_epochs=5, enable_progress_bar=True).fit(foreign, loader)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("batch ")]
    assert [line.split()[1] for line in lines] == [f"{n}/30" for n in range(3, 31, 3)]
    with pytest.raises(ValueError, match="refresh_every"):
        RunProgress(0)


def test_samples_are_judged_and_training_is_left_alone(foreign, loader, make_trainer) -> None:
    untouched = []

    class Watch(ClassifierScoreMonitor):
        def on_test_epoch_end(self, trainer, pl_module):
            state = torch.get_rng_state()
            super().on_test_epoch_end(trainer, pl_module)
            untouched.append(torch.equal(state, torch.get_rng_state()))

    monitor = Watch(num_samples=200, every_n_epochs=1, val_samples=100, splits=4)
    foreign.test_step = lambda batch, batch_idx: None
    trainer = make_trainer(monitor)
    trainer.fit(foreign, loader)
    assert {"val/classifier_score", "val/class_0", "val/confident_share"} <= trainer.callback_metrics.keys()
    metrics = trainer.test(foreign, loader, verbose=False)[0]
    assert untouched == [True]
    assert sum(metrics[f"test/class_{k}"] for k in range(10)) == pytest.approx(1)
    assert 1 <= metrics["test/classifier_score"] <= 10
    p = monitor.classifier(foreign.sample(200, seed=0)).softmax(1).double()
    assert metrics["test/confident_share"] == pytest.approx((p.amax(1) > 0.9).float().mean().item())
    groups = [part * (part / part.mean(0)).log() for part in p.split(50)]
    expected = torch.stack([group.sum(1).mean().exp() for group in groups]).mean()
    assert metrics["test/classifier_score"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_classifier_of_other_images_is_refused(foreign, make_trainer) -> None:
    from lit_improved_gan import DigitsDataModule

    class Larger(DigitsDataModule):
        image_shape = (1, 9, 9)

        def setup(self, stage=None):
            pass

    with pytest.raises(ValueError, match=r"\(1, 8, 8\).*\(1, 9, 9\)"):
        make_trainer(ClassifierScoreMonitor()).fit(foreign, Larger())
    with pytest.raises(ValueError, match="splits"):
        ClassifierScoreMonitor(num_samples=5)
    with pytest.raises(ValueError, match="every_n_epochs"):
        ClassifierScoreMonitor(every_n_epochs=-1)
    foreign.sample = None
    with pytest.raises(TypeError, match=r"sample\(n, seed\)"):
        make_trainer(ClassifierScoreMonitor()).fit(foreign, Larger())
