"""The balance monitor's optional hand on the learning rates."""

from functools import partial
from typing import Any

import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import Callback

from lit_improved_gan import (
    GAN,
    BalanceMonitor,
    LinearDecay,
    PointDiscriminator,
    PointGenerator,
    ReleasedAdam,
    RingDataModule,
)
from lit_improved_gan.callbacks.slow_down import SlowDown

STRONG, WEAK, BALANCED = (5.0, -5.0), (0.1, 0.1), (0.2, 0.2)
D_RATE, G_RATE, FACTOR = 1e-9, 2e-9, 0.25  # so small that the points stay where they are


class Scripted(PointDiscriminator):
    """Says what it is told of real and of generated points, each with a pass of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.independent_examples = False
        self.answers = BALANCED

    def forward(self, x):
        if self.training:
            return super().forward(x)
        real = float(x.abs().max()) > 1.5  # a generator that was not trained makes small ones
        return torch.full((len(x), 1), self.answers[0 if real else 1])


class Script(Callback):
    """What D says after each batch, and the learning rates with which each is trained on."""

    def __init__(self, answers: list[tuple[float, float]]) -> None:
        self.answers = answers
        self.rates: dict[int, tuple[float, float]] = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates[pl_module.batches + 1] = tuple(one.param_groups[0]["lr"] for one in trainer.optimizers)
        pl_module.discriminator.answers = self.answers[pl_module.batches]


def run(make_trainer, answers, schedule: Any = None, path: Any = None, save: Any = None, **options: Any):
    torch.manual_seed(0)
    module = GAN(
        PointGenerator(), Scripted(), seed=0,
        discriminator_optimizer=partial(ReleasedAdam, lr=D_RATE), generator_optimizer=partial(ReleasedAdam, lr=G_RATE),
        discriminator_scheduler=schedule, generator_scheduler=schedule,
    )  # fmt: skip
    monitor = BalanceMonitor(every_n_batches=1, patience=2, missed=0.999, **options)
    script = Script(answers)
    trainer = make_trainer(script, monitor, max_steps=len(answers), max_epochs=-1)
    trainer.fit(module, RingDataModule(num_points=1000), ckpt_path=path, weights_only=True if path else None)
    if save:
        trainer.save_checkpoint(save)
    return script.rates, monitor


def check(make_trainer) -> None:
    """D is ahead, then G, then neither, each seen two batches late."""
    answers = [BALANCED] * 2 + [STRONG] * 3 + [WEAK] * 4 + [STRONG] * 1 + [BALANCED] * 4
    rates, monitor = run(make_trainer, answers, slow_down=FACTOR)
    found = [event for event in monitor.events if event[1] not in ("collapsing", "varied")]
    states = dict(found)
    state, expected = "balanced", {}
    for batch in range(1, len(answers) + 1):
        factors = {"too strong": (FACTOR, 1.0), "too weak": (1.0, FACTOR), "balanced": (1.0, 1.0)}[state]
        expected[batch] = (D_RATE * factors[0], G_RATE * factors[1])
        state = states.get(batch, state)
    assert {"too strong", "too weak", "balanced"} <= set(states.values()), found
    for batch, rate in rates.items():
        assert rate == pytest.approx(expected[batch], rel=1e-12), batch


def test_the_player_that_is_ahead_is_slowed_down_for_as_long(make_trainer) -> None:
    check(make_trainer)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1 / self.applied", "self.applied"),
        ("(player, after)", "(player, 1.0)"),
        ("self.player, self.applied = player, after", "pass"),
    ],
)
def test_planted_errors_are_found(make_trainer, monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, SlowDown.apply, old, new)
    with pytest.raises(AssertionError):
        check(make_trainer)


def test_by_default_the_rates_are_left_alone(make_trainer) -> None:
    rates, monitor = run(make_trainer, [STRONG] * 5)
    assert monitor.events[0][1] == "too strong"
    assert set(rates.values()) == {(D_RATE, G_RATE)}


def test_schedules_go_on(make_trainer) -> None:
    schedule = partial(LinearDecay, start=0, end=10)
    plain, _ = run(make_trainer, [STRONG] * 8, schedule)
    rates, _ = run(make_trainer, [STRONG] * 8, schedule, slow_down=FACTOR)
    for batch, (d_rate, g_rate) in rates.items():
        factor = FACTOR if batch > 3 else 1.0  # two looks decide; the schedule steps before the second one is made
        assert g_rate == pytest.approx(plain[batch][1])
        if batch != 3:
            assert d_rate == pytest.approx(factor * plain[batch][0]), batch


def test_a_resumed_run_goes_on_and_undoes_it(make_trainer, tmp_path) -> None:
    answers = [STRONG] * 5 + [BALANCED] * 5
    whole, _ = run(make_trainer, answers, slow_down=FACTOR)
    run(make_trainer, answers[:5], slow_down=FACTOR, save=tmp_path / "x.ckpt")
    again, _ = run(make_trainer, answers, slow_down=FACTOR, path=tmp_path / "x.ckpt")
    assert again == {batch: rate for batch, rate in whole.items() if batch > 5}
    assert whole[6][0] == FACTOR * D_RATE
    assert whole[10][0] == D_RATE


@pytest.mark.parametrize("factor", [None, 0.5])
def test_a_resumed_run_with_another_factor_undoes_the_one_before(make_trainer, tmp_path, factor) -> None:
    answers = [STRONG] * 5 + [BALANCED] * 5
    run(make_trainer, answers[:5], slow_down=FACTOR, save=tmp_path / "x.ckpt")
    again, _ = run(make_trainer, answers, slow_down=factor, path=tmp_path / "x.ckpt")
    assert again[6][0] == FACTOR * D_RATE
    assert again[10][0] == pytest.approx(D_RATE)


def test_a_second_fit_begins_with_its_own_rates(make_trainer) -> None:
    monitor = BalanceMonitor(every_n_batches=1, patience=2, missed=0.999, slow_down=FACTOR)
    for _ in range(2):
        torch.manual_seed(0)
        rate = partial(ReleasedAdam, lr=D_RATE)
        module = GAN(
            PointGenerator(), Scripted(), seed=0, discriminator_optimizer=rate, generator_optimizer=rate
        )  # fmt: skip
        script = Script([STRONG] * 4 + [BALANCED] * 2)
        make_trainer(script, monitor, max_steps=6, max_epochs=-1).fit(module, RingDataModule(num_points=1000))
        assert script.rates[1] == (D_RATE, D_RATE)
        assert script.rates[5] == pytest.approx((FACTOR * D_RATE, D_RATE))
        assert script.rates[6] == pytest.approx((D_RATE, D_RATE))


@pytest.mark.parametrize(
    "schedule",
    [
        partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=4 * D_RATE, total_steps=20, cycle_momentum=False),
        partial(
            torch.optim.lr_scheduler.CyclicLR,
            base_lr=D_RATE, max_lr=4 * D_RATE, step_size_up=3, cycle_momentum=False,
        ),
        partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5),
        partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=12),
    ],
)  # fmt: skip
def test_torchs_schedules_go_on_and_come_back(make_trainer, schedule) -> None:
    answers = [STRONG] * 5 + [BALANCED] * 2
    plain, _ = run(make_trainer, answers, schedule)
    rates, _ = run(make_trainer, answers, schedule, slow_down=FACTOR)
    factors = [rates[batch][0] / plain[batch][0] for batch in rates]
    assert factors == pytest.approx([1.0] * 2 + [FACTOR] * 4 + [1.0], rel=1e-6), factors
    assert [pair[1] for pair in rates.values()] == pytest.approx([pair[1] for pair in plain.values()])


def test_what_does_not_fit_is_refused(foreign, loader, make_trainer) -> None:
    with pytest.raises(ValueError, match=r"`slow_down` of BalanceMonitor should be in \(0, 1\). Found slow_down=1.0"):
        BalanceMonitor(slow_down=1.0)
    with pytest.raises(ValueError, match=r"`slow_down` of BalanceMonitor needs an optimizer of the .* alone"):
        make_trainer(BalanceMonitor(slow_down=0.1)).fit(foreign, loader)
