"""Penalties in the two-optimizer loop: whose loss they are added to, what is logged, and that they resume."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lit_improved_gan import GAN, DigitsDataModule, HistoricalAveraging, R1Penalty, SemiSupervisedGAN
from lit_improved_gan.losses import Penalty
from lit_improved_gan.modules import AdversarialModule
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator


class Noted(GAN):
    """Keeps each update's losses and gradients."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bare: list[dict[str, float]] = []
        self.logged: list[dict[str, float]] = []

    def discriminator_step(self, batch, fake):
        losses = super().discriminator_step(batch, fake)
        self.bare.append({"d_loss": losses["d_loss"].item()})
        return losses

    def generator_step(self, batch, fake):
        losses = super().generator_step(batch, fake)
        self.bare[-1]["g_loss"] = losses["g_loss"].item()
        return losses

    def log_after(self, batch, counts, losses):
        self.logged.append({name: float(value) for name, value in losses.items()})


class Watching(Penalty):
    """A term of a known gradient, and what it was called with."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.followed: list[nn.Module] = []
        self.calls: list[tuple[nn.Module, Tensor | None, int]] = []
        self.register_buffer("sum", torch.zeros(()))

    def follow(self, network: nn.Module) -> None:
        self.followed = [network]

    def forward(self, network: nn.Module, real: Tensor | None = None) -> Tensor:
        trained = [p for p in network.parameters() if p.requires_grad]
        self.calls.append((network, real, len(trained)))
        return self.weight * torch.stack([p.sum() for p in trained]).sum()


def module(kind: type[AdversarialModule] = Noted, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    networks = MLPGenerator(hidden=(8,)), MLPDiscriminator(num_outputs=1, hidden=(8,))
    made = kind(*networks, **{"seed": 1, **kwargs})
    made.initialize(torch.rand(50, 1, 8, 8) * 2 - 1)
    return made


def fit(made: AdversarialModule, steps: int, **kwargs: Any) -> Trainer:
    data = DigitsDataModule(20, labels_per_class=5, label_seed=0)
    data.order_seed = 0
    trainer = Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(made, data, **kwargs)
    return trainer


def both() -> dict[str, list[Penalty]]:
    return {
        "generator_penalties": [HistoricalAveraging(0.5)],
        "discriminator_penalties": [HistoricalAveraging(2.0), R1Penalty(3.0)],
    }


def test_penalties_are_added_to_their_players_loss_and_logged() -> None:
    made = module(**both())
    fit(made, 3)
    for bare, logged in zip(made.bare, made.logged, strict=True):
        for player in "dg":
            total = bare[f"{player}_loss"] + logged[f"train/{player}_penalty"]
            assert logged[f"train/{player}_loss"] == pytest.approx(total, rel=1e-5)
    assert made.logged[0]["train/g_penalty"] == 0  # the first step is its own average
    assert all(logs["train/g_penalty"] > 0 for logs in made.logged[1:])
    assert all(logs["train/d_penalty"] > 0 for logs in made.logged)  # R1 from the start
    plain = module()
    fit(plain, 1)
    assert not any("penalty" in name for name in plain.logged[0])


def test_each_penalty_is_given_its_network_and_d_its_real_images() -> None:
    for_g, for_d = Watching(), Watching()
    made = module(generator_penalties=[for_g], discriminator_penalties=[for_d], d_updates_per_batch=2)
    seen = []
    step = made.discriminator_step
    made.discriminator_step = lambda batch, fake: (seen.append(batch["unlabelled"]), step(batch, fake))[1]
    fit(made, 2)
    assert for_g.followed == [made.generator]
    assert for_d.followed == [made.discriminator]
    assert [(network, real) for network, real, _ in for_g.calls] == [(made.generator, None)] * 2
    assert [network for network, _, _ in for_d.calls] == [made.discriminator] * 4
    assert all(real is images for (_, real, _), images in zip(for_d.calls, seen, strict=True))
    assert {n for _, _, n in for_g.calls} == {sum(p.requires_grad for p in made.generator.parameters())}
    assert {n for _, _, n in for_d.calls} == {sum(p.requires_grad for p in made.discriminator.parameters())}


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_gradient_of_a_penalty_reaches_its_own_player_alone(player: str) -> None:
    """In one update from the same weights, against the update without it."""
    gradients = []
    for weight in (0.0, 10.0):
        made = module(**{f"{player}_penalties": [Watching(weight)]})
        noted: dict[str, dict[str, Tensor]] = {}

        def on_before_optimizer_step(optimizer, made=made, noted=noted):
            step = "generator" if noted else "discriminator"
            noted[step] = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}

        made.on_before_optimizer_step = on_before_optimizer_step
        fit(made, 1)
        gradients.append(noted)
    for name in gradients[0]["discriminator"]:
        a, b = (noted["discriminator"][name] for noted in gradients)
        if name.startswith("generator."):
            continue
        shift = 10.0 if player == "discriminator" else 0.0
        torch.testing.assert_close(b, a + shift, rtol=0, atol=1e-5)
    if player == "generator":
        for name in gradients[0]["generator"]:
            if name.startswith("generator."):
                a, b = (noted["generator"][name] for noted in gradients)
                torch.testing.assert_close(b, a + 10.0, rtol=0, atol=1e-5)
            else:
                assert torch.equal(*(noted["generator"][name] for noted in gradients)), name
    assert not any(name.startswith("generator.") for name in gradients[1]["discriminator"])


@pytest.mark.parametrize("kind", [GAN, SemiSupervisedGAN])
def test_the_average_is_the_mean_of_the_weights_before_each_update(kind) -> None:
    seen: list[Tensor] = []

    class Watch(kind):
        def generator_step(self, batch, fake):
            seen.append(self.generator.layers[0].weight.detach().clone())
            return super().generator_step(batch, fake)

    outputs = 1 if kind is GAN else 10
    torch.manual_seed(0)
    made = Watch(
        MLPGenerator(hidden=(8,)), MLPDiscriminator(num_outputs=outputs, hidden=(8,)), seed=1,
        g_updates_per_batch=2, generator_penalties=[HistoricalAveraging()],
    )  # fmt: skip
    fit(made, 3)
    (penalty,) = made.generator_penalties
    assert penalty.count == len(seen) == 6
    torch.testing.assert_close(penalty.means[0], torch.stack(seen).mean(0))


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path) -> None:
    whole = module(GAN, **both())
    fit(whole, 4)
    first = module(GAN, **both())
    fit(first, 2).save_checkpoint(tmp_path / "x.ckpt")
    counts = [name for name in first.state_dict() if name.endswith("penalties.0.count")]
    assert counts == ["generator_penalties.0.count", "discriminator_penalties.0.count"]
    again = module(GAN, **both())
    fit(again, 4, ckpt_path=tmp_path / "x.ckpt", weights_only=True)
    assert again.batches == 4
    assert again.generator_penalties[0].count == again.discriminator_penalties[0].count == 4
    for (name, a), (other, b) in zip(whole.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b), name
    assert not torch.equal(first.generator_penalties[0].means[0], again.generator_penalties[0].means[0])
    assert torch.equal(whole.sample(3), again.sample(3))


def test_no_penalty_leaves_training_as_it_is() -> None:
    """Nor does one of weight 0 change a weight, though it adds zeros."""
    states = []
    for penalties in ({}, {"generator_penalties": [HistoricalAveraging(0.0)],
                           "discriminator_penalties": [HistoricalAveraging(0.0)]}):  # fmt: skip
        made = module(GAN, **penalties)
        fit(made, 3)
        states.append(torch.cat([p.detach().flatten() for p in made.parameters()]))
    assert torch.equal(*states)
