"""A look at a module in training leaves it as it was."""

from typing import Any

import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import Trainer
from torch import nn

from lit_improved_gan import (
    GAN,
    BalanceMonitor,
    DigitsDataModule,
    MLPDiscriminator,
    MLPGenerator,
    SideBySideGAN,
    untouched,
)
from lit_improved_gan.modules.stacked import StackedNetwork
from lit_improved_gan.untouched import evaluating, untouched_noise


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    made[1][1].eval()  # as someone froze it
    return made


class Holds(nn.Module):
    """Has a ``train`` of its own, a frozen part, and one that is none of its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.hidden = (nn.Dropout(),)

    def train(self, mode: bool = True) -> "Holds":
        self.hidden[0].train(mode)
        return super().train(mode)


def check() -> None:
    first, second = nn.Sequential(network(), Holds()), StackedNetwork([network(), network()])
    first[1].inner[1][1].eval()
    modes = [part.training for part in first.modules()]
    assert modes.count(False) == 2
    hidden = first[1].hidden[0]
    with evaluating(first, second):
        assert not any(part.training for part in (*first.modules(), *second._skeleton[0].modules(), hidden))
    assert hidden.training
    assert [part.training for part in first.modules()] == modes
    assert [part.training for part in second._skeleton[0].modules()] == [True, True, True, True, False]
    frozen, holds = nn.Dropout().eval(), Holds()
    holds.inner = nn.Sequential(frozen)  # which the network has before, too
    shared = nn.Sequential(frozen, holds)
    with evaluating(shared):
        pass
    assert not frozen.training


def test_every_part_is_in_its_mode_again() -> None:
    check()


def test_after_an_error_too() -> None:
    first = network()
    modes = [part.training for part in first.modules()]
    with pytest.raises(ValueError, match="inside"), evaluating(first):
        raise ValueError("inside")
    assert [part.training for part in first.modules()] == modes


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (untouched._set_mode, "part.train(training)", "part.training = training"),
        (untouched._set_mode, "kind.train is nn.Module.train and", ""),
        (evaluating, "[*modes, *modes]", "modes"),
        (untouched._set_mode, 'vars(part)["training"] = training', "pass"),
        (evaluating, "_set_mode(part, False)", "pass"),
        (evaluating, "_set_mode(part, training)", "pass"),
        (evaluating, "[*modes, *modes]", "[m for m in modes if m[1]] * 2"),
    ],
)
def test_planted_errors_are_found(monkeypatch: pytest.MonkeyPatch, function: Any, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def test_members_side_by_side_go_on_training() -> None:
    members = [GAN(MLPGenerator(hidden=(8,)), MLPDiscriminator(num_outputs=1, hidden=(8,)), seed=s) for s in (0, 1)]
    together = SideBySideGAN(members)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", max_steps=2, callbacks=[BalanceMonitor(every_n_batches=1)], **off)
    trainer.fit(together, DigitsDataModule(seeds=[0, 1]))
    assert all(stack._skeleton[0].training for stack in together.stacks)


def test_noise_goes_on() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with untouched_noise(torch.device("cpu")):
        torch.rand(7)
    assert torch.equal(torch.rand(3), expected)
