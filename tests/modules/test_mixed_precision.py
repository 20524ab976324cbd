"""Mixed precision trains both players as float32 does."""

from functools import partial

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor

from lit_improved_gan import (
    GAN,
    ConvGenerator,
    DigitsDataModule,
    FeatureMatchingLoss,
    MLPDiscriminator,
    MLPGenerator,
    NonSaturatingLoss,
    SemiSupervisedGAN,
)
from lit_improved_gan.precision import uncached_casts

BATCHES = 1  # of four updates of D, where semi-supervised


def module(kind: str) -> LightningModule:
    optimizer = partial(torch.optim.SGD, lr=0.1)
    networks = MLPGenerator((1, 8, 8), hidden=(32,)), MLPDiscriminator((1, 8, 8), 10, (32,), 0.0, 0.0)
    if kind == "semi-supervised":
        return SemiSupervisedGAN(
            *networks,
            FeatureMatchingLoss(),
            generator_optimizer=optimizer,
            discriminator_optimizer=optimizer,
            d_updates_per_batch=4,
        )
    networks = networks[0], MLPDiscriminator((1, 8, 8), 1, (32,), 0.0, 0.0)
    return GAN(*networks, NonSaturatingLoss(), generator_optimizer=optimizer, discriminator_optimizer=optimizer)


def changes(kind: str, precision: str) -> dict[str, Tensor]:
    """What the training batches change in each trained parameter, as one vector each."""
    seed_everything(0, verbose=False)
    trained = module(kind)
    data = DigitsDataModule(labels_per_class=10)
    data.setup()
    trained.initialize(data.reference_images(500, 0))
    before = {name: p.detach().clone() for name, p in trained.named_parameters() if p.requires_grad}
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(max_steps=BATCHES, precision=precision, accelerator="cpu", enable_model_summary=False, **options).fit(
        trained, data
    )
    after = dict(trained.named_parameters())
    return {name: (after[name].detach() - value).flatten() for name, value in before.items()}


def check(kind: str) -> None:
    exact, mixed = changes(kind, "32-true"), changes(kind, "bf16-mixed")
    assert len(exact) >= 10
    for name, expected in exact.items():
        assert expected.norm() > 0, name
        assert (mixed[name] - expected).norm() < 0.1 * expected.norm(), name


@pytest.mark.parametrize("kind", ["semi-supervised", "unsupervised"])
def test_both_players_learn_as_in_float32(kind: str) -> None:
    check(kind)


def test_planted_error_is_found(monkeypatch) -> None:
    """With autocast's cache, all updates of D in a batch are computed from the weights before the first."""
    monkeypatch.setattr(torch, "set_autocast_cache_enabled", lambda enabled: None)
    with pytest.raises(AssertionError):
        check("semi-supervised")


@pytest.mark.parametrize("network", [MLPGenerator((1, 8, 8)), ConvGenerator((3, 8, 8), channels=(6, 4))])
def test_a_saturated_pixel_can_come_back(network) -> None:
    """In bfloat16 sigmoid(7) is 1, and its derivative 0: white pixels would stay white whatever D says."""
    with torch.no_grad():
        network.layers[-1].bias.fill_(7.0)
        network.layers[-1].gain.fill_(0.1)
    with torch.autocast("cpu", torch.bfloat16):
        images = network(torch.rand(4, 100))
    assert images.dtype == torch.float32
    images.sum().backward()
    assert float(network.layers[-1].bias.grad.abs().min()) > 0


def test_the_cache_is_as_before_afterwards() -> None:
    for enabled in (True, False):
        torch.set_autocast_cache_enabled(enabled)
        with uncached_casts():
            assert not torch.is_autocast_cache_enabled()
        assert torch.is_autocast_cache_enabled() == enabled
    torch.set_autocast_cache_enabled(True)
