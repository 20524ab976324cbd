"""The semi-supervised loss against the transcription, and what it promises."""

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant

from lit_improved_gan.losses import SemiSupervisedLoss

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


def test_against_the_transcription() -> None:
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
