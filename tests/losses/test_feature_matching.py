"""Feature matching against the transcription, and what it promises."""

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant

from lit_improved_gan.losses import FeatureMatchingLoss, feature_matching
from lit_improved_gan.types import DiscriminatorOutput

RNG = np.random.default_rng(0)


def check() -> None:
    real, fake = RNG.normal(size=(7, 4)), RNG.normal(size=(5, 4)) + 1
    r, f = torch.tensor(real), torch.tensor(fake, requires_grad=True)
    loss = feature_matching(r, f)
    loss.backward()
    np.testing.assert_allclose(loss.item(), reference.feature_matching_mean_squared(real, fake), rtol=1e-10)
    np.testing.assert_allclose(f.grad, reference.feature_matching_mean_squared_grad(real, fake), rtol=1e-10)
    np.testing.assert_allclose(4 * loss.item(), reference.feature_matching_paper(real, fake), rtol=1e-10)
    assert feature_matching(r.float(), f.detach().float()).item() == pytest.approx(loss.item(), rel=1e-5)


def test_against_the_transcription() -> None:
    check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("real.mean(0) - fake.mean(0)", "real.mean(0) + fake.mean(0)"),
        (".square().mean()", ".square().sum()"),
        ("real.mean(0) - fake.mean(0)", "real.mean(1)[:4] - fake.mean(1)[:4]"),
    ],
)
def test_planted_errors_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, feature_matching, old, new)
    with pytest.raises(AssertionError):
        check()


def test_two_batches_of_one_distribution_match_and_collapse_is_not_rewarded() -> None:
    """The mean of per-sample differences would be about 2 on the first and smaller on the collapsed second."""
    generator = torch.Generator().manual_seed(0)
    real, same = (torch.randn(20_000, 16, generator=generator) for _ in range(2))
    assert feature_matching(real, same) < 1e-3
    collapsed = torch.randn(1, 16, generator=generator).expand(20_000, 16)
    assert feature_matching(real, collapsed) > 0.1


def test_no_gradient_reaches_the_real_features() -> None:
    real, fake = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    FeatureMatchingLoss()(DiscriminatorOutput(fake, {"f": fake}), DiscriminatorOutput(real, {"f": real})).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_layers_are_chosen_by_name_the_last_by_default() -> None:
    first, last = torch.randn(4, 3), torch.randn(4, 2, 5, 5)
    fake = DiscriminatorOutput(first, {"first": first, "last": last})
    real = DiscriminatorOutput(first, {"first": first + 1, "last": last + 2})
    assert FeatureMatchingLoss()(fake, real).item() == pytest.approx(4, rel=1e-5)
    assert FeatureMatchingLoss("first")(fake, real).item() == pytest.approx(1, rel=1e-5)
    with pytest.raises(ValueError, match=r"`layer`.*'first', 'last'.*'nope'"):
        FeatureMatchingLoss("nope")(fake, real)
    with pytest.raises(ValueError, match="real"):
        FeatureMatchingLoss()(fake)
    with pytest.raises(ValueError, match="features"):
        FeatureMatchingLoss()(DiscriminatorOutput(first, {}), DiscriminatorOutput(first, {}))


def test_statistics_are_taken_in_single_precision() -> None:
    real, fake = (torch.randn(64, 8) + 100 for _ in range(2))
    low = feature_matching(real.bfloat16(), fake.bfloat16())
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(feature_matching(real.bfloat16().float(), fake.bfloat16().float()).item())


def test_features_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`real` and `fake`.*\(4, 3\).*\(4, 2\)"):
        feature_matching(torch.zeros(4, 3), torch.zeros(4, 2))
