"""One update: the gradient of the mean, clipped by player, and finite."""

from typing import Any

import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import Callback, Trainer
from torch import nn

from lit_improved_gan import GAN, AdversarialLoss, DigitsDataModule, NonSaturatingLoss
from lit_improved_gan.modules import DivergedError
from lit_improved_gan.modules.updates import UpdatingModule
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator

PLAYERS = ["discriminator", "generator"]


def fit(module: GAN, steps: int = 1, **kwargs: Any) -> None:
    Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **kwargs,
    ).fit(module, DigitsDataModule(20))  # fmt: skip


def gan(**options: Any) -> GAN:
    torch.manual_seed(0)
    networks = MLPGenerator(hidden=(16,)), MLPDiscriminator(num_outputs=1, hidden=(16, 12))
    return GAN(*networks, seed=0, **{"generator_optimizer": sgd, "discriminator_optimizer": sgd, **options})


def sgd(params: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=1.0)


class Watched(GAN):
    """Keeps the gradients that each player's optimizer is given, and the losses of all parts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norms: dict[str, list[float]] = {player: [] for player in PLAYERS}
        self.losses: list[tuple[str, float]] = []

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        super().on_before_optimizer_step(optimizer)
        for player, one in zip(PLAYERS, self.trainer.optimizers, strict=True):
            if one is optimizer:
                gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
                self.norms[player].append(float(torch.cat([g.flatten() for g in gradients]).norm()))

    def discriminator_step(self, batch, fake):
        found = super().discriminator_step(batch, fake)
        self.losses.append(("D", float(found["d_loss"].detach())))
        return found

    def generator_step(self, batch, fake):
        found = super().generator_step(batch, fake)
        self.losses.append(("G", float(found["g_loss"].detach())))
        return found


def watched(**options: Any) -> Watched:
    torch.manual_seed(0)
    networks = MLPGenerator(hidden=(16,)), MLPDiscriminator(num_outputs=1, hidden=(16, 12))
    return Watched(*networks, seed=0, generator_optimizer=sgd, discriminator_optimizer=sgd, **options)


@pytest.mark.parametrize("player", PLAYERS)
def test_each_player_is_clipped_by_its_own_limit(player: str) -> None:
    free, held = watched(), watched(**{f"{player}_clip": 1e-3})
    for module in (free, held):
        fit(module)
    other = PLAYERS[1 - PLAYERS.index(player)]
    assert free.norms[player][0] > 2e-3
    assert held.norms[player] == [pytest.approx(1e-3, rel=1e-2)]
    if player == "generator":  # D comes first: it is not touched
        assert held.norms[other] == free.norms[other]
    else:
        assert held.norms[other][0] > 1e-3


def test_a_gradient_below_the_limit_is_not_touched() -> None:
    free, held = watched(), watched(generator_clip=1e6, discriminator_clip=1e6)
    for module in (free, held):
        fit(module, 3)
    for a, b in zip(free.parameters(), held.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["generator_clip", "discriminator_clip"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_limit_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"Parameter `{name}` of GAN should be above 0. Found"):
        gan(**{name: value})


class Parts(UpdatingModule):
    """A weight that is pulled to several numbers."""

    def __init__(self) -> None:
        super().__init__(0)
        self.automatic_optimization = False
        self.generator, self.discriminator = nn.Linear(1, 1, bias=False).double(), nn.Linear(1, 1).double()

    def configure_optimizers(self):
        return [sgd(self.discriminator.parameters()), sgd(self.generator.parameters())], []

    def training_step(self, batch, index):
        def pull(target: float) -> dict[str, torch.Tensor]:
            return {"loss": ((self.generator.weight - target) ** 2).sum() / 4}

        with torch.no_grad():
            self.generator.weight.fill_(0.0)
        _, optimizer = self.optimizers()
        self.logs = self.update(optimizer, "loss", pull, [(1.0,), (2.0,), (6.0,)], counted=True)


def accumulated() -> tuple[float, float]:
    module = Parts()
    trainer = Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(torch.zeros(2, 1)))
    return module.generator.weight.item(), module.logs["loss"].item()


def test_the_mean_of_the_parts_is_minimised() -> None:
    weight, loss = accumulated()
    assert weight == pytest.approx(0.5 * (1 + 2 + 6) / 3)  # minus the gradient of the mean at 0
    assert loss == pytest.approx((1 + 4 + 36) / 4 / 3)


PLANTED = [
    ("_gradient", "found[loss] / len(parts)", "found[loss]"),
    ("update", "optimizer.zero_grad()", "pass"),
    ("_gradient", "for part in parts", "for part in parts[:1]"),
]


@pytest.mark.parametrize(("method", "old", "new"), PLANTED)
def test_planted_error_is_found(monkeypatch: pytest.MonkeyPatch, method: str, old: str, new: str) -> None:
    plant(monkeypatch, getattr(UpdatingModule, method), old, new)
    if new == "pass":
        module = watched()
        fit(module, 2)
        right = watched()
        monkeypatch.undo()
        fit(right, 2)
        assert module.norms["generator"][1] != pytest.approx(right.norms["generator"][1])
        return
    weight, _ = accumulated()
    assert weight != pytest.approx(1.5)


@pytest.mark.parametrize(("d", "g"), [(3, 1), (1, 2), (2, 2)])
def test_parts_have_data_of_their_own_and_updates_are_counted(d: int, g: int) -> None:
    module = watched(discriminator_accumulation=d, generator_accumulation=g, d_updates_per_batch=2)
    fit(module, 2)
    assert "".join(player for player, _ in module.losses) == ("D" * 2 * d + "G" * g) * 2
    assert len({loss for _, loss in module.losses}) == len(module.losses)
    assert len(module.norms["discriminator"]) == module.d_updates == 4
    assert len(module.norms["generator"]) == module.g_updates == module.trainer.global_step == 2
    assert module.streams["unlabelled"] == 2 * d


class Broken(nn.Module):
    """A loss that is not finite from its ``at``-th use on."""

    def __init__(self, loss: nn.Module, at: int, value: float) -> None:
        super().__init__()
        self.loss, self.at, self.value, self.uses = loss, at, value, 0
        self.needs_real = getattr(loss, "needs_real", False)

    def forward(self, *args: Any) -> torch.Tensor:
        self.uses += 1
        loss: torch.Tensor = self.loss(*args)
        return loss * self.value if self.uses >= self.at else loss


class BrokenD(Broken):
    def forward(self, real: Any, fake: Any) -> torch.Tensor:
        return super().forward(real, fake)


class BrokenG(Broken):
    def forward(self, fake: Any, real: Any) -> torch.Tensor:
        return super().forward(fake, real)


def broken(player: str, at: int, value: float) -> GAN:
    if player == "discriminator":
        return gan(discriminator_loss=BrokenD(AdversarialLoss(), at, value))
    return gan(generator_loss=BrokenG(NonSaturatingLoss(), at, value))


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_loss_that_is_not_finite_is_named_with_its_batch(
    monkeypatch, player: str, value: float, at_once: bool
) -> None:
    monkeypatch.setattr(UpdatingModule, "read_at_once", at_once)  # as on an accelerator
    module = broken(player, 3, value)
    with pytest.raises(
        DivergedError, match=rf"The {player}'s loss is (nan|inf) in training batch 3[^0-9].*{player}_clip"
    ):
        fit(module, 20, log_every_n_steps=5)
    assert module.batches == (2 if at_once else 5)


@pytest.mark.parametrize("player", PLAYERS)
def test_a_gradient_that_is_not_finite_is_named(player: str) -> None:
    module = gan()
    weight = next(getattr(module, player).parameters())
    weight.register_hook(lambda gradient: gradient / 0.0)
    with pytest.raises(
        DivergedError, match=f"The {player}'s norm of the gradient is (nan|inf) in training batch 1; all"
    ):
        fit(module)


def test_weights_that_are_not_finite_are_named() -> None:
    class Spoil(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            if batch_idx == 1:
                next(pl_module.generator.parameters()).data[0] = float("nan")

    with pytest.raises(DivergedError, match=r"training batch 2; not finite are the weights generator.layers.0.weight"):
        fit(gan(), 4, callbacks=[Spoil()])


def test_a_state_that_is_not_finite_is_not_saved(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(UpdatingModule, "read_at_once", False)
    module = broken("generator", 2, float("nan"))
    fit(module, 3, log_every_n_steps=100)
    with pytest.raises(DivergedError, match="batch 2"):
        module.trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert not (tmp_path / "x.ckpt").exists()


def test_compiled_networks_keep_their_names() -> None:
    plain, compiled = gan(), gan(compile_networks=True)
    compiled.generator.compile = compiled.discriminator.compile = lambda **_: called.append(True)  # type: ignore[method-assign]
    called: list[bool] = []
    for module in (plain, compiled):
        fit(module)
    assert called == [True, True]
    assert plain.state_dict().keys() == compiled.state_dict().keys()
