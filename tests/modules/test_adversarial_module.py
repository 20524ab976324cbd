"""The two-optimizer loop: order of the steps, data, noise, averages, foreign parts."""

from functools import partial
from typing import Any

import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_improved_gan import GAN, DigitsDataModule, FeatureMatchingLoss, ReleasedAdam, SemiSupervisedGAN
from lit_improved_gan.modules import preparation
from lit_improved_gan.networks import ConvDiscriminator, MLPDiscriminator, MLPGenerator
from lit_improved_gan.types import DiscriminatorOutput


def trainer(steps: int = 3, **kwargs: Any) -> Trainer:
    return Trainer(
        **{
            "max_steps": steps, "max_epochs": -1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
            "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0, **kwargs,
        }
    )  # fmt: skip


def networks(outputs: int = 10) -> tuple[MLPGenerator, MLPDiscriminator]:
    torch.manual_seed(0)
    return MLPGenerator(hidden=(16,)), MLPDiscriminator(num_outputs=outputs, hidden=(16, 12))


class Recorder(SemiSupervisedGAN):
    """Notes what each update was given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[tuple[str, Any, torch.Tensor]] = []

    def discriminator_step(self, batch, fake):
        assert not any(p.requires_grad for p in self.generator.parameters())
        assert not fake.requires_grad
        self.seen.append(("D", batch, fake))
        return super().discriminator_step(batch, fake)

    def generator_step(self, batch, fake):
        assert not any(p.requires_grad for p in self.discriminator.parameters())
        assert fake.requires_grad
        self.seen.append(("G", batch, fake.detach()))
        return super().generator_step(batch, fake)


@pytest.mark.parametrize(("d", "g"), [(1, 1), (3, 2)])
def test_each_update_has_data_and_noise_of_its_own(d: int, g: int) -> None:
    module = Recorder(*networks(), d_updates_per_batch=d, g_updates_per_batch=g)
    trainer(2).fit(module, DigitsDataModule(20, labels_per_class=5))
    assert "".join(player for player, _, _ in module.seen) == ("D" * d + "G" * g) * 2
    fakes = [fake for _, _, fake in module.seen]
    assert all(len(fake) == 20 for fake in fakes)
    assert all(not torch.equal(a, b) for i, a in enumerate(fakes) for b in fakes[:i])
    unlabelled = [batch["unlabelled"] for player, batch, _ in module.seen if player == "D"]
    matching = [batch["matching"] for player, batch, _ in module.seen if player == "G"]
    assert all(len(images) == 20 for images in unlabelled + matching)
    streams = [*unlabelled, *matching]
    assert all(not torch.equal(a, b) for i, a in enumerate(streams) for b in streams[:i])
    assert all("matching" not in batch for player, batch, _ in module.seen if player == "D")
    assert all(len(batch["labelled"].labels) == 20 for player, batch, _ in module.seen if player == "D")


def test_requires_grad_is_restored_and_frozen_gains_stay_frozen() -> None:
    module = SemiSupervisedGAN(*networks())
    before = {name: p.requires_grad for name, p in module.named_parameters()}
    gains = {name: p.clone() for name, p in module.named_parameters() if name.endswith("gain")}
    module_gain_after_init: dict[str, torch.Tensor] = {}

    class Watch(SemiSupervisedGAN):
        pass

    data = DigitsDataModule(20, labels_per_class=5)
    first = trainer(1)
    first.fit(module, data)
    module_gain_after_init = {n: p.clone() for n, p in module.named_parameters() if n.endswith("gain")}
    trainer(3).fit(module, data)
    assert {name: p.requires_grad for name, p in module.named_parameters()} == before
    for name, value in module_gain_after_init.items():
        frozen = name.startswith("discriminator.hidden")
        assert torch.equal(dict(module.named_parameters())[name], value) == frozen or "average" in name, name
    assert any(not torch.equal(gains[n], module_gain_after_init[n]) for n in gains)  # data-dependent initialisation


def test_training_depends_on_the_seed_and_not_on_the_global_generator() -> None:
    states = []
    for seed, disturb in [(1, 0), (1, 12345), (2, 0)]:
        module = SemiSupervisedGAN(*networks(), seed=seed)
        torch.manual_seed(disturb)
        data = DigitsDataModule(20, labels_per_class=5, label_seed=0)
        data.order_seed = 0
        trainer(3).fit(module, data)
        states.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_validation_does_not_change_training() -> None:
    states = []
    for limit in (0, 2):
        module = SemiSupervisedGAN(*networks(), seed=1)
        options = {"limit_val_batches": limit, "val_check_interval": 1}
        trainer(4, **options).fit(module, DigitsDataModule(20, labels_per_class=5, val_size=100))
        states.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*states)


def test_a_second_fit_goes_on_and_does_not_initialise_again() -> None:
    module = SemiSupervisedGAN(*networks(), seed=1)
    data = DigitsDataModule(20, labels_per_class=5)
    trainer(2).fit(module, data)
    assert module.initialized
    gain = module.discriminator.hidden[0][1].gain.clone()
    trainer(2).fit(module, data)
    assert module.batches == 4
    assert torch.equal(gain, module.discriminator.hidden[0][1].gain)


def test_averages_follow_the_bias_corrected_rule() -> None:
    seen: list[torch.Tensor] = []

    class Watch(GAN):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            seen.append(self.discriminator.head[1].direction.detach().clone())

    module = Watch(*networks(1), discriminator_average=0.3)
    trainer(5).fit(module, DigitsDataModule(20))
    weights = [0.3 * 0.7 ** (4 - i) for i in range(5)]
    expected = sum(w * value for w, value in zip(weights, seen, strict=True)) / sum(weights)
    assert torch.allclose(module.discriminator_average.network.head[1].direction, expected, atol=1e-6)
    assert not module.discriminator_average.training
    assert module.discriminator.training


class ForeignGenerator(nn.Module):
    """Nothing of the library's but the one method."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 64)

    def prior(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(n, 5, generator=generator)

    def forward(self, z):
        return torch.tanh(self.layer(z)).view(-1, 1, 8, 8)


class ForeignDiscriminator(nn.Module):
    """Returns plain logits and mixes examples, so batches must not share a pass."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, outputs))
        self.sizes: list[int] = []

    def forward(self, x):
        self.sizes.append(len(x))
        return self.layers(x)


def test_networks_and_loaders_that_nobody_here_wrote() -> None:
    discriminator = ForeignDiscriminator(1)
    module = GAN(ForeignGenerator(), discriminator, generator_optimizer=partial(torch.optim.Adam, lr=1e-3))
    images = torch.rand(60, 1, 8, 8) * 2 - 1
    trainer(2).fit(module, DataLoader(TensorDataset(images, torch.zeros(60)), batch_size=20))
    assert module.batches == 2
    assert discriminator.sizes[1:] == [20, 20, 20] * 2  # real, generated; generated: after the check in setup


def check_frozen_parts() -> None:
    """A batch norm that someone froze keeps its statistics through the checks, the training and a validation."""
    generator, discriminator = ForeignGenerator(), ForeignDiscriminator(1)
    generator.layer = nn.Sequential(generator.layer, nn.BatchNorm1d(64))
    frozen = [generator.layer[1].eval(), discriminator.layers[2].eval()]
    module = GAN(generator, discriminator, generator_optimizer=partial(torch.optim.Adam, lr=1e-3))
    trainer(4, val_check_interval=2, check_val_every_n_epoch=None).fit(module, DigitsDataModule(20, val_size=40))
    assert [part.training for part in frozen] == [False, False]
    assert [float(part.running_mean.abs().max()) for part in frozen] == [0, 0]
    assert generator.training
    assert discriminator.layers.training


def test_frozen_parts_stay_frozen() -> None:
    check_frozen_parts()


@pytest.mark.parametrize("check", [preparation.check_generator, preparation.check_discriminator])
def test_a_check_that_lets_them_train_is_found(monkeypatch: pytest.MonkeyPatch, check: Any) -> None:
    plant(monkeypatch, check, "evaluating(network)", "evaluating(network.train())")
    with pytest.raises(AssertionError):
        check_frozen_parts()


def test_one_pass_where_examples_are_independent() -> None:
    generator, discriminator = networks(1)
    sizes = []
    discriminator.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    trainer(1).fit(GAN(generator, discriminator), DigitsDataModule(20))
    assert sizes[-2:] == [40, 20]


def test_a_shared_pass_equals_separate_ones() -> None:
    generator, discriminator = networks()
    module = GAN(generator, discriminator.eval())
    groups = [torch.rand(n, 1, 8, 8) * 2 - 1 for n in (3, 5)]
    shared = module.discriminate(*groups)
    for group, output in zip(groups, shared, strict=True):
        alone: DiscriminatorOutput = discriminator(group)
        assert torch.allclose(output.logits, alone.logits, atol=1e-6)
        assert list(output.features) == list(alone.features)
        for name in alone.features:
            assert torch.allclose(output.features[name], alone.features[name], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.rand(40, 1, 8, 8) * 255, "values in"),
        (torch.rand(40, 1, 8, 8) * float("nan"), "nan"),
        (torch.randint(0, 255, (40, 1, 8, 8), dtype=torch.uint8), "uint8"),
        (torch.rand(40, 1, 9, 9), "(20, 1, 9, 9)"),
    ],
    ids=["range", "nan", "dtype", "size"],
)
def test_wrong_images_are_refused_before_any_update(images, found: str) -> None:
    module = GAN(*networks(1))
    module.initialize(torch.rand(50, 1, 8, 8) * 2 - 1)
    before = [p.clone() for p in module.parameters()]
    with pytest.raises(ValueError, match=r"Training images .* \[-1, 1\]") as error:
        trainer().fit(module, DataLoader(images, batch_size=20))
    assert found in str(error.value)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize(
    ("generator", "discriminator", "words"),
    [
        (nn.Linear(3, 3), MLPDiscriminator(num_outputs=1), "prior"),
        (MLPGenerator((1, 9, 9)), MLPDiscriminator(num_outputs=1), "image_shape"),
        (MLPGenerator(), MLPDiscriminator((1, 9, 9), 1), r"image_shape=\[1, 9, 9\]: set its"),
        (MLPGenerator(), ConvDiscriminator((1, 16, 16), 1), r"of shape \(N, 1, 8, 8\). Found image_shape=\[1, 16"),
        (MLPGenerator(), nn.Sequential(nn.Flatten(), nn.Linear(81, 1)), "does not take images"),
        (MLPGenerator(), nn.Flatten(0), "logits"),
    ],
)
def test_networks_that_do_not_fit_are_refused(generator, discriminator, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trainer().fit(GAN(generator, discriminator), DigitsDataModule(20))


def test_own_loader_without_initialisation_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="initialize"):
        trainer().fit(GAN(*networks(1)), DataLoader(torch.rand(40, 1, 8, 8), batch_size=20))


def test_semi_supervised_training_needs_a_labelled_stream() -> None:
    module = SemiSupervisedGAN(*networks())
    module.initialize(torch.rand(50, 1, 8, 8))
    with pytest.raises(ValueError, match="labelled"):
        trainer().fit(module, DataLoader(torch.rand(40, 1, 8, 8), batch_size=20))


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    module = GAN(*networks(1), d_updates_per_batch=3)
    module.initialize(torch.rand(50, 1, 8, 8))
    with pytest.raises(ValueError, match="multiple of 3"):
        trainer().fit(module, DataLoader(torch.rand(40, 1, 8, 8), batch_size=20))


def test_an_error_between_the_updates_marks_the_checkpoint(tmp_path) -> None:
    class Failing(SemiSupervisedGAN):
        def generator_step(self, batch, fake):
            if self.batches == 2:
                raise KeyError("between")
            return super().generator_step(batch, fake)

    module = Failing(*networks())
    run = trainer(5)
    with pytest.raises(KeyError):
        run.fit(module, DigitsDataModule(20, labels_per_class=5))
    state: dict[str, Any] = {}
    module.on_save_checkpoint(state)
    assert state["improved_gan"]["mid_batch"] is True
    assert (state["improved_gan"]["d_updates"], state["improved_gan"]["g_updates"]) == (3, 2)
    assert all(p.requires_grad for p in module.generator.parameters() if p.dim() == 2)
    with pytest.warns(UserWarning, match="in the middle of training batch 3"):
        module.on_load_checkpoint(state)


def test_programmatic_checkpoints_load_with_the_networks_given(tmp_path) -> None:
    module = SemiSupervisedGAN(*networks(), generator_optimizer=partial(ReleasedAdam, lr=1e-3), generator_average=0.2)
    run = trainer(2)
    run.fit(module, DigitsDataModule(20, labels_per_class=5))
    path = tmp_path / "x.ckpt"
    run.save_checkpoint(path)
    generator, discriminator = networks()
    loaded = SemiSupervisedGAN.load_from_checkpoint(path, generator=generator, discriminator=discriminator)
    assert loaded.hparams["generator_average"] == 0.2
    assert loaded.batches == 2
    assert torch.equal(loaded.sample(4), module.sample(4))


def test_real_target_is_that_of_the_loss() -> None:
    module = GAN(*networks(1))
    module.real_target = 0.7
    assert module.discriminator_loss.real_target == module.real_target == 0.7

    class Bare(nn.Module):
        def forward(self, real, fake):
            return real.logits.mean() - fake.logits.mean()

    assert not hasattr(GAN(*networks(1), discriminator_loss=Bare()), "real_target")


@pytest.mark.parametrize("name", ["d_updates_per_batch", "g_updates_per_batch", "init_images"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of GAN"):
        GAN(*networks(1), **{name: 0})


@pytest.mark.parametrize("name", ["generator_average", "discriminator_average"])
@pytest.mark.parametrize("rate", [0.0, 1.5, float("nan")])
def test_rates_out_of_range_are_refused(name: str, rate: float) -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        GAN(*networks(1), **{name: rate})


def test_feature_matching_asks_for_real_images_and_other_losses_do_not() -> None:
    assert GAN(*networks(1)).streams == {"unlabelled": 1}
    assert GAN(*networks(1), generator_loss=FeatureMatchingLoss(), g_updates_per_batch=2).streams == {
        "unlabelled": 1,
        "matching": 2,
    }


def test_a_programmatic_run_resumes_from_its_checkpoint(tmp_path) -> None:
    states = []
    for stops in ((4,), (2, 4)):
        torch.manual_seed(0)
        path = None
        for stop in stops:
            module = SemiSupervisedGAN(*networks(), seed=3)
            data = DigitsDataModule(20, labels_per_class=5, label_seed=1)
            run = trainer(stop)
            run.fit(module, data, ckpt_path=path, weights_only=True)
            path = tmp_path / f"{stops}-{stop}.ckpt"
            run.save_checkpoint(path, weights_only=False)
        states.append(module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_starting_with_both_limits_is_fine() -> None:
    module = GAN(*networks(1))
    trainer(3, max_epochs=5).fit(module, DigitsDataModule(20))
    assert module.batches == 3
