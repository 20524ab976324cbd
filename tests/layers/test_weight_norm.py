"""Weight normalisation and its initialisation against the transcription, and what they promise."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant
from torch import nn

from lit_improved_gan.layers import GaussianNoise, WeightNormLinear, initialize, normalise_weight

RNG = np.random.default_rng(0)


def check() -> None:
    x, direction, gain, bias = (RNG.normal(size=size) for size in ((6, 5), (3, 5), (3,), (3,)))
    for eps in (0.0, 1e-6, 0.5):
        layer = WeightNormLinear(5, 3, eps=eps).double()
        with torch.no_grad():
            for parameter, value in zip(
                (layer.direction, layer.gain, layer.bias), (direction, gain, bias), strict=True
            ):
                parameter.copy_(torch.tensor(value))
        expected = reference.weight_norm_dense(x, direction, gain, bias, eps)
        np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, rtol=1e-10)
        np.testing.assert_allclose(layer.weight.detach(), reference.weight_norm(direction, gain, eps), rtol=1e-10)
        np.testing.assert_allclose(layer.float()(torch.tensor(x).float()).detach(), expected, rtol=1e-4, atol=1e-5)


def check_initialization() -> None:
    x, direction = RNG.normal(size=(50, 5)) * 3 + 1, RNG.normal(size=(3, 5))
    layer = WeightNormLinear(5, 3).double()
    with torch.no_grad():
        layer.direction.copy_(torch.tensor(direction))
    layer.initialize(torch.tensor(x))
    gain, bias = reference.data_dependent_init(x, direction, 0.0)
    np.testing.assert_allclose(layer.gain.detach(), gain, rtol=1e-10)
    np.testing.assert_allclose(layer.bias.detach(), bias, rtol=1e-10)
    outputs = layer(torch.tensor(x)).detach()
    np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(outputs.std(0, correction=0), 1, rtol=1e-12)


@pytest.mark.parametrize("check", [check, check_initialization])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (normalise_weight, check, "return torch._weight_norm", "return -torch._weight_norm"),
        (normalise_weight, check, "return torch._weight_norm", "return 2 * torch._weight_norm"),
        (normalise_weight, check, ".flatten(1).sum(1)", ".T.flatten(1).sum(1)[:3]"),
        (normalise_weight, check, "squared_norm + eps", "squared_norm - eps"),
        (WeightNormLinear.initialize, check_initialization, "-mean / std", "mean / std"),
        (WeightNormLinear.initialize, check_initialization, "self.gain.div_(std)", "self.gain.mul_(std)"),
        (WeightNormLinear.initialize, check_initialization, "dim=0", "dim=1"),
        (WeightNormLinear.initialize, check_initialization, "correction=0", "correction=1"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        check()


def test_gradients_against_finite_differences() -> None:
    torch.manual_seed(0)
    for eps in (0.0, 1e-6):
        layer = WeightNormLinear(4, 3, train_gain=True, eps=eps).double()
        assert torch.autograd.gradcheck(lambda d, g, e=eps: normalise_weight(d, g, e), (layer.direction, layer.gain))


def test_the_length_of_the_direction_does_not_matter() -> None:
    layer, x = WeightNormLinear(4, 3), torch.randn(5, 4)
    before = layer(x)
    with torch.no_grad():
        layer.direction.mul_(7)
    torch.testing.assert_close(layer(x), before)


def test_gains_are_frozen_unless_asked_for() -> None:
    assert not WeightNormLinear(4, 3).gain.requires_grad
    assert WeightNormLinear(4, 3, train_gain=True).gain.requires_grad


def test_copies_pickles_and_state() -> None:
    layer, x = WeightNormLinear(4, 3), torch.randn(50, 4)
    layer.initialize(x)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(again(x), layer(x))
    fresh = WeightNormLinear(4, 3)
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(x), layer(x))


def test_compiles_without_breaks() -> None:
    layer, x = WeightNormLinear(4, 3, eps=1e-6), torch.randn(5, 4)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))


def test_constant_outputs_cannot_be_initialised_from() -> None:
    with pytest.raises(ValueError, match="3 of 3 outputs constant over 1 examples"):
        WeightNormLinear(4, 3).initialize(torch.randn(1, 4))


@pytest.mark.parametrize("name", ["in_features", "out_features"])
def test_empty_sizes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        WeightNormLinear(**{"in_features": 2, "out_features": 2, name: 0})


def test_a_network_is_initialised_in_the_order_its_layers_run() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(WeightNormLinear(6, 8), nn.ReLU(), WeightNormLinear(8, 4))
    x = torch.randn(500, 6) * 5 - 2
    initialize(network, x)
    hidden = network[0](x)
    for outputs in (hidden, network(x)):
        torch.testing.assert_close(outputs.mean(0), torch.zeros(outputs.shape[1]), atol=1e-5, rtol=0)
        torch.testing.assert_close(outputs.std(0, correction=0), torch.ones(outputs.shape[1]), atol=1e-5, rtol=0)
    assert not network[0]._forward_pre_hooks


def test_noise_has_the_given_deviation_and_stops_in_eval_mode() -> None:
    torch.manual_seed(0)
    noise, x = GaussianNoise(0.3), torch.full((200_000,), 2.0)
    difference = noise(x) - x
    assert difference.mean().item() == pytest.approx(0, abs=3e-3)
    assert difference.std().item() == pytest.approx(0.3, rel=0.01)
    assert not torch.equal(noise(x), noise(x))
    assert noise.eval()(x) is x
    with pytest.raises(ValueError, match="std=-1"):
        GaussianNoise(-1)
