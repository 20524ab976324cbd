"""Weight normalisation and its initialisation against the transcription, and what they promise."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant
from torch import nn

from lit_improved_gan.layers import (
    GaussianNoise,
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    initialize,
    weight_scale,
)
from lit_improved_gan.layers.weight_norm import WeightNormLayer, _SquaredLength

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
    for init_std in (1.0, 0.1):
        layer = WeightNormLinear(5, 3, init_std=init_std).double()
        with torch.no_grad():
            layer.direction.copy_(torch.tensor(direction))
        layer.initialize(torch.tensor(x))
        gain, bias = reference.data_dependent_init(x, direction, 0.0)
        np.testing.assert_allclose(layer.gain.detach(), init_std * gain, rtol=1e-10)
        np.testing.assert_allclose(layer.bias.detach(), init_std * bias, rtol=1e-10)
        outputs = layer(torch.tensor(x)).detach()
        np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(outputs.std(0, correction=0), init_std, rtol=1e-12)


CONVOLUTIONS = [
    (WeightNormConv2d, {"stride": 2, "padding": 1}, nn.Conv2d),
    (WeightNormConvTranspose2d, {"stride": 2, "padding": 1, "output_padding": 1}, nn.ConvTranspose2d),
]


def check_convolutions() -> None:
    """torch's own layers with the normalised weights of the transcription."""
    torch.manual_seed(0)
    x = torch.randn(4, 3, 7, 7).double()
    for ours, options, torchs in CONVOLUTIONS:
        layer = ours(3, 5, 3, eps=0.1, **options).double()
        with torch.no_grad():
            layer.gain.copy_(torch.randn(5))
            layer.bias.copy_(torch.randn(5))
        plain = torchs(3, 5, 3, **options).double()
        flat = layer.direction.detach().flatten(1).numpy()
        weight = torch.tensor(reference.weight_norm(flat, layer.gain.detach().numpy(), 0.1)).view(5, 3, 3, 3)
        with torch.no_grad():
            plain.weight.copy_(weight if torchs is nn.Conv2d else weight.transpose(0, 1))
            plain.bias.copy_(layer.bias)
        np.testing.assert_allclose(layer(x).detach(), plain(x).detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("ours", "options", "torchs"), CONVOLUTIONS)
def test_convolutions_are_initialised_over_batch_and_pixels(ours, options, torchs) -> None:
    torch.manual_seed(0)
    layer, x = ours(3, 5, 3, init_std=0.1, **options).double(), torch.randn(20, 3, 6, 6).double() * 4 + 1
    layer.initialize(x)
    outputs = layer(x).detach()
    np.testing.assert_allclose(outputs.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(outputs.std((0, 2, 3), correction=0), 0.1, rtol=1e-12)
    assert not layer.gain.requires_grad
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), layer(x))


def check_gradients() -> None:
    torch.manual_seed(0)
    for eps in (0.0, 1e-6):
        layer = WeightNormLinear(4, 3, train_gain=True, eps=eps).double()
        given = (layer.direction, layer.gain)
        assert torch.autograd.gradcheck(lambda d, g, e=eps: weight_scale(d, g, e), given, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(lambda d, g, e=eps: weight_scale(d, g, e), given)


@pytest.mark.parametrize("check", [check, check_initialization, check_convolutions])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (weight_scale, check, "return gain", "return -gain"),
        (weight_scale, check, "return gain", "return 2 * gain"),
        (_SquaredLength.forward, check, "dim=1", "dim=0"),
        (_SquaredLength.forward, check, ".square()", ""),
        (_SquaredLength.backward, check_gradients, "2 * gradient", "gradient"),
        (_SquaredLength.backward, check_gradients, "2 * gradient", "-2 * gradient"),
        (_SquaredLength.jvp, check_gradients, "2 * rows", "rows"),
        (weight_scale, check, "+ eps", "- eps"),
        (WeightNormLinear.forward, check, "self.bias, wide", "-self.bias, wide"),
        (WeightNormLayer.initialize, check_initialization, "-mean *", "mean *"),
        (WeightNormLayer.initialize, check_initialization, "self.gain.mul_", "self.gain.div_"),
        (WeightNormLayer.initialize, check_initialization, "self.init_std / std", "self.init_std**2 / std"),
        (WeightNormLayer.initialize, check_initialization, "dim=1", "dim=0"),
        (WeightNormLayer.initialize, check_initialization, "correction=0", "correction=1"),
        (WeightNormLayer.weight.fget, check_convolutions, "view(-1,", "view(1, -1,"),
        (WeightNormConv2d.product, check_convolutions, "self.stride", "1"),
        (WeightNormConvTranspose2d.product, check_convolutions, "self.output_padding", "0"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        check()


def test_gradients_against_finite_differences() -> None:
    check_gradients()


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
    with pytest.raises(ValueError, match=r"sizes of WeightNormLinear .*Found \([02], [02]\)"):
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
    assert noise(x.bfloat16()).dtype == torch.bfloat16
    assert (noise(x.bfloat16()) - 2).float().std().item() == pytest.approx(0.3, rel=0.01)
    assert noise.eval()(x) is x
    with pytest.raises(ValueError, match="std=-1"):
        GaussianNoise(-1)
