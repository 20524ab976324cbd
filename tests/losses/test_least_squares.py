"""The least-squares loss against the transcription, and its best discriminator."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import adversarial as reference

from lit_improved_gan import losses
from lit_improved_gan.losses import (
    LeastSquaresDiscriminatorLoss,
    LeastSquaresGeneratorLoss,
    least_squares_discriminator_loss,
)
from lit_improved_gan.types import DiscriminatorOutput


def output(logits: torch.Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(logits, {})


def check() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=7) * 2, rng.normal(size=5) * 2
    r, f = (torch.tensor(x, requires_grad=True) for x in (real, fake))
    loss = losses.least_squares_discriminator_loss(r, f)
    np.testing.assert_allclose(loss.item(), reference.discriminator_least_squares(real, fake), rtol=1e-10)
    for found, expected in zip(
        torch.autograd.grad(loss, (r, f)), reference.discriminator_least_squares_grad(real, fake), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert losses.least_squares_discriminator_loss(r.float(), f.float()).item() == pytest.approx(loss.item(), rel=1e-5)
    for alpha in (1.0, 0.9, 0.3):
        whole = LeastSquaresDiscriminatorLoss(alpha)(output(r[:, None]), output(f[:, None]))
        # s - alpha = (s + 1 - alpha) - 1
        smoothed = reference.discriminator_least_squares(real + 1 - alpha, fake)
        np.testing.assert_allclose(whole.item(), smoothed, rtol=1e-10)


def check_generator() -> None:
    fake = np.random.default_rng(1).normal(size=6) * 2
    f = torch.tensor(fake[:, None], requires_grad=True)
    loss = LeastSquaresGeneratorLoss()(output(f))
    np.testing.assert_allclose(loss.item(), reference.generator_least_squares(fake), rtol=1e-10)
    (gradient,) = torch.autograd.grad(loss, f)
    np.testing.assert_allclose(gradient[:, 0], reference.generator_least_squares_grad(fake), rtol=1e-10)
    assert LeastSquaresGeneratorLoss()(output(f.float())).item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("check", [check, check_generator])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (least_squares_discriminator_loss, check, "real - real_target", "real + real_target"),
        (least_squares_discriminator_loss, check, ".mean() + fake", ".mean() - fake"),
        (least_squares_discriminator_loss, check, "return (real", "return 0.5 * (real"),
        (least_squares_discriminator_loss, check, "fake.square().mean()", "fake.square().sum()"),
        (least_squares_discriminator_loss, check, "fake.square().mean()", "fake.mean().square()"),
        (LeastSquaresDiscriminatorLoss.forward, check, "self.real_target", "1.0"),
        (LeastSquaresGeneratorLoss.forward, check_generator, "- 1", "+ 1"),
        (LeastSquaresGeneratorLoss.forward, check_generator, "return ", "return 0.5 * "),
        (LeastSquaresGeneratorLoss.forward, check_generator, "fake.logits", "fake.logits.T"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("alpha", [1.0, 0.9, 0.6])
def test_the_best_discriminator(alpha: float) -> None:
    """The minimum over s of p_data (s - alpha)^2 + p_model s^2 is s = alpha p_data / (p_data + p_model)."""
    data = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    model = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    outputs = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    loss = LeastSquaresDiscriminatorLoss(alpha)
    for _ in range(200):
        total = outputs.new_zeros(())
        for d, m, s in zip(data, model, outputs, strict=True):
            here, constant = output(s.view(1, 1)), output(s.detach().view(1, 1))
            total = total + d * loss(here, constant) + m * loss(constant, here)
        (gradient,) = torch.autograd.grad(total, outputs)
        with torch.no_grad():
            outputs -= 0.5 * gradient
    torch.testing.assert_close(outputs.detach(), alpha * data / (data + model), atol=1e-8, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_logits_give_finite_values_and_gradients(dtype) -> None:
    logits = torch.tensor([[1e4], [-1e4], [0.0]], dtype=dtype, requires_grad=True)
    discriminator, generator = LeastSquaresDiscriminatorLoss(), LeastSquaresGeneratorLoss()
    for loss in (discriminator(output(logits), output(logits)), generator(output(logits))):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, float("nan")])
def test_targets_out_of_range_are_refused(target: float) -> None:
    with pytest.raises(ValueError, match="`real_target` of LeastSquaresDiscriminatorLoss"):
        LeastSquaresDiscriminatorLoss(target)
