"""Virtual batch normalisation against the transcription, and what it promises."""

import copy

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import virtual_batch_norm as reference
from torch import Tensor, nn

from lit_improved_gan.layers import VirtualBatchNorm, set_reference, virtual_batch_norm
from lit_improved_gan.layers.virtual_batch_norm import ReferenceStatistics, _scaled, reference_statistics

# examples, then reference batch; where sizes are equal a wrong axis is no error of shapes
SHAPES = [((4, 4, 2, 2), (4, 4, 2, 2)), ((4, 4), (4, 4)), ((3, 2, 2, 5), (6, 2, 2, 5)), ((1, 3), (2, 3))]


def assert_near(found: Tensor, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    difference = np.abs(found.detach().double().numpy() - expected)
    assert found.shape == expected.shape
    assert difference.max() <= tolerance * max(np.abs(expected).max(), 1e-300), difference.max()


def draw(shape: tuple[int, ...], reference_shape: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    channels = shape[1]
    return [
        rng.normal(size=shape) * 1.5 + 0.3,
        rng.normal(size=reference_shape) - 0.4,
        rng.normal(size=channels) * 0.3 + 1,
        rng.normal(size=channels),
        rng.normal(size=shape),
    ]


def check() -> None:
    for shapes in SHAPES:
        *values, g = draw(*shapes)
        tensors = [torch.tensor(value, requires_grad=True) for value in values]
        x, batch, weight, bias = tensors
        for eps in (1e-5, 0.5):
            found = virtual_batch_norm(x, reference_statistics(batch), weight, bias, eps)
            assert_near(found, reference.output(*values, eps))
            gradients = torch.autograd.grad(found, tensors, torch.tensor(g))
            for gradient, expected in zip(gradients, reference.output_grad(*values[:3], g, eps), strict=True):
                assert_near(gradient, expected)
        low = virtual_batch_norm(x.float(), reference_statistics(batch.float()), weight.float(), bias.float())
        assert_near(low, reference.output(*values), 1e-5)


def check_layers() -> None:
    """Two layers in a row: the second sees the reference batch as the first normalised it, by itself alone."""
    for shapes in SHAPES[:3]:
        x, batch, gamma, beta, g = draw(*shapes)
        second_gamma, second_beta = gamma[::-1].copy(), beta[::-1].copy()
        network = nn.Sequential(VirtualBatchNorm(len(gamma)), nn.Tanh(), VirtualBatchNorm(len(gamma), eps=0.1)).double()
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), (gamma, beta, second_gamma, second_beta), strict=True):
                parameter.copy_(torch.tensor(value))
        set_reference(network, torch.tensor(batch))
        inputs = torch.tensor(x, requires_grad=True)
        found = network(inputs)
        hidden = np.tanh(reference.output(x, batch, gamma, beta))
        hidden_batch = np.tanh(reference.reference_output(batch, gamma, beta))
        assert_near(found, reference.output(hidden, hidden_batch, second_gamma, second_beta, 0.1))
        found.backward(torch.tensor(g))
        on_hidden, on_batch, *on_second = reference.output_grad(hidden, hidden_batch, second_gamma, g, 0.1)
        on_x, _, *on_first = reference.output_grad(x, batch, gamma, on_hidden * (1 - hidden**2))
        _, *through_batch = reference.reference_output_grad(batch, gamma, on_batch * (1 - hidden_batch**2))
        on_first = [a + b for a, b in zip(on_first, through_batch, strict=True)]
        assert_near(inputs.grad, on_x)
        for parameter, expected in zip(network.parameters(), on_first + on_second, strict=True):
            assert_near(parameter.grad, expected)


@pytest.mark.parametrize("check", [check, check_layers])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (virtual_batch_norm, check, "values - mean", "values + mean"),
        (virtual_batch_norm, check, "(reference.mean - mean)", "(reference.mean + mean)"),
        (virtual_batch_norm, check, "reference.examples + 1", "reference.examples"),
        (virtual_batch_norm, check, "values.mean(2)", "values.mean(1, keepdim=True).mean(2)"),
        (virtual_batch_norm, check, "/ values.shape[2]", "/ (values.shape[2] + 1)"),
        (reference_statistics, check, "Statistics(mean, variance", "Statistics(mean, -variance"),
        (reference_statistics, check, "square().mean((0, 2))", "square().sum((0, 2))"),
        (reference_statistics, check, "values.mean((0, 2))", "values.mean((0, 2)).mean().expand(values.shape[1])"),
        (_scaled, check, "variance + eps", "2 * variance + eps"),
        (_scaled, check, "bias.unsqueeze(1), dev", "-bias.unsqueeze(1), dev"),
        (_scaled, check, "scale * weight", "scale * weight.flip(0)"),
        (VirtualBatchNorm.forward, check_layers, "own.mean.unsqueeze(1)", "-own.mean.unsqueeze(1)"),
        (VirtualBatchNorm.forward, check_layers, "own.variance,", "2 * own.variance,"),
        (VirtualBatchNorm.forward, check_layers, "own.mean.unsqueeze(1)", "_pixels(x).mean()"),
        (VirtualBatchNorm.forward, check_layers, "reference_statistics(x)", "reference_statistics(x.detach())"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def at_3000() -> float:
    """The largest error in single precision, at a mean of 3000 and unit variance."""
    rng = np.random.default_rng(0)
    x, batch = ((rng.normal(size=(n, 2, 8, 8)) + 3000).astype(np.float32) for n in (4, 16))
    gamma, beta = np.array([1.1, 0.9]), np.array([0.3, -0.2])
    single = [torch.tensor(value, dtype=torch.float32) for value in (gamma, beta)]
    found = virtual_batch_norm(torch.tensor(x), reference_statistics(torch.tensor(batch)), *single)
    expected = reference.output(x.astype(np.float64), batch.astype(np.float64), gamma, beta)
    return float(np.nan_to_num(np.abs(found.numpy() - expected), nan=np.inf).max())


def test_a_mean_of_3000_with_unit_variance(monkeypatch) -> None:
    """Neighbouring numbers are 2.4e-4 apart there, and the mean is one of them."""
    assert at_3000() < 5e-4
    square_form = """variance = (
        share * values.square().mean(2) + (1 - share) * (reference.variance + reference.mean.square()) - mean.square()
    )
    return _scaled("""
    plant(monkeypatch, virtual_batch_norm, "return _scaled(", square_form)
    assert at_3000() > 0.1


def test_a_variance_of_zero_gives_the_bias() -> None:
    x, batch = torch.full((2, 3, 4, 4), 5.0), torch.full((4, 3, 4, 4), 5.0)
    weight, bias = torch.ones(3), torch.tensor([1.0, 2.0, 3.0])
    found = virtual_batch_norm(x, reference_statistics(batch), weight, bias)
    assert torch.equal(found, bias.view(3, 1, 1).expand(2, 3, 4, 4))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3, 2), (6, 5, 7), (6, 5, 2, 3, 2)])
