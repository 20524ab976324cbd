"""Torch's optimizers do not look for a driver at each step."""

import ctypes
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer

from lit_improved_gan import GAN, DigitsDataModule, MLPDiscriminator, MLPGenerator
from lit_improved_gan.modules import base


def searches(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a library is looked for while eight batches are trained on."""
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    adam = partial(torch.optim.Adam, lr=1e-3)
    networks = MLPGenerator(hidden=(8,)), MLPDiscriminator(num_outputs=1, hidden=(8,))
    module = GAN(*networks, seed=0, generator_optimizer=adam, discriminator_optimizer=adam)
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning sets it
    found: list[str] = []
    library = ctypes.CDLL
    monkeypatch.setattr(
        ctypes, "CDLL", lambda name, *args, **kwargs: found.append(name) or library(name, *args, **kwargs)
    )
    module.on_train_start = found.clear  # type: ignore[method-assign]
    Trainer(max_steps=8, accelerator="cpu", limit_val_batches=0, **off).fit(
        module, DigitsDataModule(labels_per_class=5)
    )
    return len(found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver, which torch keeps")
def test_no_library_is_looked_for_at_each_step(monkeypatch) -> None:
    assert searches(monkeypatch) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver, which torch keeps")
@pytest.mark.skipif(torch.version.cuda is None, reason="torch is built without CUDA, and looks for none")
def test_it_would_be_otherwise(monkeypatch) -> None:
    monkeypatch.setattr(base, "ask_the_runtime", lambda: None)
    assert searches(monkeypatch) >= 16
