"""A run that diverges goes on from its last good state."""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from lit_improved_gan import (
    GAN,
    AdversarialLoss,
    Classifier,
    DigitsDataModule,
    HistoricalAveraging,
    LinearDecay,
    MinibatchDiscrimination,
    NonSaturatingLoss,
    ReferenceBatch,
    ReleasedAdam,
    RollBack,
    VirtualBatchNorm,
)
from lit_improved_gan.modules import DivergedError
from lit_improved_gan.modules.updates import UpdatingModule
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator

PLAYERS = ["discriminator", "generator"]


ZERO = torch.zeros(1)


class LossOfD(nn.Module):
    """A loss that is NaN where it is told to be."""

    wrong = False

    def forward(self, real: Any, fake: Any) -> torch.Tensor:
        return AdversarialLoss()(real, fake) * (float("nan") if self.wrong else 1)


class LossOfG(NonSaturatingLoss):
    wrong = False

    def forward(self, fake: Any, real: Any = None) -> torch.Tensor:
        return super().forward(fake, real) * (float("nan") if self.wrong else 1)


class Plant(Callback):
    """Makes a player's loss NaN in some batches, and keeps the weights and learning rates after each batch."""

    def __init__(self, player: str, batches: Iterable[int]) -> None:
        self.player, self.batches = player, set(batches)
        self.states: dict[int, dict[str, torch.Tensor]] = {}
        self.moments: dict[int, torch.Tensor] = {}
        self.rates: dict[int, list[float]] = {}

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        getattr(module, f"{self.player}_loss").wrong = trainer.global_step + 1 in self.batches

    def on_train_batch_end(self, trainer, module, *args) -> None:
        n = trainer.global_step
        self.states[n] = {name: value.clone() for name, value in module.state_dict().items()}
        self.moments[n] = torch.cat(
            [state["exp_avg"].flatten() for state in trainer.optimizers[0].state.values()] or [ZERO]
        )
        self.rates[n] = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]


def gan(**options: Any) -> GAN:
    torch.manual_seed(0)
    generator = MLPGenerator(hidden=(16,), **({"norm": VirtualBatchNorm} if options.pop("every", False) else {}))
    discriminator = MLPDiscriminator(
        num_outputs=1, hidden=(16, 12), minibatch_discrimination=partial(MinibatchDiscrimination, num_kernels=3)
    )
    penalties = {f"{player}_penalties": [HistoricalAveraging(0.01)] for player in PLAYERS}
    rate = partial(ReleasedAdam, lr=0.01)
    settings = {"seed": 0, "generator_optimizer": rate, "discriminator_optimizer": rate, **penalties, **options}
    return GAN(generator, discriminator, LossOfG(), LossOfD(), **settings)


def fit(module: GAN, steps: int, *callbacks: Callback, checkpoint: Any = None) -> Trainer:
    trainer = Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False, devices=1,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks), log_every_n_steps=7,
    )  # fmt: skip
    trainer.fit(module, DigitsDataModule(20), ckpt_path=checkpoint, weights_only=True)
    return trainer


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_last_good_state_comes_back_with_smaller_rates(monkeypatch, player: str, at_once: bool) -> None:
    monkeypatch.setattr(UpdatingModule, "read_at_once", at_once)  # as on an accelerator
    module, plant = gan(), Plant(player, [7])
    with pytest.warns(UserWarning, match=rf"The {player}'s loss is nan in training batch 7[^0-9].*") as said:
        trainer = fit(module, 12, RollBack(0.25, 3), plant)
    (message,) = [str(one.message) for one in said if "Training goes on" in str(one.message)]
    assert "from the state after batch 6 with the learning rates of both players times 0.25" in message
    assert re.search(r"now 0\.0025, 0\.0025 \(time 1 of 5\)\.$", message)
    assert same(plant.states[7], plant.states[6])
    assert torch.equal(plant.moments[7], plant.moments[6])
    assert not same(plant.states[8], plant.states[7])
    assert plant.rates[6] == [0.01, 0.01]
    assert plant.rates[7] == plant.rates[12] == [0.0025, 0.0025]
    assert module.batches == module.d_updates == module.g_updates == trainer.global_step == 12
    assert all(bool(value.isfinite().all()) for value in module.state_dict().values())
    assert not module.mid_batch
    assert module.recover is None


