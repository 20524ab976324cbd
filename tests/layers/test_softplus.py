"""Softplus is torch's, faster."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.mutate import plant
from torch import Tensor

from lit_improved_gan.layers import Softplus


def inputs() -> Tensor:
    return torch.cat(
        [torch.linspace(-60, 60, 4001), torch.tensor([0.0, 1e-30, -1e-30, 3e38, -3e38, torch.inf, -torch.inf])]
    )


def check() -> None:
    x = inputs().double()
    expected = torch.tensor([max(v, 0.0) + math.log1p(math.exp(-abs(v))) for v in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(Softplus()(x), expected, rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(Softplus()(x.float()), expected.float(), rtol=2e-7, atol=1e-7)


def test_values() -> None:
    check()


def test_gradients() -> None:
    x = inputs()[:-4].requires_grad_()
    (gradient,) = torch.autograd.grad(Softplus()(x).sum(), x)
    torch.testing.assert_close(gradient, torch.sigmoid(x.detach()), rtol=0, atol=2e-7)  # at 0, too
    x = torch.tensor([-3.0, -0.1, 0.2, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Softplus(), x)
    assert torch.autograd.gradgradcheck(Softplus(), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_once(dtype: torch.dtype) -> None:
    x = torch.linspace(-8, 8, 101).to(dtype)
    assert Softplus()(x).dtype == dtype
    torch.testing.assert_close(Softplus()(x), F.softplus(x.double()).to(dtype), rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize(
    ("old", "new"),
    [("maximum", "minimum"), ("- torch.log", "+ torch.log"), ("value.abs()", "value"), ("torch.sigmoid", "")],
)
def test_planted_errors_are_found(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    plant(monkeypatch, Softplus.forward, old, new)
    with pytest.raises(AssertionError):
        check()
