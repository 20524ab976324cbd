"""The monitor of the two players' balance."""

import csv
import warnings
from functools import partial
from math import pi
from typing import Any

import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from lit_improved_gan import (
    GAN,
    BalanceMonitor,
    DigitsDataModule,
    MLPDiscriminator,
    MLPGenerator,
    PointDiscriminator,
    PointGenerator,
    ReleasedAdam,
    RingDataModule,
    SemiSupervisedGAN,
    SideBySideGAN,
)
from lit_improved_gan.callbacks.balance import look
from lit_improved_gan.callbacks.watch import Watch
from lit_improved_gan.seeding import generator


def gan(seed: int = 0, d_rate: float = 1e-3, g_rate: float = 1e-3, discriminator: nn.Module | None = None) -> GAN:
    seed_everything(seed, verbose=False)
    return GAN(
        PointGenerator(),
        discriminator or PointDiscriminator(),
        generator_optimizer=partial(ReleasedAdam, lr=g_rate),
        discriminator_optimizer=partial(ReleasedAdam, lr=d_rate),
        seed=seed,
    )


@pytest.fixture
def ring() -> RingDataModule:
    return RingDataModule(num_points=1000)


def test_values_are_those_of_the_batch_and_the_players(ring, make_trainer, tmp_path) -> None:
    expected: list[dict[str, float]] = []

    class Noting(BalanceMonitor):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            super().on_before_optimizer_step(trainer, pl_module, optimizer)
            norm = torch.stack([p.grad.norm() for group in optimizer.param_groups for p in group["params"]]).norm()
            norms.append(float(norm))

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            if pl_module.batches % 3 == 0:
                real = batch["unlabelled"]
                z = pl_module.generator.prior(100, generator("balance", pl_module.batches))
                with torch.no_grad():
                    fake = pl_module.generator(z)
                    logits = [pl_module.discriminator(x).logits.squeeze(1) for x in (real, fake)]
                    values = {name: float(value) for name, value in look(real, fake, *logits).items()}
                d, g = norms[-2:]
                expected.append(
                    values
                    | {"d_gradient": d, "g_gradient": g, "gradient_ratio": d / g, "d_strength": 0, "collapsing": 0}
                )

    norms: list[float] = []
    make_trainer(Noting(every_n_batches=3), logger=CSVLogger(tmp_path, "", "")).fit(gan(), ring)
    rows = [row for row in csv.DictReader((tmp_path / "metrics.csv").open()) if row["balance/d_real"]]
    assert [int(row["step"]) for row in rows] == [3, 6, 9]
    for row, values in zip(rows, expected, strict=True):
        assert {name: float(row[f"balance/{name}"]) for name in values} == pytest.approx(values, rel=1e-5)


