"""Training on CUDA: finite, resumed exactly, and sampled alike from a checkpoint."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.cuda import ACCELERATOR, DEVICE
from lightning.pytorch import Trainer

from lit_improved_gan import (
    GAN,
    AdversarialModule,
    DigitsDataModule,
    FeatureMatchingLoss,
    HistoricalAveraging,
    MinibatchDiscrimination,
    MLPDiscriminator,
    MLPGenerator,
    R1Penalty,
    SemiSupervisedGAN,
    SideBySideGAN,
    SideBySideSemiSupervisedGAN,
    VirtualBatchNorm,
)
from lit_improved_gan.callbacks import ReferenceBatch

pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
pytestmark = pytest.mark.gpu

SEEDS = [3, 7]


def networks(outputs: int, minibatch: bool = False, virtual: bool = False) -> tuple[MLPGenerator, MLPDiscriminator]:
    layer = partial(MinibatchDiscrimination, num_kernels=6, kernel_dim=3) if minibatch else None
    options: dict[str, Any] = {"norm": VirtualBatchNorm} if virtual else {}
    generator = MLPGenerator((1, 8, 8), hidden=(20, 20), **options)
    return generator, MLPDiscriminator((1, 8, 8), outputs, (30, 20), minibatch_discrimination=layer)


def member(kind: type[AdversarialModule], seed: int) -> AdversarialModule:
    torch.manual_seed(seed)
    return kind(*networks(10 if kind is SemiSupervisedGAN else 1), seed=seed)


def module(name: str) -> AdversarialModule:
    torch.manual_seed(0)
    if name == "gan":
        return GAN(*networks(1), seed=0)
    if name == "semi-supervised":
        return SemiSupervisedGAN(*networks(10), d_updates_per_batch=2, seed=0)
    if name == "techniques":
        return GAN(
            *networks(1, minibatch=True, virtual=True), FeatureMatchingLoss(), seed=0, generator_clip=1.0,
            discriminator_penalties=[R1Penalty(1.0), HistoricalAveraging(0.1)],
            generator_penalties=[HistoricalAveraging(0.1)],
        )  # fmt: skip
    if name == "side by side":
        return SideBySideGAN([member(GAN, seed) for seed in SEEDS])
    return SideBySideSemiSupervisedGAN([member(SemiSupervisedGAN, seed) for seed in SEEDS])


NAMES = ["gan", "semi-supervised", "techniques", "side by side", "side by side semi-supervised"]


def data(name: str) -> DigitsDataModule:
    seeds = SEEDS if name.startswith("side by side") else None
    return DigitsDataModule(20, labels_per_class=5, label_seed=1, seeds=seeds)


def fit(trained: AdversarialModule, name: str, steps: int, path: Path | None = None, **options: Any) -> Trainer:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(
        accelerator=ACCELERATOR, devices=1, max_steps=steps, max_epochs=-1, log_every_n_steps=1, limit_val_batches=0,
        callbacks=[ReferenceBatch("generator", seed=0)] if name == "techniques" else [], **{**off, **options},
    )  # fmt: skip
    trainer.fit(trained, data(name), ckpt_path=path, weights_only=True if path else None)
    return trainer


@pytest.fixture
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_a_few_batches_are_finite_and_change_the_weights(name: str, precision: str) -> None:
    losses: list[dict[str, float]] = []

    def note(logged: AdversarialModule, batch: int, counts: Any, values: dict[str, torch.Tensor]) -> None:
        assert all(value.device.type == DEVICE for value in values.values())
        losses.append({key: float(value) for key, value in values.items()})

    trained = module(name)
    trained.log_after = partial(note, trained)  # what is logged after each batch
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    fit(trained, name, 4, precision=precision)
    assert trained.batches == len(losses) == 4
    assert all(torch.tensor(list(one.values())).isfinite().all() for one in losses)
    assert all({"train/d_loss", "train/g_loss"} <= one.keys() for one in losses)
    after = trained.state_dict()
    assert all(value.isfinite().all() for value in after.values() if value.is_floating_point())
    for player in ("generator", "discriminator", "generator_average", "discriminator_average"):
        own = [key for key in before if key.startswith(f"{player}.") and key.endswith(("weight", "direction"))]
        assert own
        assert not all(torch.equal(before[key], after[key].cpu()) for key in own), player


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_equals_one_that_was_not_stopped(name: str, precision: str, tmp_path: Path) -> None:
    whole = module(name)
    trainer = fit(whole, name, 6, precision=precision)
    first, path = module(name), tmp_path / "3.ckpt"
    fit(first, name, 3, precision=precision).save_checkpoint(path, weights_only=False)
    again = module(name)
    resumed = fit(again, name, 6, path, precision=precision)
    assert whole.batches == again.batches == 6
    found, expected, stopped = (one.state_dict() for one in (again, whole, first))
    assert found.keys() == expected.keys()
    different = [key for key in expected if not torch.equal(expected[key], found[key])]
    assert different == []
    assert any(not torch.equal(expected[key], stopped[key]) for key in expected)
    for one, other in zip(trainer.optimizers, resumed.optimizers, strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["gan", "semi-supervised", "techniques"])
def test_a_reloaded_checkpoint_samples_the_same_images(name: str, tmp_path: Path) -> None:
    trained, path = module(name), tmp_path / "3.ckpt"
    fit(trained, name, 3).save_checkpoint(path, weights_only=False)
    trained = trained.to(DEVICE).eval()
    parts = module(name)
    again = type(trained).load_from_checkpoint(
        path, map_location=DEVICE, weights_only=True, generator=parts.generator, discriminator=parts.discriminator,
        generator_loss=parts.generator_loss, discriminator_loss=parts.discriminator_loss,
        generator_penalties=list(parts.generator_penalties),
        discriminator_penalties=list(parts.discriminator_penalties),
    )  # fmt: skip
    again.eval()
    images = trained.sample(9, seed=5)
    assert images.device.type == again.device.type == DEVICE
    assert images.isfinite().all()
    assert torch.equal(images, again.sample(9, seed=5))
    assert not torch.equal(images, again.sample(9, seed=6))
