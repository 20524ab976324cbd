"""The monitor of modes logs what the measure says of the module's samples, beside real samples and noise."""

import csv
from functools import partial
from typing import Any

import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.loggers import CSVLogger

from lit_improved_gan import (
    GAN,
    ClassifiedModes,
    GaussianModes,
    GridDataModule,
    MLPDiscriminator,
    MLPGenerator,
    ModeCoverage,
    ModeCoverageMonitor,
    PointDiscriminator,
    PointGenerator,
    ReleasedAdam,
    RingDataModule,
    SideBySideGAN,
    StackedDigitsDataModule,
)
from lit_improved_gan.metrics import SupportSize, distance_of_share
from lit_improved_gan.seeding import permutation

NAMES = ("modes", "quality", "kl", "modes_ungated", "kl_ungated")


def ring_gan(seed: int = 0) -> GAN:
    seed_everything(seed, verbose=False)
    adam = partial(ReleasedAdam, lr=1e-3)
    return GAN(
        PointGenerator(), PointDiscriminator(), generator_optimizer=adam, discriminator_optimizer=adam, seed=seed
    )  # fmt: skip


def by_hand(judge, samples: torch.Tensor, stage: str, suffix: str = "") -> dict[str, float]:
    metric = ModeCoverage(judge.num_modes)
    metric.update(*judge(samples))
    return {f"{stage}/{name}{suffix}": float(value) for name, value in metric.compute().items()}


@pytest.fixture
def ring() -> RingDataModule:
    return RingDataModule(std=0.2, num_points=1000)


def test_values_are_those_of_the_modules_samples(ring, make_trainer, tmp_path) -> None:
    module, monitor = ring_gan(), ModeCoverageMonitor(num_samples=1500, every_n_batches=4, val_samples=300, seed=3)
    trainer = make_trainer(monitor, logger=CSVLogger(tmp_path, "", ""))
    trainer.fit(module, ring)
    judge = GaussianModes(ring.centres, ring.std)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows if row["val/modes"]] == [4, 8]
    found = trainer.test(module, ring, verbose=False)[0]
    expected = by_hand(judge, module.sample(1500, seed=3), "test")
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["test/real_modes"] == 8
    assert found["test/real_quality"] > 0.97
    assert found["test/real_support"] == pytest.approx(1000, rel=0.25)
    rows = permutation(len(ring.real_images("train")), "real samples")[-1000:]
    support = SupportSize(distance_of_share(ring.real_images("train")[rows]))
    support.update(module.sample(1500, seed=3)[:1000])
    assert found["test/support"] == pytest.approx(float(support.compute()["support"]))
    assert found["test/noise_quality"] < 0.6
    assert found.keys() >= {f"test/{row}_{name}" for row in ("real", "noise") for name in NAMES}


def test_the_last_look_is_of_the_weights_at_that_time(ring, make_trainer) -> None:
    module, monitor = ring_gan(), ModeCoverageMonitor(every_n_batches=5, val_samples=300)
    trainer = make_trainer(monitor)
    trainer.fit(module, ring)
    expected = by_hand(GaussianModes(ring.centres, ring.std), module.sample(300), "val")
    assert {name: float(trainer.callback_metrics[name]) for name in expected} == pytest.approx(expected, rel=1e-6)


def trained(ring, make_trainer, *callbacks: Any) -> dict[str, torch.Tensor]:
    class Noisy(PointDiscriminator):
        def forward(self, x):
            return super().forward(x + 0.1 * torch.randn_like(x))

    seed_everything(0, verbose=False)
    module = GAN(PointGenerator(), Noisy(), seed=0)
    states = []

    class Watch(ModeCoverageMonitor):
        def on_train_batch_end(self, *args: Any) -> None:
            before = torch.get_rng_state()
            super().on_train_batch_end(*args)
            states.append(torch.equal(before, torch.get_rng_state()))

    for callback in callbacks:
        callback.__class__ = Watch
    make_trainer(*callbacks).fit(module, ring)
    assert all(states)
    return module.state_dict()


def test_training_is_the_same_with_and_without_it(ring, make_trainer) -> None:
    without = trained(ring, make_trainer)
    found = trained(ring, make_trainer, ModeCoverageMonitor(every_n_batches=1, val_samples=50))
    assert all(torch.equal(value, found[name]) for name, value in without.items())


def test_the_state_of_the_noise_would_be_touched_otherwise(ring, make_trainer, monkeypatch) -> None:
    plant(monkeypatch, ModeCoverageMonitor._measure, "with untouched_noise(pl_module.device):", "if True:")
    with pytest.raises(AssertionError):
        trained(ring, make_trainer, ModeCoverageMonitor(every_n_batches=1, val_samples=50))