def test_without_it_the_run_ends() -> None:
    with pytest.raises(DivergedError, match="training batch 7"):
        fit(gan(), 12, Plant("generator", [7]))


def test_the_same_state_comes_back_as_often_as_it_is_needed() -> None:
    plant = Plant("generator", [3, 6, 7])
    with pytest.warns(UserWarning, match="time 3 of 5"):
        fit(gan(), 8, RollBack(0.5, 2), Plant("generator", [3, 6, 7]), plant)
    assert same(plant.states[3], plant.states[2])
    assert same(plant.states[6], plant.states[4])
    assert same(plant.states[7], plant.states[6])
    assert torch.equal(plant.moments[7], plant.moments[4])
    assert plant.rates[8] == [0.00125, 0.00125]


def test_the_first_batch_may_diverge() -> None:
    module = gan()
    with pytest.warns(UserWarning, match="from the state after batch 0"):
        fit(module, 3, RollBack(), Plant("discriminator", [1]))
    assert module.batches == 3


def test_schedules_go_on_from_the_smaller_rate() -> None:
    make = partial(LinearDecay, start=4, end=14)
    plant = Plant("discriminator", [6])
    with pytest.warns(UserWarning, match="goes on"):
        fit(gan(generator_scheduler=make, discriminator_scheduler=make), 10, RollBack(), plant)
    for batch, rate in {5: 0.009, 6: 0.004, 9: 0.0025}.items():
        assert plant.rates[batch] == pytest.approx([rate, rate]), batch


def test_it_gives_up() -> None:
    module = gan()
    with (
        pytest.warns(UserWarning, match="time 2 of 2"),
        pytest.raises(DivergedError, match=r"generator's loss is nan in training batch 5.*RollBack has tried 2 times"),
    ):
        fit(module, 9, RollBack(max_rollbacks=2), Plant("generator", range(3, 9)))
    assert module.recover is None


@pytest.mark.parametrize("stop", [3, 6, 8, 9])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, stop: int) -> None:
    """Where a state from before the stop is put back after it, too."""
    wrong, settings = [5, 7, 11], {"every": True, "generator_scheduler": partial(LinearDecay, start=2, end=40)}
    callbacks = partial(lambda: (ReferenceBatch("generator"), RollBack(0.5, 4), Plant("discriminator", wrong)))
    with pytest.warns(UserWarning, match="time 3 of 5"):
        whole = fit(gan(**settings), 14, *callbacks())
    whole.save_checkpoint(tmp_path / "whole.ckpt")
    first = fit(gan(**settings), stop, *callbacks())
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed = fit(gan(**settings), 14, *callbacks(), checkpoint=tmp_path / "first.ckpt")
    resumed.save_checkpoint(tmp_path / "resumed.ckpt")
    a, b = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("whole", "resumed"))
    assert same(a["state_dict"], b["state_dict"])
    for part in ("optimizer_states", "lr_schedulers", "improved_gan"):
        assert str(a[part]) == str(b[part]), part
    kept = [one["callbacks"][RollBack().state_key] for one in (a, b)]
    assert kept[0]["batch"] == kept[1]["batch"] == 12
    assert same(kept[0]["weights"], kept[1]["weights"])


def test_wrong_values_and_modules_are_refused() -> None:
    for name, value in [("factor", 0.0), ("factor", 1.0), ("every_n_batches", 0), ("max_rollbacks", 0)]:
        with pytest.raises(ValueError, match=rf"Parameter `{name}` of RollBack should be .* Found {name}={value}"):
            RollBack(**{name: value})
    with pytest.raises(TypeError, match=r"RollBack works on .*Found Classifier"):
        fit(Classifier(MLPDiscriminator(hidden=(8,))), 1, RollBack())  # type: ignore[arg-type]
    several = Trainer(devices=2, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"RollBack works in one process\. Found 2"):
        RollBack().setup(several, gan(), "fit")