class Noisy(PointDiscriminator):
    """With a noise of its own, and a note of how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        return super().forward(self.dropout(x) + 0.1 * torch.randn_like(x))


def trained(ring, make_trainer, *callbacks: Any) -> dict[str, torch.Tensor]:
    seed_everything(0, verbose=False)
    module = gan(discriminator=Noisy())
    module.discriminator.hidden[0].eval()  # a mode that someone chose
    same: list[bool] = []
    for callback in callbacks:

        class Guarded(type(callback)):
            def on_train_batch_end(self, trainer, pl_module, *args):
                before = torch.get_rng_state(), [m.training for m in pl_module.modules()]
                super().on_train_batch_end(trainer, pl_module, *args)
                same.append(torch.equal(before[0], torch.get_rng_state()))
                same.append(before[1] == [m.training for m in pl_module.modules()])

        callback.__class__ = Guarded
    make_trainer(*callbacks).fit(module, ring)
    assert all(same)
    return module.state_dict()


def check_untouched(ring, make_trainer) -> None:
    without = trained(ring, make_trainer)
    found = trained(ring, make_trainer, BalanceMonitor(every_n_batches=1))
    assert all(torch.equal(value, found[name]) for name, value in without.items())


def test_training_is_the_same_with_and_without_it(ring, make_trainer) -> None:
    check_untouched(ring, make_trainer)


@pytest.mark.parametrize(
    ("old", "new"),
    [(", untouched_noise(real.device)", ""), ("evaluating(*networks)", "evaluating(*(n.eval() for n in networks))")],
)
def test_it_would_be_touched_otherwise(ring, make_trainer, monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, BalanceMonitor._look, old, new)
    with pytest.raises(AssertionError):
        check_untouched(ring, make_trainer)


# --- what it says ---


class Scripted(PointDiscriminator):
    """Says what it is told of real and of generated points, each with a pass of its own."""

    answers: tuple[float, float] = (0.0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.independent_examples = False

    def forward(self, x):
        if not self.training:
            real = float(x.abs().max()) > 1.5  # a generator that was not trained makes small ones
            return torch.full((len(x), 1), self.answers[0 if real else 1])
        return super().forward(x)


def said(ring, make_trainer, answers: tuple[float, float], batches: int = 10) -> tuple[list[str], BalanceMonitor]:
    module = gan(d_rate=1e-9, g_rate=1e-9, discriminator=Scripted())
    module.discriminator.answers = answers
    monitor = BalanceMonitor(every_n_batches=1, patience=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer(monitor, max_steps=batches, max_epochs=-1).fit(module, ring)
    assert [event for event in monitor.events if event[1] in ("collapsing", "varied")] == [(6, "collapsing")]  # narrow
    return [str(one.message) for one in caught if str(one.message).startswith("batch ")], monitor


def test_too_strong_is_said_once(ring, make_trainer) -> None:
    words, monitor = said(ring, make_trainer, (5.0, -5.0))
    assert len(words) == 2
    assert words[0].startswith("batch 3: the discriminator is too strong: it is right about 100% of the samples, D(x)")
    assert "label_smoothing.yaml" in words[0]
    assert monitor.events[0] == (3, "too strong")


def test_too_weak_is_said_once(ring, make_trainer) -> None:
    words, monitor = said(ring, make_trainer, (0.1, 0.1))
    assert len(words) == 2
    assert words[0].startswith("batch 3: the discriminator is too weak: it is right about 50% of the samples, though")
    assert "d_updates_per_batch" in words[0]
    assert monitor.events[0] == (3, "too weak")


class Kinds(PointGenerator):
    """Makes as many points of the ring as it is told, around the origin."""

    kinds, radius = 1, 2.0

    def forward(self, z):
        angles = torch.arange(len(z)) % self.kinds * 2 * pi / self.kinds
        return self.radius * torch.stack([angles.cos(), angles.sin()], 1) + 0.02 * z + 0 * super().forward(z)


class Turn(Callback):
    """Changes how many at given batches."""

    def __init__(self, kinds: dict[int, int]) -> None:
        self.kinds = kinds

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pl_module.generator.kinds = self.kinds.get(pl_module.batches, pl_module.generator.kinds)


def check_collapse(ring, make_trainer, tmp_path) -> None:
    seed_everything(0, verbose=False)
    monitor = BalanceMonitor(every_n_batches=1, patience=3)
    loggers = [CSVLogger(tmp_path, "", version) for version in ("one", "other")]
    turn = Turn({0: 8, 10: 1, 20: 8, 30: 2})
    module = GAN(Kinds(), Scripted(), seed=0)
    module.discriminator.answers = (0.5, 0.5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer(turn, monitor, max_steps=40, max_epochs=-1, logger=loggers).fit(module, ring)
    words = [str(one.message) for one in caught if "collapsing" in str(one.message)]
    assert [one.split(":")[0] for one in words] == ["batch 13", "batch 33"]  # once for each event
    assert words[0].startswith("batch 13: the generator is collapsing: its samples lie 0.0")
    assert "configs/technique/minibatch_discrimination.yaml" in words[0]
    found = [event for event in monitor.events if event[1] in ("collapsing", "varied")]
    assert found == [(13, "collapsing"), (23, "varied"), (33, "collapsing")]
    for version in ("one", "other"):
        rows = list(csv.DictReader((tmp_path / version / "metrics.csv").open()))
        logged = [row["balance/collapsing"] == "1.0" for row in rows if row["balance/collapsing"]]
        assert logged == [13 <= batch < 23 or batch >= 33 for batch in range(1, 41)]


def test_a_collapse_is_said_once_an_event_and_logged_to_every_logger(ring, make_trainer, tmp_path) -> None:
    check_collapse(ring, make_trainer, tmp_path)


class Judge(PointDiscriminator):
    """Tells points of a radius above 2.5: half of them, and from a given look on all."""

    def __init__(self, since: int) -> None:
        super().__init__()
        self.since, self.passes = since, 0

    def forward(self, x):
        if not self.training:
            self.passes += 1  # two a look
            doubt = (torch.arange(len(x)) % 2 == 0) & (self.passes < 2 * self.since)
            return torch.where((x.norm(dim=1) < 2.5) | doubt, 1.0, -1.0).unsqueeze(1)
        return super().forward(x)


def check_while_collapsing(ring, make_trainer) -> None:
    seed_everything(0, verbose=False)
    monitor = BalanceMonitor(every_n_batches=1, patience=3)
    turn = Turn({0: 1, 30: 8})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = GAN(Kinds(), Judge(15), seed=0)
        module.generator.radius = 3.0
        make_trainer(turn, monitor, max_steps=40, max_epochs=-1).fit(module, ring)
    assert monitor.events[-3:] == [(6, "collapsing"), (33, "varied"), (34, "too strong")]


def test_nothing_new_is_said_of_d_while_g_collapses(ring, make_trainer) -> None:
    check_while_collapsing(ring, make_trainer)


def test_it_would_be_said_otherwise(ring, make_trainer, monkeypatch) -> None:
    plant(monkeypatch, Watch.add, 'may_begin=self.collapse.state == "varied"', "may_begin=True")
    with pytest.raises(AssertionError):
        check_while_collapsing(ring, make_trainer)


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (Watch.add, "if state != was", "if True"),
        (BalanceMonitor.on_train_batch_end, "trainer.loggers", "trainer.loggers[:1]"),
        (Watch.add, "self.collapse.add(values)", "self.collapse.state"),
        (look, "Distances.between(real[:pairs], fake[:pairs])", "Distances.between(fake[:pairs], real[:pairs])"),
    ],
)
def test_an_error_planted_is_found(ring, make_trainer, tmp_path, monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, OSError)):
        check_collapse(ring, make_trainer, tmp_path)


class Cloud(PointGenerator):
    """Normal points of a given width."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = nn.Parameter(torch.tensor(width))

    def forward(self, z):
        return self.width * z + 0 * super().forward(z)


