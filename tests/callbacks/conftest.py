"""A module that is not the library's, and a short training run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader


class Foreign(LightningModule):
    """Offers what the callbacks' docstrings name, and nothing else of the library's."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = ForeignGenerator()
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
        self.real_target = 1.0
        self.targets: list[float] = []

    def sample(self, n: int, seed: int = 0) -> torch.Tensor:
        return self.generator(self.generator.prior(n, torch.Generator().manual_seed(seed)))

    def training_step(self, batch, batch_idx):
        self.targets.append(self.real_target)
        return self.discriminator(batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class ForeignGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 64)

    def prior(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(n, 5, generator=generator)

    def forward(self, z):
        return torch.tanh(self.layer(z)).view(-1, 1, 8, 8)


@pytest.fixture
def foreign() -> Foreign:
    torch.manual_seed(0)
    return Foreign()


@pytest.fixture
def loader() -> DataLoader:
    return DataLoader(torch.zeros(12, 1, 8, 8), batch_size=2)


@pytest.fixture
def make_trainer(tmp_path) -> Callable[..., Trainer]:
    def make(*callbacks: Any, **kwargs: Any) -> Trainer:
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        defaults = {
            "accelerator": "cpu",
            "max_epochs": 1,
            "default_root_dir": tmp_path,
            "num_sanity_val_steps": 0,
            **off,
        }
        return Trainer(**{**defaults, "callbacks": list(callbacks), **kwargs})

    return make
