"""One step of the MNIST experiment against the transcription of the released script."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import mnist_step as reference
from torch import Tensor, nn

from lit_improved_gan import MLPDiscriminator, MLPGenerator, ReleasedAdam, SemiSupervisedGAN
from lit_improved_gan.layers import GaussianNoise
from lit_improved_gan.layers.weight_norm import weight_scale
from lit_improved_gan.losses import SemiSupervisedLoss, feature_matching
from lit_improved_gan.types import LabelledBatch

SIDE, LATENT, CLASSES, BATCH = 5, 7, 4, 12
HIDDEN_G, HIDDEN_D = (9, 8), (11, 10, 6)
Params = dict[str, np.ndarray]


def module(seed: int) -> SemiSupervisedGAN:
    """The networks in double precision, moved away from their special start."""
    torch.manual_seed(seed)
    built = SemiSupervisedGAN(
        MLPGenerator((1, SIDE, SIDE), LATENT, HIDDEN_G), MLPDiscriminator((1, SIDE, SIDE), CLASSES, HIDDEN_D)
    ).double()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "average" not in name and not name.endswith(("layers.1.weight", "layers.4.weight")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return built


def generator_names() -> dict[str, str]:
    """The transcription's name of each trained parameter of G."""
    return {
        "w1": "layers.0.weight", "b1": "layers.1.bias", "w2": "layers.3.weight", "b2": "layers.4.bias",
        "v3": "layers.6.direction", "g3": "layers.6.gain", "b3": "layers.6.bias",
    }  # fmt: skip


def discriminator_names() -> dict[str, str]:
    """The same for D, frozen gains included."""
    layers = [f"hidden.{i}.1" for i in range(len(HIDDEN_D))] + ["head.1"]
    parts = {"v": "direction", "g": "gain", "b": "bias"}
    return {f"{short}{k}": f"{layer}.{long}" for k, layer in enumerate(layers, 1) for short, long in parts.items()}


def values(network: nn.Module, names: dict[str, str]) -> Params:
    state = network.state_dict()
    return {short: state[long].numpy().copy() for short, long in names.items()}


def gradients(network: nn.Module, names: dict[str, str]) -> Params:
    return {
        short: gradient.numpy()
        for short, long in names.items()
        if (gradient := network.get_parameter(long).grad) is not None
    }


def near(found: Params, expected: Params) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.linalg.norm(found[name] - value) <= 1e-6 * np.linalg.norm(value), name


def noise_of(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    sizes = [SIDE * SIDE, *HIDDEN_D]
    return [rng.normal(size=(n, size)) * std for size, std in zip(sizes, [0.3, *[0.5] * len(HIDDEN_D)], strict=True)]


def give_noise(monkeypatch: pytest.MonkeyPatch, *passes: list[list[np.ndarray]]) -> None:
    """Let D use these in order; a pass of several batches has the noise of each, one after the other."""
    arrays: Iterator[np.ndarray] = iter(
        [np.concatenate(layers) for groups in passes for layers in zip(*groups, strict=True)]
    )

    def forward(layer: GaussianNoise, x: Tensor) -> Tensor:
        return x + torch.tensor(next(arrays))

    monkeypatch.setattr(GaussianNoise, "forward", forward)


def check(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    trained = module(0)
    labelled, unlabelled, matching = (rng.uniform(size=(BATCH, SIDE * SIDE)) for _ in range(3))
    labels = rng.integers(CLASSES, size=BATCH)
    z_d, z_g = rng.uniform(size=(2, BATCH, LATENT))
    noises = [noise_of(rng, BATCH) for _ in range(5)]
    g, d = values(trained.generator, generator_names()), values(trained.discriminator, discriminator_names())

    def images(pixels: np.ndarray) -> Tensor:
        return (torch.tensor(pixels) * 2 - 1).view(-1, 1, SIDE, SIDE)

    batch = {
        "labelled": LabelledBatch(images(labelled), torch.tensor(labels)),
        "unlabelled": images(unlabelled),
        "matching": images(matching),
    }
    give_noise(monkeypatch, noises[:3], noises[3:4], noises[4:5])
    # the discriminator
    optimizer = ReleasedAdam([p for p in trained.discriminator.parameters() if p.requires_grad], lr=0.003)
    with torch.no_grad():
        fake = trained.generator(torch.tensor(z_d))
    loss = trained.discriminator_step(batch, fake)["d_loss"]
    loss.backward()
    parts = [
        reference.Batch(x, noise)
        for x, noise in zip([labelled, unlabelled, reference.generator(g, z_d)], noises[:3], strict=True)
    ]
    assert loss.item() == pytest.approx(reference.discriminator_loss(d, labels, *parts), rel=1e-10)
    expected = reference.discriminator_loss_grad(d, labels, *parts)
    near(gradients(trained.discriminator, discriminator_names()), expected)
    optimizer.step()
    d, _ = reference.adam_update(d, expected, reference.adam_start(expected), 1)
    near(values(trained.discriminator, discriminator_names()), d)
    # the generator, against the updated discriminator
    trained.discriminator.requires_grad_(False)
    optimizer = ReleasedAdam([p for p in trained.generator.parameters() if p.requires_grad], lr=0.003)
    loss = trained.generator_step(batch, trained.generator(torch.tensor(z_g)))["g_loss"]
    loss.backward()
    real = reference.Batch(matching, noises[3])
    assert loss.item() == pytest.approx(reference.generator_loss(g, d, z_g, real, noises[4]), rel=1e-10)
    expected = reference.generator_loss_grad(g, d, z_g, real, noises[4])
    near(gradients(trained.generator, generator_names()), expected)
    optimizer.step()
    g, _ = reference.adam_update(g, expected, reference.adam_start(expected), 1)
    near(values(trained.generator, generator_names()), g)


def test_losses_gradients_and_updates(monkeypatch) -> None:
    check(monkeypatch)


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (SemiSupervisedLoss.forward, "0.5 * discriminator_loss", "discriminator_loss"),
        (SemiSupervisedLoss.forward, "supervised = F.cross_entropy", "supervised = -F.cross_entropy"),
        (SemiSupervisedLoss.forward, "real_logit(fake_logits)", "real_logit(fake_logits.T)"),
        (feature_matching, "distance(statistic(real), statistic(fake))", "distance(real, fake)"),
        (weight_scale, "+ eps", "+ 1e-4"),
        (weight_scale, "return gain", "return 2 * gain"),
        (ReleasedAdam._update, "roots = torch._foreach_add(squares, ", "roots = torch._foreach_add(squares, 9 * "),
        (ReleasedAdam._update, "-group[", "group["),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check(monkeypatch)