WIDTHS = {4: 1.5, 7: 0.01, 2: 1.5}  # by seed


def check_seeds(make_trainer, tmp_path, **options: Any) -> None:
    frozen = partial(ReleasedAdam, lr=1e-9)
    rates: dict[str, Any] = {"generator_optimizer": frozen, "discriminator_optimizer": frozen}
    members = [GAN(Cloud(width), PointDiscriminator(), seed=seed, **rates) for seed, width in WIDTHS.items()]
    monitor = BalanceMonitor(every_n_batches=1, patience=3, weak=0.51, **options)
    logger = CSVLogger(tmp_path, "", "")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = make_trainer(monitor, max_steps=8, max_epochs=-1, logger=logger)
        trainer.fit(SideBySideGAN(members), RingDataModule(num_points=1000, seeds=list(WIDTHS)))
    words = [str(one.message) for one in caught if "collapsing" in str(one.message)]
    assert len(words) == 1
    assert words[0].startswith("batch 6, seed 7: the generator is collapsing: its samples lie 0.0")
    collapses = [[event for event in watch.events if event[1] == "collapsing"] for watch in monitor.watches]
    assert collapses == [[], [(6, "collapsing")], []]
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    shares = [float(row["balance/collapsing"]) for row in rows if row["balance/collapsing"]]
    assert shares == pytest.approx([0.0] * 5 + [1 / 3] * 3)
    again = BalanceMonitor(every_n_batches=1, patience=3)
    again.load_state_dict(monitor.state_dict())
    assert [watch.events for watch in again.watches] == [watch.events for watch in monitor.watches]


def test_of_seeds_side_by_side_the_one_that_collapses_is_named(make_trainer, tmp_path) -> None:
    check_seeds(make_trainer, tmp_path)


