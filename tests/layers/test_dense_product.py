"""The product of a dense layer is that of torch, whichever library computes it."""

import importlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.mutate import plant
from torch import Tensor

from lit_improved_gan.layers import Dense, dense_product
from lit_improved_gan.layers.dense_product import _by_onednn, _on_amd, _Product, _suits

LARGE = (120, 300, 250)


@pytest.fixture(autouse=True)
def on_amd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("lit_improved_gan.layers.dense_product"), "_on_amd", lambda: True)


def test_other_processors_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    home = importlib.import_module("lit_improved_gan.layers.dense_product")
    monkeypatch.setattr(home, "_on_amd", lambda: False)
    monkeypatch.setattr(home, "_Product", None)
    x, weight, _ = inputs(*LARGE)
    assert torch.equal(dense_product(x, weight), F.linear(x, weight))


@pytest.mark.parametrize(("text", "found"), [("vendor_id : AuthenticAMD", True), ("vendor_id : GenuineIntel", False)])
def test_the_processor(monkeypatch: pytest.MonkeyPatch, text: str, found: bool) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert _on_amd.__wrapped__() == found


def inputs(n: int, b: int, a: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    x, weight, gradient = torch.randn(n, a), torch.randn(b, a), torch.randn(n, b)
    return x.requires_grad_(), weight.requires_grad_(), gradient


def close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() < 1e-5 * expected.abs().max())


def check() -> None:
    x, weight, gradient = inputs(*LARGE)
    assert _suits(x, weight)
    found, expected = dense_product(x, weight), F.linear(x.double(), weight.double())
    assert close(found, expected)
    on_x, on_weight = torch.autograd.grad(found, (x, weight), gradient)
    for ours, exact in zip(
        (on_x, on_weight), torch.autograd.grad(expected, (x, weight), gradient.double()), strict=True
    ):
        assert close(ours, exact)
    only_x = x.detach().requires_grad_()
    (on_x,) = torch.autograd.grad(dense_product(only_x, weight.detach()), only_x, gradient)
    assert close(on_x, torch.autograd.grad(F.linear(only_x, weight.detach()), only_x, gradient)[0])


def test_large_products_are_those_of_torch() -> None:
    check()


def check_members() -> None:
    """Products of members that torch.vmap runs as one, of which each, or one side alone, has its own."""
    torch.manual_seed(0)
    (n, b, a), size = LARGE, 3
    x, weight = torch.randn(n, size, a).requires_grad_(), torch.randn(size, b, a).requires_grad_()
    for dims, y in [((1, 0), weight), ((1, None), weight[0]), ((None, 0), weight)]:
        left = x if dims[0] == 1 else x[:, 0]
        found = torch.vmap(dense_product, dims)(left, y)
        expected = torch.vmap(F.linear, dims)(left.double(), y.double())
        assert close(found, expected)
        gradient = torch.randn_like(found)
        for ours, exact in zip(
            torch.autograd.grad(found, (x, weight), gradient),
            torch.autograd.grad(expected, (x, weight), gradient.double()),
            strict=True,
        ):
            assert close(ours, exact)


def test_members_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    home = importlib.import_module("lit_improved_gan.layers.dense_product")
    monkeypatch.setattr(home, "_by_onednn", lambda a, b: calls.append(1) or _by_onednn(a, b))
    check_members()
    assert len(calls) == 3 * 3 * 3  # cases, members, and the product with its two gradients


def test_a_layer_is_that_of_torch() -> None:
    x, weight, _ = inputs(*LARGE)
    for bias in (True, False):
        layer = Dense(weight.shape[1], len(weight), bias=bias)
        assert close(layer(x), F.linear(x, layer.weight, layer.bias))
        assert torch.equal(layer(x[:3]), F.linear(x[:3], layer.weight, layer.bias))


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (_Product.backward, "dense_product(gradient, b.mT)", "-dense_product(gradient, b.mT)"),
        (_Product.backward, "dense_product(gradient.mT, a.mT)", "2 * dense_product(gradient.mT, a.mT)"),
        (_by_onednn, "b.contiguous()", "b.flip(1)"),
    ],
)
@pytest.mark.parametrize("check", [check, check_members])
def test_planted_errors_are_found(monkeypatch, check, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("movedim(dim, 0)", "flip(dim).movedim(dim, 0)"),
        ("value.expand(info.batch_size, *value.shape)", "2 * value.expand(info.batch_size, *value.shape)"),
        ("movedim(dim, 0)", "movedim(dim, 0).roll(1, 1)"),
    ],
)
def test_errors_among_the_members_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, _Product.vmap, old, new)
    with pytest.raises(AssertionError):
        check_members()


def test_second_derivatives() -> None:
    x, weight, _ = inputs(*LARGE)

    def slope(product) -> Tensor:
        (on_x,) = torch.autograd.grad((product(x, weight) / 16).tanh().sum(), x, create_graph=True)
        return torch.autograd.grad(on_x.square().sum(), weight)[0]

    assert close(slope(dense_product), slope(F.linear))


@pytest.mark.parametrize("change", ["small", "double", "autocast", "compiled", "vectors", "functorch", "vmap twice"])
def test_all_else_is_left_to_torch(change: str) -> None:
    n, b, a = (4, 3, 5) if change == "small" else LARGE
    x, weight, _ = inputs(n, b, a)
    if change == "double":
        x, weight = x.double(), weight.double()
    if change == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            assert dense_product(x, weight).dtype == torch.bfloat16
    elif change == "compiled":
        compiled = torch.compile(dense_product, fullgraph=True, backend="aot_eager")
        assert close(compiled(x, weight), F.linear(x, weight))
    elif change == "vectors":
        assert torch.equal(dense_product(x.view(1, n, a), weight), F.linear(x.view(1, n, a), weight))
    elif change == "functorch":
        found = torch.func.grad(lambda w: dense_product(x, w).square().sum())(weight)
        assert close(found, torch.func.grad(lambda w: F.linear(x, w).square().sum())(weight))
    elif change == "vmap twice":
        of_each = torch.vmap(torch.vmap(dense_product, (None, 0)), (0, None))
        xs, weights = torch.stack([x, -x]), torch.stack([weight, 2 * weight, weight])
        assert close(of_each(xs, weights), torch.einsum("sna,tba->stnb", xs, weights))
    else:
        assert torch.equal(dense_product(x, weight), F.linear(x, weight))
