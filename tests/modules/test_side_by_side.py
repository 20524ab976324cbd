"""Seeds trained side by side follow the same seeds trained alone."""

import shutil
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import nn

from lit_improved_gan import (
    DigitsDataModule,
    FeatureMatchingLoss,
    HistoricalAveraging,
    MinibatchDiscrimination,
    MLPDiscriminator,
    MLPGenerator,
    NonSaturatingLoss,
    R1Penalty,
    ReferenceBatch,
    ReleasedAdam,
    SideBySideGAN,
    SideBySideSemiSupervisedGAN,
    SpectralNormLinear,
    VirtualBatchNorm,
)
from lit_improved_gan.layers import GaussianNoise, convert_batch_norm
from lit_improved_gan.losses import Penalty
from lit_improved_gan.modules import GAN, SemiSupervisedGAN

SEEDS = [3, 7, 8]
UPDATES = 20
BY_EXAMPLE: dict[str, Any] = {"minibatch_discrimination": None}  # with it and VBN rounding grows fivefold an update
VBN = {"generator": {"norm": VirtualBatchNorm}, "discriminator": BY_EXAMPLE}


def member(
    kind: type,
    seed: int,
    generator: dict[str, Any] | None = None,
    discriminator: dict[str, Any] | None = None,
    **options: Any,
) -> LightningModule:
    """One seed's module, without noise in its networks."""
    seed_everything(seed, verbose=False)
    outputs = 10 if kind is SemiSupervisedGAN else 1
    layer = partial(MinibatchDiscrimination, num_kernels=6, kernel_dim=3) if kind is GAN else None
    loss = FeatureMatchingLoss() if kind is SemiSupervisedGAN else NonSaturatingLoss()
    lr = 3e-3 if kind is SemiSupervisedGAN else 1e-3  # minibatch discrimination makes more of a difference in rounding
    return kind(
        MLPGenerator((1, 8, 8), hidden=(20, 20), **generator or {}),
        MLPDiscriminator(
            (1, 8, 8), outputs, (30, 20), 0.0, 0.0, **{"minibatch_discrimination": layer} | (discriminator or {})
        ),
        loss,
        generator_optimizer=partial(ReleasedAdam, lr=lr),
        discriminator_optimizer=partial(ReleasedAdam, lr=lr),
        seed=seed,
        **options,
    )