def test_mixed_up_seeds_are_found(make_trainer, tmp_path, monkeypatch) -> None:
    whole = "value.unflatten(0, (len(self.watches), -1))"
    mixed = "value.unflatten(0, (-1, len(self.watches))).transpose(0, 1)"
    plant(monkeypatch, BalanceMonitor._look, whole, mixed)
    with pytest.raises(AssertionError):
        check_seeds(make_trainer, tmp_path)


def test_seeds_side_by_side_share_their_learning_rates(make_trainer, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"`slow_down` of BalanceMonitor .* Found \[4, 7, 2\]: leave it out"):
        check_seeds(make_trainer, tmp_path, slow_down=0.5)


def test_the_state_of_an_earlier_version_is_taken(ring, make_trainer) -> None:
    monitor = BalanceMonitor(every_n_batches=1, patience=3)
    make_trainer(monitor, max_steps=4, max_epochs=-1).fit(gan(), ring)
    before = monitor.state_dict()
    earlier = before["watches"][0] | {"slow_down": before["slow_down"]}
    again = BalanceMonitor(every_n_batches=1, patience=3)
    again.load_state_dict(earlier)
    assert again.state_dict() == before
    several = BalanceMonitor(every_n_batches=1, patience=3)
    several.watches = several._new(3)  # as setup makes them for seeds side by side, before a checkpoint is read
    several.load_state_dict(earlier)
    assert [watch.events for watch in several.watches] == [[], [], []]


def test_seeds_of_another_module_mean_nothing(foreign, loader, make_trainer) -> None:
    foreign.seeds = 7
    monitor = BalanceMonitor(every_n_batches=5)
    make_trainer(monitor).fit(foreign, loader)
    assert len(monitor.watches) == 1


def test_what_was_logged_is_written_with_a_checkpoint(ring, make_trainer, tmp_path) -> None:
    """A run that goes on from it does not log it again."""
    logger = CSVLogger(tmp_path, "", "")
    trainer = make_trainer(BalanceMonitor(every_n_batches=3), max_steps=4, max_epochs=-1, logger=logger)
    kept = {}

    class Save(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_) -> None:
            trainer.save_checkpoint(tmp_path / "some.ckpt")
            kept[pl_module.batches] = (tmp_path / "metrics.csv").is_file()

    trainer.callbacks.append(Save())
    trainer.fit(gan(), ring)
    assert kept == {1: False, 2: False, 3: True, 4: True}