def test_an_example_does_not_depend_on_its_batch_mates(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(VirtualBatchNorm(5), nn.ReLU(), VirtualBatchNorm(5)).double()
    set_reference(network, torch.randn(8, *shape[1:]).double())
    x, mates = torch.randn(shape).double(), torch.randn(3, *shape[1:]).double() * 100
    whole = network(x)
    assert whole.shape == x.shape
    for again in (torch.cat([network(part) for part in x.split(1)]), network(torch.cat([mates, x]))[3:]):
        torch.testing.assert_close(again, whole, rtol=1e-12, atol=1e-12)
    inputs = x.clone().requires_grad_()
    network(inputs)[2].sum().backward()
    assert (inputs.grad.flatten(1).norm(dim=1) > 0).tolist() == [i == 2 for i in range(6)]


def test_second_derivatives() -> None:
    torch.manual_seed(0)
    x, batch = (torch.randn(n, 2, 2, 1, dtype=torch.float64, requires_grad=True) for n in (2, 3))
    weight, bias = (torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def function(x: Tensor, batch: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return virtual_batch_norm(x, reference_statistics(batch), weight, bias)

    assert torch.autograd.gradgradcheck(function, (x, batch, weight, bias))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_are_taken_in_single_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, batch = ((torch.randn(n, 3, 4, 4) + 20).to(dtype) for n in (5, 16))
    statistics = reference_statistics(batch)
    assert statistics.mean.dtype == statistics.variance.dtype == torch.float32
    assert torch.equal(statistics.variance, reference_statistics(batch.float()).variance)
    found = virtual_batch_norm(x, statistics, torch.ones(3), torch.zeros(3))
    assert found.dtype == dtype
    exact = virtual_batch_norm(x.float(), statistics, torch.ones(3), torch.zeros(3))
    assert torch.equal(found, exact.to(dtype))
    layer = nn.Sequential(VirtualBatchNorm(3))
    set_reference(layer, batch)
    assert layer(x).dtype == dtype
    layer = layer.to(dtype)  # parameters, too
    assert layer(x).dtype == dtype


def test_the_released_start() -> None:
    torch.manual_seed(0)
    layer = VirtualBatchNorm(4000)
    assert layer.weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert torch.equal(layer.bias, torch.zeros(4000))
    assert layer.eps == 1e-5
    plain = VirtualBatchNorm(4, affine=False)
    assert list(plain.parameters()) == []
    assert list(copy.deepcopy(layer).state_dict()) == ["weight", "bias"]


def test_without_weight_and_bias() -> None:
    x, batch, *_ = draw((3, 2, 2, 5), (6, 2, 2, 5))
    network = nn.Sequential(VirtualBatchNorm(2, affine=False))
    set_reference(network, torch.tensor(batch))
    assert_near(network(torch.tensor(x)), reference.output(x, batch, np.ones(2), np.zeros(2)))


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`num_features`.*num_features=0"):
        VirtualBatchNorm(0)
    layer = VirtualBatchNorm(3)
    for shape in [(3,), (2, 4), (2, 4, 3), (0, 3), (0, 3, 2, 2)]:
        with pytest.raises(ValueError, match=r"VirtualBatchNorm should be \(N, 3, \.\.\.\), not empty"):
            layer(torch.zeros(shape))
    with pytest.raises(RuntimeError, match=r"no reference batch.*set_reference\(network, batch\)"):
        layer(torch.zeros(2, 3))


def test_statistics_are_those_of_the_reference_batch() -> None:
    batch = torch.randn(6, 3, 2, 2, dtype=torch.float64)
    found = reference_statistics(batch)
    assert isinstance(found, ReferenceStatistics)
    mean, variance = reference.reference_moments(batch.numpy())
    assert_near(found.mean, mean)
    assert_near(found.variance, variance)
    assert found.examples == 6
