"""Every loss compiles in one graph, to the same values and gradients."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lit_improved_gan import losses
from lit_improved_gan.losses import (
    FeatureMatchingLoss,
    HistoricalAveraging,
    MMDLoss,
    SemiSupervisedLoss,
    implicit_logits,
)
from lit_improved_gan.types import DiscriminatorOutput


def adversarial(real: Tensor, fake: Tensor) -> Tensor:
    """All losses of logits, added up in such a way that none can stand in for another."""
    one, other = DiscriminatorOutput(real, {}), DiscriminatorOutput(fake, {})
    implicit = implicit_logits(real), torch.arange(3), implicit_logits(real)
    terms = [
        losses.AdversarialLoss(0.9)(one, other),
        losses.NonSaturatingLoss()(other),
        losses.MinimaxLoss()(other),
        losses.DivergenceDiscriminatorLoss()(one, other),
        losses.DivergenceGeneratorLoss()(other),
        losses.HingeDiscriminatorLoss()(one, other),
        losses.HingeGeneratorLoss()(other),
        losses.LeastSquaresDiscriminatorLoss(0.9)(one, other),
        losses.LeastSquaresGeneratorLoss()(other),
        SemiSupervisedLoss()(real, torch.arange(3), real, fake).total,
        SemiSupervisedLoss(2.0, 0.9)(*implicit, implicit_logits(fake)).total,
    ]
    return sum(term / (i + 1) for i, term in enumerate(terms))


def matching(real: Tensor, fake: Tensor) -> Tensor:
    """Every statistic and every distance of several layers."""
    one, other = (DiscriminatorOutput(x, {"a": x, "b": x.square()}) for x in (real, fake))
    return (
        FeatureMatchingLoss()(other, one)
        + FeatureMatchingLoss(["a", "b"], losses.batch_mean_variance, losses.l1_distance)(other, one)
        + FeatureMatchingLoss({"a": 0.5}, losses.batch_covariance, losses.l2_distance)(other, one)
        + MMDLoss("a", (1.0, 2.0))(other, one)
    )


def same(function: Callable[[Tensor, Tensor], Tensor], backend: str, tolerance: float = 1e-12) -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 3, 5, dtype=torch.float64).unbind()
    fake.requires_grad_()
    torch.compiler.reset()
    values = [f(real, fake) for f in (function, torch.compile(function, fullgraph=True, backend=backend))]
    torch.testing.assert_close(*values, rtol=tolerance, atol=tolerance)
    gradients = [torch.autograd.grad(value, fake) for value in values]
    torch.testing.assert_close(*gradients, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("function", [adversarial, matching])
def test_compiles_without_breaks(function) -> None:
    same(function, "aot_eager")


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_compiles_to_machine_code() -> None:
    same(losses.feature_matching, "inductor")


def test_historical_averaging_compiles_and_counts_on() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2).double()
    plain, compiled = HistoricalAveraging(0.5), HistoricalAveraging(0.5)
    for penalty in (plain, compiled):
        penalty.follow(network)
    torch.compiler.reset()
    call = torch.compile(compiled, fullgraph=True, backend="aot_eager")
    for _ in range(4):
        values = [f(network) for f in (plain, call)]
        torch.testing.assert_close(*values, rtol=1e-12, atol=1e-15)
        gradients = [torch.autograd.grad(value, network.weight)[0] for value in values]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3))
    assert compiled.count == 4
    for a, b in zip(plain.means, compiled.means, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15)
