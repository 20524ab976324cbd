"""The adversarial losses against the transcription, and what they promise."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant

from lit_improved_gan.losses import (
    AdversarialLoss,
    DivergenceDiscriminatorLoss,
    DivergenceGeneratorLoss,
    HingeDiscriminatorLoss,
    HingeGeneratorLoss,
    LeastSquaresDiscriminatorLoss,
    LeastSquaresGeneratorLoss,
    MinimaxLoss,
    NonSaturatingLoss,
    discriminator_loss,
    real_logit,
)
from lit_improved_gan.types import DiscriminatorOutput

RNG = np.random.default_rng(0)


def output(logits: torch.Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(logits, {})


def check_discriminator_loss() -> None:
    real, fake = RNG.normal(size=7) * 3, RNG.normal(size=5) * 3
    for alpha in (1.0, 0.9, 0.5):
        r, f = (torch.tensor(x, requires_grad=True) for x in (real, fake))
        loss = discriminator_loss(r, f, alpha)
        loss.backward()
        d_real, d_fake = reference.discriminator_cross_entropy_grad(real, fake, alpha)
        np.testing.assert_allclose(loss.item(), reference.discriminator_cross_entropy(real, fake, alpha), rtol=1e-10)
        np.testing.assert_allclose(r.grad, d_real, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(f.grad, d_fake, rtol=1e-10, atol=1e-14)
        single = discriminator_loss(torch.tensor(real).float(), torch.tensor(fake).float(), alpha)
        assert single.item() == pytest.approx(loss.item(), rel=1e-5)


def check_real_logit() -> None:
    logits = RNG.normal(size=(6, 10)) * 4
    np.testing.assert_allclose(real_logit(torch.tensor(logits)), reference.implicit_real_logit(logits), rtol=1e-12)


def check_generator(loss, value, gradient) -> None:
    fake = RNG.normal(size=9) * 3
    logits = torch.tensor(fake[:, None], requires_grad=True)
    result = loss(output(logits))
    result.backward()
    np.testing.assert_allclose(result.item(), value(fake), rtol=1e-10)
    np.testing.assert_allclose(logits.grad[:, 0], gradient(fake), rtol=1e-10, atol=1e-14)
    assert loss(output(logits.float())).item() == pytest.approx(result.item(), rel=1e-5)


def check_non_saturating() -> None:
    check_generator(NonSaturatingLoss(), reference.non_saturating, reference.non_saturating_grad)


def check_minimax() -> None:
    check_generator(MinimaxLoss(), reference.minimax, reference.minimax_grad)


def check_module() -> None:
    real, fake = RNG.normal(size=7) * 3, RNG.normal(size=5) * 3
    for arguments, alpha in [((), 1.0), ((0.9,), 0.9)]:
        loss = AdversarialLoss(*arguments)(output(torch.tensor(real)[:, None]), output(torch.tensor(fake)[:, None]))
        np.testing.assert_allclose(loss.item(), reference.discriminator_cross_entropy(real, fake, alpha), rtol=1e-10)


@pytest.mark.parametrize(
    "check", [check_discriminator_loss, check_real_logit, check_non_saturating, check_minimax, check_module]
)
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (discriminator_loss, check_discriminator_loss, "F.softplus(-real)", "F.softplus(real)"),
        (discriminator_loss, check_discriminator_loss, "(1 - real_target)", "(real_target - 1)"),
        (discriminator_loss, check_discriminator_loss, "on_real + F.softplus(fake)", "on_real + 2 * F.softplus(fake)"),
        (discriminator_loss, check_discriminator_loss, "real.mean()", "real.sum()"),
        (real_logit, check_real_logit, "torch.logsumexp(logits, 1)", "torch.logsumexp(logits, 0)"),
        (real_logit, check_real_logit, "torch.logsumexp(logits, 1)", "-torch.logsumexp(logits, 1)"),
        (real_logit, check_real_logit, "torch.logsumexp(logits, 1)", "torch.logsumexp(2 * logits, 1)"),
        (NonSaturatingLoss.forward, check_non_saturating, "-real_logit", "real_logit"),
        (NonSaturatingLoss.forward, check_non_saturating, ".mean()", ".mean() / 2"),
        (NonSaturatingLoss.forward, check_non_saturating, "fake.logits", "fake.logits.T"),
        (MinimaxLoss.forward, check_minimax, "-F.softplus", "F.softplus"),
        (MinimaxLoss.forward, check_minimax, ".mean()", ".sum()"),
        (MinimaxLoss.forward, check_minimax, "fake.logits", "fake.logits.T"),
        (AdversarialLoss.forward, check_module, "real_logit(real.logits), real_logit(fake.logits)",
         "real_logit(fake.logits), real_logit(real.logits)"),
        (AdversarialLoss.forward, check_module, "self.real_target", "1.0"),
        (AdversarialLoss.forward, check_module, "real.logits", "real.logits.T"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("alpha", [1.0, 0.9, 0.6])
def test_the_best_discriminator_is_the_papers(alpha: float) -> None:
    """Minimised over D(x) for given densities: alpha p_data / (p_data + p_model), one-sided."""
    data = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    model = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-13, tolerance_change=1e-16)

    def closure():
        optimizer.zero_grad()
        terms = [
            d * discriminator_loss(s[None], s[None].detach(), alpha) + m * discriminator_loss(s[None].detach(), s[None])
            for d, m, s in zip(data, model, logits, strict=True)
        ]
        loss = torch.stack(terms).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(logits.sigmoid().detach(), alpha * data / (data + model), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_logits_give_finite_values_and_gradients(dtype) -> None:
    logits = torch.tensor([[1e4], [-1e4], [0.0]], dtype=dtype, requires_grad=True)
    for loss in (AdversarialLoss(0.9)(output(logits), output(logits)), NonSaturatingLoss()(output(logits))):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


def test_a_single_logit_is_taken_as_it_is() -> None:
    logits = torch.randn(4, 1)
    assert torch.equal(real_logit(logits), logits[:, 0])
    torch.testing.assert_close(real_logit(logits), logits.logsumexp(1))


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, float("nan")])
def test_targets_out_of_range_are_refused(target: float) -> None:
    with pytest.raises(ValueError, match="real_target"):
        AdversarialLoss(target)
    with pytest.raises(ValueError, match="`real_target` of discriminator_loss"):
        discriminator_loss(torch.zeros(2), torch.zeros(2), target)


@pytest.mark.parametrize(
    "loss",
    [
        AdversarialLoss(0.8),
        DivergenceDiscriminatorLoss(0.8),
        HingeDiscriminatorLoss(),
        LeastSquaresDiscriminatorLoss(0.8),
        NonSaturatingLoss(),
        MinimaxLoss(),
        DivergenceGeneratorLoss(0.4),
        HingeGeneratorLoss(),
        LeastSquaresGeneratorLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_losses_copy_and_pickle_and_keep_double_precision(loss) -> None:
    one, other = (output(x) for x in torch.randn(2, 5, 3, dtype=torch.float64).unbind())
    value = loss(one, other)
    assert value.dtype == torch.float64
    assert value.shape == ()
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(again(one, other), value)
