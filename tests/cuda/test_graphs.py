"""Training by CUDA graphs follows training without them."""

from functools import partial
from typing import Any

import pytest
import torch
from helpers.cuda import ACCELERATOR, assert_close
from lightning.pytorch import Trainer
from torch import Tensor

from lit_improved_gan import (
    GAN,
    AdversarialModule,
    DigitsDataModule,
    MinibatchDiscrimination,
    MLPDiscriminator,
    MLPGenerator,
    SemiSupervisedGAN,
    SideBySideGAN,
    SideBySideSemiSupervisedGAN,
)

pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
pytestmark = pytest.mark.gpu

SEEDS = [3, 7]
BATCHES = 8  # the first three are not captured


def member(kind: type[AdversarialModule], seed: int, **options: Any) -> AdversarialModule:
    torch.manual_seed(seed)
    layer = partial(MinibatchDiscrimination, num_kernels=6, kernel_dim=3) if kind is GAN else None
    outputs = 1 if kind is GAN else 10
    discriminator = MLPDiscriminator((1, 8, 8), outputs, (30, 20), minibatch_discrimination=layer)
    return kind(MLPGenerator((1, 8, 8), hidden=(20, 20)), discriminator, seed=seed, **options)


def changes(kind: type[AdversarialModule], together: Any, precision: str, **options: Any) -> dict[str, Tensor]:
    """What training changes in each weight; noise in the networks included."""
    seeds = SEEDS if together else None
    members = [member(kind, seed, **options) for seed in SEEDS]
    trained = together(members) if together else members[0]
    data = DigitsDataModule(20, labels_per_class=5, label_seed=1, seeds=seeds)
    before: dict[str, Tensor] = {}

    def note() -> None:
        before.update({name: p.detach().cpu().clone() for name, p in trained.named_parameters()})

    trained.on_train_start = note  # the networks are initialised
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    Trainer(
        accelerator=ACCELERATOR, devices=1, max_steps=BATCHES, max_epochs=-1, log_every_n_steps=1, limit_val_batches=0,
        precision=precision, **off,
    ).fit(trained, data)  # fmt: skip
    assert trained.batches == BATCHES
    return {name: p.detach().cpu() - before[name] for name, p in trained.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    "options", [{}, {"d_updates_per_batch": 2, "generator_accumulation": 2, "generator_clip": 0.5}]
)
@pytest.mark.parametrize("kind", [GAN, SemiSupervisedGAN])
def test_the_weights_change_alike(kind: type[AdversarialModule], options: dict[str, Any], precision: str) -> None:
    found, expected = (changes(kind, None, precision, cuda_graphs=graphs, **options) for graphs in (True, False))
    assert all(value.norm() > 0 for value in expected.values())
    assert_close(found, expected, 1e-2)


@pytest.mark.parametrize(("kind", "together"), [(GAN, SideBySideGAN), (SemiSupervisedGAN, SideBySideSemiSupervisedGAN)])
def test_the_weights_of_members_side_by_side_change_alike(kind: type[AdversarialModule], together: Any) -> None:
    found, expected = (changes(kind, together, "32-true", cuda_graphs=graphs) for graphs in (True, False))
    assert_close(found, expected, 1e-2)
