"""What cannot be captured as a CUDA graph is refused before training; tests/cuda has what can."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from lit_improved_gan import (
    GAN,
    DigitsDataModule,
    MLPDiscriminator,
    MLPGenerator,
    R1Penalty,
    SideBySideGAN,
    VirtualBatchNorm,
)
from lit_improved_gan.modules.captured import check_capture


def gan(**options: Any) -> GAN:
    return GAN(
        MLPGenerator(hidden=(8,), norm=options.pop("norm", torch.nn.BatchNorm1d)),
        MLPDiscriminator(num_outputs=1, hidden=(8,)),
        cuda_graphs=True,
        seed=options.pop("seed", 0),
        **options,
    )


def test_a_cpu_is_refused_before_training() -> None:
    module = gan()
    trainer = Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"`cuda_graphs=True` needs a GPU. Found a device of type cpu"):
        trainer.fit(module, DigitsDataModule())
    assert not module.batches


@pytest.mark.parametrize(
    ("options", "trainer", "words"),
    [
        ({}, {"world_size": 2}, "needs one process. Found 2 processes"),
        ({}, {"scaler": object()}, "needs 32-true or bf16-mixed. Found precision 16-mixed"),
        ({"norm": VirtualBatchNorm}, {}, "needs networks without it. Found a network with virtual batch"),
        ({"discriminator_penalties": [R1Penalty(1.0)]}, {}, r"needs no penalties. Found \['R1Penalty'\]"),
    ],
)
def test_what_cannot_be_captured(options: dict[str, Any], trainer: dict[str, Any], words: str) -> None:
    module = gan(**options)
    plugin = SimpleNamespace(scaler=trainer.get("scaler"))
    fake = SimpleNamespace(
        device=torch.device("cuda"),
        trainer=SimpleNamespace(world_size=trainer.get("world_size", 1), precision_plugin=plugin, precision="16-mixed"),
        generator=module.generator,
        discriminator=module.discriminator,
        generator_penalties=module.generator_penalties,
        discriminator_penalties=module.discriminator_penalties,
    )
    with pytest.raises(ValueError, match=words):
        check_capture(fake)  # type: ignore[arg-type]


def test_members_side_by_side_are_captured_where_the_first_is() -> None:
    assert SideBySideGAN([gan(seed=seed) for seed in (0, 1)]).cuda_graphs