def test_each_of_several_seeds_is_measured(make_trainer, caplog) -> None:
    seeds = [3, 5, 8]
    data = RingDataModule(std=0.2, num_points=1000, seeds=seeds)
    module = SideBySideGAN([ring_gan(seed) for seed in seeds])
    for i in range(3):  # members that differ
        network = module.stacks[0].member(i)
        torch.nn.init.constant_(network.layers[-1].weight, 0.0)
        network.layers[-1].bias.data = data.centres[i]
        module.stacks[0].set_member(i, network)
    module.generator_average.restart(module.generator)
    trainer = make_trainer(ModeCoverageMonitor(num_samples=1234))
    with caplog.at_level("INFO"):
        found = trainer.test(module, data, verbose=False)[0]
    assert "of 8 modes, 1234 samples of each seed cover" in caplog.text
    for row in ("seed 5", "their mean"):
        assert f"\n  {row:10}     1 modes, KL " in caplog.text
    assert [found[f"test/modes_seed{seed}"] for seed in seeds] == [1, 1, 1]
    assert found["test/modes"] == 1  # and not the three of all together
    assert found["test/quality"] == 1


def test_stacked_digits_by_a_classifier(make_trainer) -> None:
    data = StackedDigitsDataModule(num_images=1000, num_test=100)
    module = GAN(MLPGenerator((3, 8, 8), hidden=(20,)), MLPDiscriminator((3, 8, 8), 1, (20,)), seed=0)
    monitor = ModeCoverageMonitor(ClassifiedModes(), num_samples=500, every_n_batches=5, val_samples=100)
    trainer = make_trainer(monitor)
    trainer.fit(module, data)
    found = trainer.test(module, data, verbose=False)[0]
    expected = by_hand(ClassifiedModes(), module.sample(500), "test")
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["test/real_modes"] > 250
    assert found["test/noise_quality"] < 0.02


def test_a_foreign_module(foreign, make_trainer) -> None:
    """It has neither numbered samples nor counts of its own."""
    data = StackedDigitsDataModule(num_images=100, num_test=100, batch_size=10)
    foreign.sample = lambda n, seed: torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    foreign.training_step = lambda batch, batch_idx: foreign.discriminator(batch.images[:, :1]).mean()
    monitor = ModeCoverageMonitor(ClassifiedModes(), every_n_batches=3, val_samples=50, num_samples=60)
    trainer = make_trainer(monitor)
    trainer.fit(foreign, data)
    assert trainer.callback_metrics["val/modes_ungated"] > 1


def test_it_says_what_the_samples_cover(ring, make_trainer, caplog) -> None:
    with caplog.at_level("INFO"):
        make_trainer(ModeCoverageMonitor(num_samples=100)).test(ring_gan(), ring, verbose=False)
    text = caplog.text
    for expected in ("of 8 modes, 100 samples cover", "generated", "real           8 modes", "noise"):
        assert expected in text


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_what_does_not_fit_is_refused_before_training(ring, make_trainer, stage: str) -> None:
    module = ring_gan()
    digits = StackedDigitsDataModule(num_images=200, num_test=100)
    images = GAN(MLPGenerator((3, 8, 8)), MLPDiscriminator((3, 8, 8), 1))

    def run(monitor: ModeCoverageMonitor, module: LightningModule, data: Any) -> None:
        getattr(make_trainer(monitor), stage)(module, data)

    with pytest.raises(ValueError, match=r"`judge` of ModeCoverageMonitor is needed.*none in StackedDigitsDataModule"):
        run(ModeCoverageMonitor(), images, digits)
    with pytest.raises(ValueError, match=r"ClassifiedModes should be given images .* Found \(2, 2\)"):
        run(ModeCoverageMonitor(ClassifiedModes()), module, ring)
    with pytest.raises(ValueError, match=r"GaussianModes should be given points"):
        run(ModeCoverageMonitor(GaussianModes(torch.zeros(1, 3), 1.0)), module, ring)
    assert module.batches == 0
    module.sample = None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError, match=r"ModeCoverageMonitor needs a method sample\(n, seed\) of GAN"):
        run(ModeCoverageMonitor(), module, ring)


def test_no_real_samples_are_refused(foreign, loader, make_trainer) -> None:
    with pytest.raises(TypeError, match=r"real_images\(split\) of the datamodule. Found none in NoneType"):
        make_trainer(ModeCoverageMonitor(ClassifiedModes())).fit(foreign, loader)


@pytest.mark.parametrize("name", ["num_samples", "val_samples", "every_n_batches"])
def test_arguments_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of ModeCoverageMonitor should be . or more. Found -1"):
        ModeCoverageMonitor(**{name: -1})


def test_null_rows_are_taken_anew_for_other_data(make_trainer) -> None:
    monitor = ModeCoverageMonitor(GaussianModes(GridDataModule().centres, 0.05), num_samples=500)
    first = make_trainer(monitor).test(ring_gan(), GridDataModule(), verbose=False)[0]
    second = make_trainer(monitor).test(ring_gan(), RingDataModule(), verbose=False)[0]
    assert first["test/real_quality"] > 0.97
    assert second["test/real_quality"] < 0.6
