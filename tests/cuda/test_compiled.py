"""Layers compiled for CUDA against themselves."""

import shutil
from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from helpers.cuda import DEVICE, assert_close
from torch import Tensor, nn

from lit_improved_gan.layers import MinibatchDiscrimination, VirtualBatchNorm, set_reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("cc")), reason="needs a C compiler"),
]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    if DEVICE == "cuda":
        pytest.importorskip("triton", reason="torch.compile needs triton on CUDA")
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def outcome(call: nn.Module, network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Of ``call``, which is ``network`` or compiled from it."""
    x = x.clone().requires_grad_()
    out = call(x)
    parameters = dict(network.named_parameters())
    found = torch.autograd.grad(out.square().sum(), [x, *parameters.values()])
    return {"output": out, **dict(zip(["x", *parameters], found, strict=True))}


def check(network: nn.Module, x: Tensor) -> None:
    eager = outcome(network, network, x)
    other = deepcopy(network)
    assert_close(outcome(torch.compile(other, fullgraph=True), other, x), eager, 1e-5)


def test_minibatch_discrimination() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(10, 6, 3).to(DEVICE)
    layer.initialize(torch.randn(30, 10, device=DEVICE))
    check(layer, torch.randn(16, 10, device=DEVICE))


def test_virtual_batch_norm() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), VirtualBatchNorm(4), nn.Softplus(), nn.Flatten(),
        nn.Linear(36, 5, bias=False), VirtualBatchNorm(5),
    ).to(DEVICE)  # fmt: skip
    set_reference(network, torch.randn(9, 2, 5, 5, device=DEVICE))
    check(network, torch.randn(6, 2, 5, 5, device=DEVICE))