class WithNorm(nn.Sequential):
    """A discriminator with virtual batch normalisation."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 20), nn.BatchNorm1d(20), nn.LeakyReLU(), nn.Linear(20, 1))
        convert_batch_norm(self)


def fit(
    module: LightningModule,
    data: DigitsDataModule,
    *callbacks: Callback,
    steps: int = UPDATES,
    precision: Any = "64-true",
    **kwargs: Any,
) -> Trainer:
    options: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = Trainer(
        max_steps=steps // module.d_updates_per_batch,
        max_epochs=-1,
        accelerator="cpu",
        precision=precision,
        check_val_every_n_epoch=1,
        callbacks=list(callbacks),
        **options,
    )
    trainer.fit(module, data, **kwargs)
    return trainer


def penalties() -> dict[str, list[Penalty]]:
    return {
        "generator_penalties": [HistoricalAveraging(0.5)],
        "discriminator_penalties": [HistoricalAveraging(0.3), R1Penalty(0.7)],
    }


@pytest.mark.parametrize(
    ("alone", "together"), [(SemiSupervisedGAN, SideBySideSemiSupervisedGAN), (GAN, SideBySideGAN)]
)
@pytest.mark.parametrize(
    ("options", "with_reference"),
    [
        (dict, ()),
        (lambda: {"d_updates_per_batch": 2, "g_updates_per_batch": 2}, ()),
        (penalties, ()),
        (lambda: VBN, ("generator",)),
        (lambda: VBN | penalties() | {"g_updates_per_batch": 2}, ("generator",)),
        (lambda: {"discriminator": {"layer": SpectralNormLinear, **BY_EXAMPLE}}, ()),
    ],
    ids=["plain", "two updates", "penalties", "VBN", "VBN and penalties", "spectral norm"],
)
def test_members_follow_their_seeds_alone(alone, together, options, with_reference) -> None:
    data = {"batch_size": 40, "labels_per_class": 3}
    stacked = together([member(alone, seed, **options()) for seed in SEEDS])
    fit(stacked, DigitsDataModule(**data, seeds=SEEDS), *map(ReferenceBatch, with_reference))
    for i, seed in enumerate(SEEDS):
        single = member(alone, seed, **options())
        fit(single, DigitsDataModule(**data), *map(ReferenceBatch, with_reference))
        check_equal(stacked, i, single)


def test_validation_leaves_the_members_training() -> None:
    """A batch norm that stayed in evaluation would go on with other statistics."""
    data = {"batch_size": 40, "labels_per_class": 3, "val_size": 1100}  # 4 batches in an epoch
    stacked = SideBySideSemiSupervisedGAN([member(SemiSupervisedGAN, seed) for seed in SEEDS])
    fit(stacked, DigitsDataModule(**data, seeds=SEEDS))
    for i, seed in enumerate(SEEDS):
        single = member(SemiSupervisedGAN, seed)
        fit(single, DigitsDataModule(**data))
        check_equal(stacked, i, single)


def check_equal(stacked: LightningModule, i: int, single: LightningModule) -> None:
    """Member ``i`` is what it would be alone."""
    for part in ("generator", "discriminator", "generator_average", "discriminator_average"):
        ours = getattr(stacked, part)
        found = (ours.network if part.endswith("average") else ours).member(i).state_dict()
        expected: nn.Module = getattr(single, part)
        for name, value in getattr(expected, "network", expected).state_dict().items():
            difference = (found[name].double() - value.double()).abs().max()
            assert difference <= 1e-9 * value.double().abs().max().clamp(min=1), (part, name)


def test_errors_are_those_of_each_member_and_of_their_ensemble() -> None:
    stacked = SideBySideSemiSupervisedGAN([member(SemiSupervisedGAN, seed) for seed in SEEDS])
    data = DigitsDataModule(labels_per_class=3, seeds=SEEDS)
    trainer = fit(stacked, data)
    (found,) = trainer.test(stacked, data, verbose=False)
    images, labels = (data.test.images.double() / 127.5 - 1, data.test.labels)
    chances = []
    for i, seed in enumerate(SEEDS):
        each = stacked.discriminator_average.network.member(i).double().eval()(images).logits.softmax(1)
        chances.append(each)
        wrong = 100 * (each.argmax(1) != labels).double().mean().item()
        assert found[f"test/error_percent_seed{seed}"] == pytest.approx(wrong)
    ensemble = 100 * (torch.stack(chances).mean(0).argmax(1) != labels).double().mean().item()
    assert found["test/ensemble_error_percent"] == pytest.approx(ensemble)
    means = [found[f"test/error_percent_seed{seed}"] for seed in SEEDS]
    assert found["test/error_percent"] == pytest.approx(sum(means) / 3)


def test_samples_are_dealt_to_the_members_in_turn() -> None:
    stacked = SideBySideGAN([member(GAN, seed) for seed in SEEDS]).eval()
    z = torch.rand(4, 100)
    images = stacked(z)
    assert images.shape == (4, 1, 8, 8)
    for i in range(4):
        alone = stacked.generator_average.network.member(i % 3).eval()
        torch.testing.assert_close(images[i : i + 1], alone(z[i : i + 1]))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_members_train_as_others_with_the_same_noise() -> None:
    def trained(compiled: bool) -> SideBySideSemiSupervisedGAN:
        members = [member(SemiSupervisedGAN, seed, compile_networks=compiled) for seed in SEEDS]
        for layer in (part for one in members for part in one.modules() if isinstance(part, GaussianNoise)):
            layer.std = 0.5
        module = SideBySideSemiSupervisedGAN(members)
        fit(module, DigitsDataModule(batch_size=40, labels_per_class=3, seeds=SEEDS), steps=4, precision="32-true")
        assert (module.discriminator._compiled_call_impl is not None) == compiled
        return module

    torch.compiler.reset()
    plain, compiled = trained(False).state_dict(), trained(True).state_dict()
    torch.compiler.reset()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    members = [member(GAN, seed) for seed in SEEDS]
    with pytest.raises(ValueError, match=r"`seeds` should be \[3, 7, 8\]. Found None"):
        fit(SideBySideGAN(members), DigitsDataModule())
    without = GAN(MLPGenerator(), MLPDiscriminator(num_outputs=1))
    for wrong in ([without], [members[0], members[0]], []):
        with pytest.raises(ValueError, match="`seed` each"):
            SideBySideGAN(wrong)
    other = GAN(MLPGenerator(hidden=(5,)), MLPDiscriminator(num_outputs=1), seed=1)
    with pytest.raises(ValueError, match="one architecture"):
        SideBySideGAN([members[0], other])


def test_a_penalty_that_does_not_say_what_it_is_of_members_is_named() -> None:
    class Own(R1Penalty):
        over_members = None

    members = [member(GAN, seed, discriminator_penalties=[Own(1.0)]) for seed in SEEDS]
    with pytest.raises(ValueError, match=r"^Own does not say .* or train them one by one"):
        SideBySideGAN(members)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_reference_batch_is_saved_resumed_and_evaluated_with(tmp_path, network: str) -> None:
    """In G, whose layers a config names, and in a D made of them by hand."""

    def members() -> list[LightningModule]:
        made = [member(GAN, seed, {"norm": VirtualBatchNorm} if network == "generator" else None) for seed in SEEDS]
        for one in made if network == "discriminator" else []:
            one.discriminator = WithNorm()
            one.discriminator_average = type(one.discriminator_average)(one.discriminator, 0.01)
        return made

    def stacked() -> SideBySideGAN:
        torch.manual_seed(0)
        return SideBySideGAN(members())

    def train(module: SideBySideGAN, **options: Any) -> Trainer:
        data = DigitsDataModule(batch_size=40, seeds=SEEDS)
        return fit(module, data, ReferenceBatch(network), precision="32-true", **options)  # as a checkpoint is loaded

    whole, part, again = stacked(), stacked(), stacked()
    train(whole)
    assert getattr(whole, network).reference_input.number == 1
    train(part, steps=UPDATES // 2).save_checkpoint(tmp_path / "part.ckpt")
    train(again, ckpt_path=tmp_path / "part.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    loaded = SideBySideGAN.load_from_checkpoint(tmp_path / "part.ckpt", members=members())
    assert torch.equal(loaded.sample(6), part.sample(6))
    data, fresh = DigitsDataModule(batch_size=40, seeds=SEEDS), stacked()
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    tested = Trainer(accelerator="cpu", callbacks=[ReferenceBatch(network)], **off)
    (found,) = tested.test(fresh, data, ckpt_path=tmp_path / "part.ckpt", weights_only=True, verbose=False)
    (expected,) = tested.test(part, data, verbose=False)
    assert found == expected
    for i in range(3):  # a member is a network of its own, with the reference batch
        alone = getattr(part, network).member(i).eval()
        x = torch.rand(3 * 4, *((100,) if network == "generator" else (1, 8, 8)))
        torch.testing.assert_close(alone(x[4 * i :][:4]), getattr(part, network).eval()(x)[4 * i :][:4])


def test_a_network_that_cannot_be_batched_is_named_before_training() -> None:
    class Peeks(MLPDiscriminator):
        def forward(self, x: torch.Tensor) -> Any:
            return super().forward(x + float(x.mean()))

    members = [GAN(MLPGenerator((1, 8, 8)), Peeks((1, 8, 8), 1), seed=seed) for seed in SEEDS]
    with pytest.raises(ValueError, match="cannot run Peeks"):
        fit(SideBySideGAN(members), DigitsDataModule(seeds=SEEDS))


def test_the_mean_probability_of_real_is_logged() -> None:
    stacked, data = SideBySideGAN([member(GAN, seed) for seed in SEEDS]), DigitsDataModule(seeds=SEEDS)
    trainer = fit(stacked, data)
    (found,) = trainer.test(stacked, data, verbose=False)
    images = data.test.images.double() / 127.5 - 1
    each = []
    for part in range(3):
        network = stacked.discriminator_average.network.member(part).double().eval()
        batches = [network(batch).logits.sigmoid().mean() * len(batch) for batch in images.split(100)]
        each.append(sum(batches) / len(images))  # in the data's batches: minibatch discrimination sees a batch
    assert found["test/d_real"] == pytest.approx(float(sum(each) / 3))


def test_a_checkpoint_is_loaded_into_members_of_its_seeds(tmp_path) -> None:
    stacked = SideBySideGAN([member(GAN, seed) for seed in SEEDS])
    trainer = fit(stacked, DigitsDataModule(seeds=SEEDS))
    trainer.save_checkpoint(tmp_path / "side.ckpt")
    again = SideBySideGAN.load_from_checkpoint(tmp_path / "side.ckpt", members=[member(GAN, seed) for seed in SEEDS])
    assert again.batches == UPDATES
    found = again.state_dict()  # of a module in float32
    assert all(torch.equal(value.to(found[key].dtype), found[key]) for key, value in stacked.state_dict().items())
    with pytest.raises(ValueError, match=r"of the checkpoint, \[3, 7, 8\]. Found \[8, 7, 3\]"):
        SideBySideGAN.load_from_checkpoint(
            tmp_path / "side.ckpt", members=[member(GAN, seed) for seed in reversed(SEEDS)]
        )


def test_members_train_and_sample_in_mixed_precision() -> None:
    stacked = SideBySideSemiSupervisedGAN([member(SemiSupervisedGAN, seed) for seed in SEEDS])
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_steps=2, accelerator="cpu", precision="bf16-mixed", limit_val_batches=0, **off)
    trainer.fit(stacked, DigitsDataModule(batch_size=40, labels_per_class=3, seeds=SEEDS))
    with torch.autocast("cpu", torch.bfloat16):
        assert stacked.sample(4).isfinite().all()