def test_a_resumed_run_does_not_say_it_again(ring, make_trainer, tmp_path) -> None:
    module = gan(d_rate=1e-9, g_rate=1e-9, discriminator=Scripted())
    module.discriminator.answers = (5.0, -5.0)
    trainer = make_trainer(BalanceMonitor(every_n_batches=1, patience=3), max_steps=4, max_epochs=-1)
    with pytest.warns(UserWarning, match="too strong"):
        trainer.fit(module, ring)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = BalanceMonitor(every_n_batches=1, patience=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer(again, max_steps=8, max_epochs=-1).fit(
            module, ring, ckpt_path=tmp_path / "last.ckpt", weights_only=True
        )
    assert not [one for one in caught if "too strong" in str(one.message)]
    assert again.events == [(3, "too strong"), (6, "collapsing")]  # the first window of three is not passed over again


# --- other modules ---


def test_semi_supervised_and_side_by_side(make_trainer) -> None:
    module = SemiSupervisedGAN(MLPGenerator(hidden=(20,)), MLPDiscriminator(hidden=(20,)), seed=0)
    monitor = BalanceMonitor(every_n_batches=5)
    make_trainer(monitor).fit(module, DigitsDataModule())
    assert len(monitor.watches[0].window.looks) == 2
    together, data = SideBySideGAN([gan(seed) for seed in (1, 2, 3)]), RingDataModule(num_points=1000, seeds=[1, 2, 3])
    monitor = BalanceMonitor(every_n_batches=5)
    make_trainer(monitor).fit(together, data)
    assert len(monitor.watches[0].window.looks) == 2


def test_a_foreign_module_with_one_optimizer(foreign, loader, make_trainer) -> None:
    monitor = BalanceMonitor(every_n_batches=2)
    make_trainer(monitor).fit(foreign, loader)
    assert len(monitor.watches[0].window.looks) == 3
    assert monitor.watches[0].window.looks[0]["d_gradient"] > 0
    assert "g_gradient" not in monitor.watches[0].window.looks[0]  # its loss has none


def test_one_pass_of_d_and_two_say_the_same(ring, make_trainer) -> None:
    """Where D treats every example on its own there is one; of members side by side each has its part of both."""
    passes: list[int] = []

    class Seeing(PointDiscriminator):
        def forward(self, x):
            if not self.training:
                passes.append(len(x))
            return super().forward(x)

    def looks(apart: bool, seeds: list[int]) -> list[dict[str, float]]:
        members = []
        for seed in seeds:
            seed_everything(seed, verbose=False)
            members.append(GAN(PointGenerator(), Seeing(), seed=seed))
            members[-1].discriminator.independent_examples = not apart
        module = members[0] if len(members) == 1 else SideBySideGAN(members)
        data = RingDataModule(batch_size=200, num_points=1000, std=0.1, seeds=seeds if len(seeds) > 1 else None)
        monitor = BalanceMonitor(every_n_batches=1)
        make_trainer(monitor).fit(module, data)
        return list(monitor.watches[0].window.looks)

    for seeds in ([0], [0, 1]):
        apart = looks(True, seeds)
        assert max(passes) == 200
        together = looks(False, seeds)
        assert max(passes) == 400
        passes.clear()
        for a, b in zip(together, apart, strict=True):
            assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_a_foreign_module_may_have_methods_of_those_names(foreign, loader, make_trainer) -> None:
    class Named(type(foreign)):
        def discriminate(self, x):
            return self.discriminator(x)

        def gradient_norms(self):
            return {}

    foreign.__class__ = Named
    monitor = BalanceMonitor(every_n_batches=2)
    make_trainer(monitor).fit(foreign, loader)
    assert monitor.watches[0].window.looks[0]["d_gradient"] > 0


def test_several_updates_share_a_batch(ring, make_trainer) -> None:
    sizes: list[int] = []

    class Seeing(Scripted):
        def forward(self, x):
            if not self.training:
                sizes.append(len(x))
            return super().forward(x)

    seed_everything(0, verbose=False)
    module = GAN(PointGenerator(), Seeing(), d_updates_per_batch=2, seed=0)
    make_trainer(BalanceMonitor(every_n_batches=5)).fit(module, ring)
    assert sizes[-2:] == [100, 100]


def test_what_does_not_fit_is_refused(foreign, loader, make_trainer) -> None:
    foreign.discriminator = None
    with pytest.raises(TypeError, match=r"BalanceMonitor needs a `discriminator` of Foreign. Found none"):
        make_trainer(BalanceMonitor()).fit(foreign, loader)
    foreign.generator = nn.Linear(1, 1)
    with pytest.raises(TypeError, match=r"a `generator` of Foreign with a method prior\(n, generator\)"):
        make_trainer(BalanceMonitor()).fit(foreign, loader)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_batches": 0}, "`every_n_batches` of BalanceMonitor should be 1 or more. Found every_n_batches=0"),
        ({"patience": 0}, "`patience` of BalanceMonitor should be 1 or more"),
        ({"strong": 1.0}, r"`strong` of BalanceMonitor should be in \(0.5, 1\). Found strong=1.0"),
        ({"weak": 0.5}, r"`weak` of BalanceMonitor should be in \(0.5, 1\)"),
        ({"differ": 1.5}, r"`differ` of BalanceMonitor should be in \(0.5, 1\)"),
        ({"missed": 1.0}, r"`missed` of BalanceMonitor should be in \(0, 1\). Found missed=1.0"),
        ({"spread": 0.0}, "`spread` of BalanceMonitor should be above 0. Found spread=0.0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BalanceMonitor(**options)


def test_it_needs_a_trainer_with_any_logger(ring, make_trainer) -> None:
    trainer: Trainer = make_trainer(BalanceMonitor(every_n_batches=5))
    trainer.fit(gan(), ring)
    assert trainer.loggers == []
