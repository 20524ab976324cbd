"""The hinge loss against the transcription."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import adversarial as reference

from lit_improved_gan import losses
from lit_improved_gan.losses import HingeDiscriminatorLoss, HingeGeneratorLoss, hinge_discriminator_loss
from lit_improved_gan.types import DiscriminatorOutput


def output(logits: torch.Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(logits, {})


def check() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=7) * 2, rng.normal(size=5) * 2
    r, f = (torch.tensor(x, requires_grad=True) for x in (real, fake))
    loss = losses.hinge_discriminator_loss(r, f)
    np.testing.assert_allclose(loss.item(), reference.discriminator_hinge(real, fake), rtol=1e-10)
    for found, expected in zip(
        torch.autograd.grad(loss, (r, f)), reference.discriminator_hinge_grad(real, fake), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert losses.hinge_discriminator_loss(r.float(), f.float()).item() == pytest.approx(loss.item(), rel=1e-5)
    whole = HingeDiscriminatorLoss()(output(r[:, None]), output(f[:, None]))
    np.testing.assert_allclose(whole.item(), loss.item(), rtol=1e-12)


def check_generator() -> None:
    fake = np.random.default_rng(1).normal(size=6) * 2
    f = torch.tensor(fake[:, None], requires_grad=True)
    loss = HingeGeneratorLoss()(output(f))
    np.testing.assert_allclose(loss.item(), reference.generator_hinge(fake), rtol=1e-10)
    np.testing.assert_allclose(torch.autograd.grad(loss, f)[0][:, 0], reference.generator_hinge_grad(fake), rtol=1e-10)
    assert HingeGeneratorLoss()(output(f.float())).item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("check", [check, check_generator])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (hinge_discriminator_loss, check, "1 - real", "1 + real"),
        (hinge_discriminator_loss, check, "1 + fake", "1 - fake"),
        (hinge_discriminator_loss, check, "1 + fake", "2 + fake"),
        (hinge_discriminator_loss, check, "+ F.relu", "+ 0.5 * F.relu"),
        (hinge_discriminator_loss, check, ".mean() +", ".sum(0) +"),
        (HingeDiscriminatorLoss.forward, check, "fake.logits", "fake.logits.T[:, :1]"),
        (HingeGeneratorLoss.forward, check_generator, "-real_logit", "real_logit"),
        (HingeGeneratorLoss.forward, check_generator, "-real_logit", "-0.5 * real_logit"),
        (HingeGeneratorLoss.forward, check_generator, "real_logit(fake.logits)", "real_logit(fake.logits.T)"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_logits_give_finite_values_and_gradients(dtype) -> None:
    logits = torch.tensor([[1e4], [-1e4], [0.0]], dtype=dtype, requires_grad=True)
    for loss in (HingeDiscriminatorLoss()(output(logits), output(logits)), HingeGeneratorLoss()(output(logits))):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


def test_logits_of_classes_are_taken_for_their_logit_of_real() -> None:
    many = torch.randn(6, 10).double()
    one = torch.logsumexp(many, 1, keepdim=True)
    for loss in (HingeGeneratorLoss(), lambda x: HingeDiscriminatorLoss()(x, x)):
        torch.testing.assert_close(loss(output(many)), loss(output(one)), rtol=1e-12, atol=1e-12)
