"""Label smoothing as a divergence against the transcription, and what it promises."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import adversarial as reference

from lit_improved_gan import losses
from lit_improved_gan.losses import (
    AdversarialLoss,
    DivergenceDiscriminatorLoss,
    DivergenceGeneratorLoss,
    target_divergence,
)
from lit_improved_gan.types import DiscriminatorOutput

SEVERAL = np.random.default_rng(0).normal(size=(2, 6)) * 3


def output(logits: torch.Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(logits, {})


def check() -> None:
    for target in (0.75, 0.375, 0.0, 1.0):
        s = torch.tensor(SEVERAL[0], requires_grad=True)
        loss = losses.target_divergence(s, target)
        np.testing.assert_allclose(loss.item(), reference.generator_kl(SEVERAL[0], target), rtol=1e-10)
        (gradient,) = torch.autograd.grad(loss, s)
        np.testing.assert_allclose(gradient, reference.generator_kl_grad(SEVERAL[0], target), rtol=1e-10, atol=1e-14)
        assert losses.target_divergence(s.float(), target).item() == pytest.approx(loss.item(), rel=1e-5)


def check_players() -> None:
    real, fake = SEVERAL
    r, f = (torch.tensor(x[:, None], requires_grad=True) for x in SEVERAL)
    for arguments, target in [((), 0.75), ((0.9,), 0.9)]:
        loss = DivergenceDiscriminatorLoss(*arguments)(output(r), output(f))
        np.testing.assert_allclose(loss.item(), reference.discriminator_kl(real, fake, target), rtol=1e-10)
        expected = reference.discriminator_kl_grad(real, fake, target)
        for found, gradient in zip(torch.autograd.grad(loss, (r, f)), expected, strict=True):
            np.testing.assert_allclose(found[:, 0], gradient, rtol=1e-10)
    for arguments, target in [((), 0.375), ((0.5,), 0.5)]:
        loss = DivergenceGeneratorLoss(*arguments)(output(f))
        np.testing.assert_allclose(loss.item(), reference.generator_kl(fake, target), rtol=1e-10)


@pytest.mark.parametrize("check", [check, check_players])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (target_divergence, check, "- entropy", "+ entropy"),
        (target_divergence, check, "F.softplus(-logits)", "F.softplus(logits)"),
        (target_divergence, check, "F.softplus(-logits)", "2 * F.softplus(-logits)"),
        (target_divergence, check, "p * log(p)", "p * log(2 * p)"),
        (target_divergence, check, ".mean() -", ".sum() -"),
        (target_divergence, check, ".mean() -", ".amax() -"),
        (DivergenceDiscriminatorLoss.forward, check_players, "self.real_target", "1 - self.real_target"),
        (DivergenceDiscriminatorLoss.forward, check_players, "+ target_divergence", "- target_divergence"),
        (DivergenceDiscriminatorLoss.forward, check_players, "fake.logits", "fake.logits.T"),
        (DivergenceGeneratorLoss.forward, check_players, "self.target", "-self.target + 1"),
        (DivergenceGeneratorLoss.forward, check_players, "self.target", "self.target / 2"),
        (DivergenceGeneratorLoss.forward, check_players, "fake.logits", "fake.logits.T"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("alpha", [1.0, 0.75, 0.5])
def test_the_gradients_are_those_of_cross_entropy(alpha: float) -> None:
    r, f = (torch.tensor(x[:, None], requires_grad=True) for x in SEVERAL)
    divergence = DivergenceDiscriminatorLoss(alpha)(output(r), output(f))
    plain = AdversarialLoss(alpha)(output(r), output(f))
    torch.testing.assert_close(
        torch.autograd.grad(divergence, (r, f)), torch.autograd.grad(plain, (r, f)), rtol=1e-12, atol=1e-15
    )
    assert (plain - divergence).item() == pytest.approx(reference.entropy(alpha), abs=1e-12)


@pytest.mark.parametrize("target", [0.75, 0.375, 0.1])
def test_it_is_zero_where_d_says_the_target_and_positive_elsewhere(target: float) -> None:
    at_target = torch.logit(torch.full((3,), target, dtype=torch.float64))
    assert target_divergence(at_target, target).item() == pytest.approx(0, abs=1e-15)
    assert (torch.stack([target_divergence(at_target + shift, target) for shift in (-2, -0.1, 0.1, 2)]) > 1e-4).all()
    assert target_divergence(torch.full((3,), -1e4), 0.0) == 0
    assert target_divergence(torch.full((3,), 1e4), 1.0) == 0


@pytest.mark.parametrize("alpha", [1.0, 0.75, 0.6])
def test_the_best_discriminator_is_the_papers(alpha: float) -> None:
    data, model = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.1, 0.2, 0.3, 0.4])
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    loss = DivergenceDiscriminatorLoss(alpha)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-13, tolerance_change=1e-16)

    def closure():
        optimizer.zero_grad()
        terms = []
        for d, m, s in zip(data, model, logits, strict=True):
            here, constant = output(s.view(1, 1)), output(s.detach().view(1, 1))
            terms.append(d * loss(here, constant) + m * loss(constant, here))
        total = torch.stack(terms).sum()
        total.backward()
        return total

    optimizer.step(closure)
    expected = reference.optimal_discriminator(data, model, alpha)
    np.testing.assert_allclose(logits.sigmoid().detach(), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_logits_give_finite_values_and_gradients(dtype) -> None:
    logits = torch.tensor([[1e4], [-1e4], [0.0]], dtype=dtype, requires_grad=True)
    discriminator, generator = DivergenceDiscriminatorLoss(), DivergenceGeneratorLoss()
    for loss in (discriminator(output(logits), output(logits)), generator(output(logits))):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, float("nan")])
def test_targets_out_of_range_are_refused(target: float) -> None:
    with pytest.raises(ValueError, match="`real_target` of DivergenceDiscriminatorLoss"):
        DivergenceDiscriminatorLoss(target)
    with pytest.raises(ValueError, match="`target` of DivergenceGeneratorLoss"):
        DivergenceGeneratorLoss(target)
