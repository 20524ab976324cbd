"""The semi-supervised loss against the transcription, and what it promises."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant
from helpers.references import semi_supervised as transcription

from lit_improved_gan import losses
from lit_improved_gan.losses import SemiSupervisedLoss, implicit_logits
from lit_improved_gan.types import DiscriminatorOutput

RNG = np.random.default_rng(0)


def check() -> None:
    labelled, unlabelled, fake = (RNG.normal(size=(n, 10)) * 2 for n in (6, 8, 7))
    labels = RNG.integers(0, 10, size=6)
    for weight, alpha in [(1.0, 1.0), (4.0, 1.0), (0.5, 0.9)]:
        inputs = [torch.tensor(x, requires_grad=True) for x in (labelled, unlabelled, fake)]
        loss = SemiSupervisedLoss(weight, alpha)
        terms = loss(inputs[0], torch.tensor(labels), inputs[1], inputs[2])
        terms.total.backward()
        expected = reference.semi_supervised(labelled, labels, unlabelled, fake, weight, alpha)
        np.testing.assert_allclose([term.item() for term in terms], expected, rtol=1e-10)
        gradients = reference.semi_supervised_grad(labelled, labels, unlabelled, fake, weight, alpha)
        for tensor, gradient in zip(inputs, gradients, strict=True):
            np.testing.assert_allclose(tensor.grad, gradient, rtol=1e-10, atol=1e-14)
        single = loss(*(torch.tensor(x).float() if x.ndim == 2 else torch.tensor(x)
                        for x in (labelled, labels, unlabelled, fake)))  # fmt: skip
        assert single.total.item() == pytest.approx(terms.total.item(), rel=1e-5)


def check_explicit() -> None:
    """K+1 logits in all three places, from the probabilities of their softmax."""
    labelled, unlabelled, fake = (RNG.normal(size=(n, 5)) * 2 for n in (5, 7, 4))
    labels = RNG.integers(0, 4, size=5)
    for weight, alpha in [(1.0, 1.0), (2.0, 1.0), (0.5, 0.9)]:
        inputs = [torch.tensor(x, requires_grad=True) for x in (labelled, unlabelled, fake)]
        on_labelled, on_unlabelled, on_fake = map(losses.implicit_logits, inputs)
        loss = SemiSupervisedLoss(weight, alpha)(on_labelled, torch.tensor(labels), on_unlabelled, on_fake).total
        expected = transcription.loss_explicit(labelled, labels, unlabelled, fake, weight, alpha)
        np.testing.assert_allclose(loss.item(), expected, rtol=1e-10)
        gradients = transcription.loss_explicit_grad(labelled, labels, unlabelled, fake, weight, alpha)
        for found, gradient in zip(torch.autograd.grad(loss, inputs), gradients, strict=True):
            np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("check", [check, check_explicit])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("supervised + self.unlabelled_weight", "supervised - self.unlabelled_weight"),
        ("0.5 * discriminator_loss", "discriminator_loss"),
        ("F.cross_entropy(labelled_logits, labels)", "F.cross_entropy(labelled_logits.T[:6], labels % 6)"),
        ("real_logit(unlabelled_logits)", "real_logit(labelled_logits)"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, SemiSupervisedLoss.forward, old, new)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (":-1] - logits", ":-1] + logits"),
        (":-1] - logits", ":-1] - 2 * logits"),
        ("logits[:, :-1] - logits[:, -1:]", "logits[:, :-1] - logits.T[:1, -1:]"),
        ("logits[:, :-1] - logits[:, -1:]", "logits[:, 1:] - logits[:, :1]"),
    ],
)
def test_errors_planted_in_the_explicit_form_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, implicit_logits, old, new)
    with pytest.raises(AssertionError):
        check_explicit()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("last", [1e4, -1e4])
def test_extreme_explicit_logits_give_the_right_finite_values(last: float, dtype: torch.dtype) -> None:
    values = np.full((4, 11), -last)
    values[:, 0], values[:, -1] = 0.5 * last, last
    labels = np.arange(4)
    logits = torch.tensor(values, dtype=dtype, requires_grad=True)
    k = implicit_logits(logits)
    total = SemiSupervisedLoss(real_target=0.9)(k, torch.tensor(labels), k, k).total
    expected = transcription.loss_explicit(values, labels, values, values, alpha=0.9)
    assert total.item() == pytest.approx(expected, rel=1e-6)
    (gradient,) = torch.autograd.grad(total, logits)
    expected = sum(transcription.loss_explicit_grad(values, labels, values, values, alpha=0.9))
    # log sum exp of 2e4 is 1e-3 coarse in single precision
    np.testing.assert_allclose(gradient, expected, atol=1e-4 if dtype == torch.float32 else 1e-12)


def test_explicit_logits_say_the_same_as_their_differences() -> None:
    logits = torch.randn(6, 5, dtype=torch.float64)
    torch.testing.assert_close(implicit_logits(logits + 3), implicit_logits(logits))
    k = implicit_logits(logits)
    torch.testing.assert_close(losses.real_logit(k).sigmoid(), 1 - logits.softmax(1)[:, -1])
    torch.testing.assert_close(k.softmax(1), logits[:, :-1].softmax(1))
    assert implicit_logits(torch.zeros(0, 3)).shape == (0, 2)
    for shape in [(4, 1), (4,), (4, 3, 2)]:
        with pytest.raises(ValueError, match=r"`logits` of implicit_logits.*\(N, K \+ 1\)"):
            implicit_logits(torch.zeros(shape))


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extreme_logits_give_finite_values_and_gradients(scale: float) -> None:
    logits = torch.full((4, 10), scale)
    logits[:, 0] = -scale
    logits.requires_grad_()
    total = SemiSupervisedLoss(real_target=0.9)(logits, torch.arange(4), logits, logits).total
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


def test_it_is_the_explicit_classifier_with_one_more_class() -> None:
    """Adding the fixed logit 0 as class K and using K+1-way cross-entropy gives the same terms."""
    torch.manual_seed(0)
    unlabelled, fake = torch.randn(5, 10).double(), torch.randn(5, 10).double()
    unsupervised = SemiSupervisedLoss()(unlabelled, torch.zeros(5).long(), unlabelled, fake).unsupervised
    explicit = [torch.cat([x, torch.zeros(5, 1)], 1).softmax(1)[:, -1] for x in (unlabelled, fake)]
    torch.testing.assert_close(unsupervised, -0.5 * (1 - explicit[0]).log().mean() - 0.5 * explicit[1].log().mean())


def test_label_smoothing_leaves_the_supervised_term_alone() -> None:
    logits = torch.randn(6, 10)
    plain, smoothed = (SemiSupervisedLoss(real_target=a)(logits, torch.arange(6), logits, logits) for a in (1.0, 0.8))
    assert torch.equal(plain.supervised, smoothed.supervised)
    assert not torch.equal(plain.unsupervised, smoothed.unsupervised)


@pytest.mark.parametrize(("name", "value"), [("unlabelled_weight", -1.0), ("real_target", 0.0), ("real_target", 1.5)])
def test_values_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}`.*{value}"):
        SemiSupervisedLoss(**{name: value})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labelled_logits": torch.zeros(0, 4), "labels": torch.zeros(0).long()}, ["`labelled_logits`", "(0, 4)"]),
        ({"labelled_logits": torch.zeros(3)}, ["`labelled_logits`", "logits (N, K), N >= 1. Found (3,)"]),
        ({"labels": torch.zeros(2).long()}, ["`labels`", "(3,). Found (2,)"]),
        ({"unlabelled_logits": torch.zeros(5, 3)}, ["`unlabelled_logits`", "logits (N, 4), N >= 1. Found (5, 3)"]),
        ({"fake_logits": DiscriminatorOutput(torch.zeros(5, 4), {})}, ["`fake_logits`", "DiscriminatorOutput"]),
    ],
)
def test_what_are_no_logits_is_refused(changed: dict[str, Any], words: list[str]) -> None:
    given = {
        "labelled_logits": torch.zeros(3, 4),
        "labels": torch.zeros(3).long(),
        "unlabelled_logits": torch.zeros(5, 4),
        "fake_logits": torch.zeros(6, 4),
    }
    SemiSupervisedLoss()(**given)
    with pytest.raises(ValueError, match="of SemiSupervisedLoss should be") as error:
        SemiSupervisedLoss()(**{**given, **changed})
    for word in words:
        assert word in str(error.value)
