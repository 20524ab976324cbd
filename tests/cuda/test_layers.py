"""Every layer on CUDA against the CPU: outputs, gradients and buffers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.cuda import DEVICE, TOLERANCES, assert_close, check_mixed, check_same, on
from torch import Tensor, nn

from lit_improved_gan import layers
from lit_improved_gan.layers import (
    GaussianNoise,
    JointMinibatchDiscrimination,
    MinibatchDiscrimination,
    VirtualBatchNorm,
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    attach_reference,
    initialize,
    set_reference,
)

pytestmark = pytest.mark.gpu

Case = tuple[Callable[..., Tensor], Any]
DTYPES = list(TOLERANCES)
MIXED = pytest.mark.parametrize("dtype", [*DTYPES, "bf16-mixed"], ids=str)


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).requires_grad_()


def call(layer: nn.Module, *args: Tensor) -> Tensor:
    return layer(*args)


def minibatch(**options: Any) -> MinibatchDiscrimination:
    layer = MinibatchDiscrimination(10, 6, 3, **options)
    layer.initialize(torch.randn(30, 10))
    return layer


def virtual(reference_gradient: bool) -> nn.Sequential:
    """No biases before the normalisation, which takes them away: their gradients would be rounding."""
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), VirtualBatchNorm(4), nn.Softplus(), nn.Flatten(),
        nn.Linear(36, 5, bias=False), VirtualBatchNorm(5),
    )  # fmt: skip
    attach_reference(network, reference_gradient)
    set_reference(network, torch.randn(9, 2, 5, 5))
    return network


def closeness(groups: list[int] | None) -> Callable[[Tensor], Tensor]:
    return lambda m: layers.minibatch_closeness(m, groups)


CASES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "minibatch discrimination": lambda: (call, minibatch(), images(12, 10)),
    "its mean": lambda: (call, minibatch(reduction="mean"), images(12, 10)),
    "its groups": lambda: (lambda layer, x: layer(x, [5, 7]), minibatch(), images(12, 10)),
    "its mean in groups": lambda: (lambda layer, x: layer(x, [1, 11]), minibatch(reduction="mean"), images(12, 10)),
    "joint minibatch discrimination": lambda: (call, JointMinibatchDiscrimination(10, 6, 3), images(12, 10)),
    "minibatch_closeness": lambda: (closeness(None), images(11, 4, 3)),
    "minibatch_closeness in groups": lambda: (closeness([4, 7]), images(11, 4, 3)),
    "joint_minibatch_closeness": lambda: (layers.joint_minibatch_closeness, images(12, 4, 3)),
    "virtual batch norm": lambda: (call, virtual(True), images(6, 2, 5, 5)),
    "its constant statistics": lambda: (call, virtual(False), images(6, 2, 5, 5)),
    "batch norm without gain": lambda: (call, layers.BatchNormWithoutGain(4), images(6, 4, 5, 5)),
    "weight norm": lambda: (call, WeightNormLinear(10, 7, train_gain=True), images(12, 10)),
    "weight norm, large": lambda: (call, WeightNormLinear(512, 512, train_gain=True), images(64, 512)),
    "weight norm convolution": lambda: (
        call, WeightNormConv2d(3, 7, 3, stride=2, padding=1, train_gain=True), images(4, 3, 8, 8)),
    "weight norm transposed convolution": lambda: (
        call, WeightNormConvTranspose2d(3, 7, 5, 2, 2, 1, train_gain=True), images(4, 3, 8, 8)),
    "weight_scale": lambda: (layers.weight_scale, images(5, 3, 2), images(5)),
    "dense_product": lambda: (layers.dense_product, images(64, 512), images(300, 512)),
    "spectral norm": lambda: (call, layers.SpectralNormLinear(10, 7), images(12, 10)),
}  # fmt: skip


@MIXED
@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_the_same(name: str, dtype: torch.dtype | str) -> None:
    torch.manual_seed(0)
    function, *inputs = CASES[name]()
    if isinstance(dtype, str):
        check_mixed(function, *inputs)
    else:
        check_same(function, *inputs, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_data_dependent_initialisation_is_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        WeightNormConv2d(2, 4, 3), nn.Softplus(), WeightNormConvTranspose2d(4, 3, 3), nn.Flatten(),
        WeightNormLinear(75, 10), nn.Softplus(), MinibatchDiscrimination(10, 6, 3), WeightNormLinear(16, 4),
    )  # fmt: skip
    x = torch.randn(40, 2, 5, 5)
    found, expected = on(DEVICE, dtype, network), on("cpu", dtype, network)
    initialize(found, on(DEVICE, dtype, x))
    initialize(expected, on("cpu", dtype, x))
    assert_close(found.state_dict(), expected.state_dict(), TOLERANCES[dtype])
    changed = [
        name for name, value in network.state_dict().items() if not torch.equal(value, found.state_dict()[name].cpu())
    ]
    assert {name.split(".")[-1] for name in changed} >= {"gain", "bias", "log_scale", "initialized"}


def test_a_layer_that_was_not_initialised_does_it_there() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(10, 6, 3).to(DEVICE)
    out = layer(torch.randn(30, 10, device=DEVICE))
    assert layer.initialized
    assert out[:, 10:].mean(0).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_noise_has_its_size_and_is_drawn_anew(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = GaussianNoise(0.3), torch.zeros(1000, 1000, device=DEVICE, dtype=dtype)
    first, second = layer(x), layer(x)
    assert first.device == x.device
    assert first.dtype == dtype
    assert not torch.equal(first, second)
    for noise in (first.double(), second.double(), (first.double() - second.double()) / 2**0.5):
        assert abs(noise.mean()) < 5 * 0.3 / 1000
        assert abs(noise.std() / 0.3 - 1) < 5 / 1414 + 1e-4
    assert layer.eval()(x) is x


def test_memory_is_that_of_pairs_and_not_of_their_differences() -> None:
    if DEVICE != "cuda":
        pytest.skip("memory is counted on CUDA alone")
    n, kernels, size = 256, 2048, 8
    m = torch.randn(n, kernels, size, device=DEVICE, requires_grad=True)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    layers.minibatch_closeness(m).sum().backward()
    assert torch.cuda.max_memory_allocated() - before < n * n * kernels * size * m.element_size() / 2
