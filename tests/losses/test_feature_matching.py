"""Feature matching against the transcription, and what it promises."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import feature_matching as reference
from torch import Tensor

from lit_improved_gan import losses
from lit_improved_gan.losses import FeatureMatchingLoss, MMDLoss, maximum_mean_discrepancy
from lit_improved_gan.types import DiscriminatorOutput

STATISTICS = {"mean": "batch_mean", "mean_variance": "batch_mean_variance", "covariance": "batch_covariance"}
DISTANCES = {"squared": "squared_distance", "l2": "l2_distance", "l1": "l1_distance"}
# the first: a wrong axis is no error of shapes
SHAPES = [((4, 4), (4, 4)), ((7, 4), (5, 4)), ((6, 1), (3, 1)), ((6, 3, 2, 2), (9, 3, 2, 2))]
BANDWIDTHS = (0.5, 1.0, 3.0)


def assert_near(found: Tensor, expected: np.ndarray | float, tolerance: float = 1e-10) -> None:
    difference = np.abs(found.detach().double().numpy() - expected)
    assert found.shape == np.shape(expected)
    assert difference.max() <= tolerance * max(np.abs(expected).max(), 1e-300), difference.max()


def draw(real: tuple[int, ...], fake: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=real), 0.8 * rng.normal(size=fake) + rng.normal(size=fake[1:])


def check(statistic: str, distance: str) -> None:
    functions = getattr(losses, STATISTICS[statistic]), getattr(losses, DISTANCES[distance])  # as they are now
    for shapes in SHAPES:
        real, fake = draw(*shapes)
        r, f = torch.tensor(real), torch.tensor(fake, requires_grad=True)
        loss = losses.feature_matching(r, f, *functions)
        expected = reference.loss(real, fake, statistic, distance)
        assert_near(loss, expected)
        assert_near(torch.autograd.grad(loss, f)[0], reference.loss_grad(real, fake, statistic, distance))
        assert_near(losses.feature_matching(r.float(), f.float(), *functions), expected, 1e-5)


def check_mean() -> None:
    """The default is the released MNIST script's; F times it is the paper's."""
    for shapes in SHAPES:
        real, fake = draw(*shapes)
        found = losses.feature_matching(torch.tensor(real), torch.tensor(fake))
        assert_near(found, reference.loss(real, fake, "mean", "squared"))
        assert_near(found * real[0].size, reference.loss(real, fake, "mean", "squared_sum"))


def check_discrepancy() -> None:
    for shapes in SHAPES:
        real, fake = draw(*shapes)
        r, f = torch.tensor(real), torch.tensor(fake, requires_grad=True)
        loss = losses.maximum_mean_discrepancy(r, f, BANDWIDTHS)
        expected = reference.mmd(real, fake, BANDWIDTHS)
        assert_near(loss, expected)
        assert_near(torch.autograd.grad(loss, f)[0], reference.mmd_grad(real, fake, BANDWIDTHS))
        assert_near(losses.maximum_mean_discrepancy(r.float(), f.float(), BANDWIDTHS), expected, 1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_against_the_transcription(statistic: str, distance: str) -> None:
    check(statistic, distance)


@pytest.mark.parametrize("check", [check_mean, check_discrepancy])
def test_the_paper_and_the_discrepancy_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "statistic", "distance", "old", "new"),
    [
        ("feature_matching", "mean", "squared", "statistic(fake))", "-statistic(fake))"),
        ("feature_matching", "mean", "l1", "return distance", "return 2 * distance"),
        ("feature_matching", "covariance", "l1", "statistic(real), ", "statistic(real.T)[:4, :4], "),
        ("feature_matching", "mean", "squared", "statistic(real), statistic(fake)", "real, fake"),  # the usual trap
        ("batch_mean", "mean", "squared", "features.mean(0)", "-features.mean(0).abs()"),
        ("batch_mean", "mean", "squared", "features.mean(0)", "features.sum(0)"),
        ("batch_mean", "mean", "squared", "features.mean(0)", "features.T.flatten()[: features.shape[1]]"),
        ("batch_mean_variance", "mean_variance", "squared", "features - mean", "features + mean"),
        ("batch_mean_variance", "mean_variance", "l1", "square().mean(0)", "square().mean(0) * 7 / 6"),
        ("batch_mean_variance", "mean_variance", "l2", "square().mean(0)", "abs().mean(0)"),
        ("batch_mean_variance", "mean_variance", "l2", "square().mean(0)", "square().mean(1)[: features.shape[1]]"),
        ("batch_covariance", "covariance", "squared", "features - batch_mean", "features + batch_mean"),
        ("batch_covariance", "covariance", "l2", "/ len(features)", "/ (len(features) - 1)"),
        ("batch_covariance", "covariance", "l1", "deviations.T @ deviations", "deviations @ deviations.T"),
        ("squared_distance", "mean_variance", "squared", "(a - b)", "(a + b)"),
        ("squared_distance", "mean", "squared", "square().mean()", "square().sum()"),
        ("squared_distance", "covariance", "squared", "(a - b)", "(a - b).sum(-1)"),
        ("l2_distance", "mean", "l2", "a - b", "a + b"),
        ("l2_distance", "mean_variance", "l2", "vector_norm(a - b)", "vector_norm(a - b) / 2"),
        ("l2_distance", "covariance", "l2", "vector_norm(a - b)", "vector_norm(a - b, dim=-1).sum()"),
        ("l1_distance", "mean", "l1", "a - b", "a + b"),
        ("l1_distance", "mean_variance", "l1", "abs().mean()", "abs().sum()"),
        ("l1_distance", "covariance", "l1", "(a - b)", "(a - b).mean(-1)"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, statistic, distance, old: str, new: str) -> None:
    plant(monkeypatch, getattr(losses, function), old, new)
    with pytest.raises(AssertionError):
        check(statistic, distance)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- 2 * kernel", "+ 2 * kernel"),
        ("- 2 * kernel", "- kernel"),
        ("-2 * sigma**2", "-sigma**2"),
        ("-2 * sigma**2", "2 * sigma**2"),
        ("bandwidths]).mean()", "bandwidths]).sum()"),
        ("b.square().sum(1)", "b.square().mean(1)"),
        ("a.square().sum(1, keepdim=True)", "a.square().sum(0, keepdim=True).mean()"),
        ("kernel(real, real)", "kernel(real, real.roll(1, 1))"),
    ],
)
def test_errors_planted_in_the_discrepancy_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, maximum_mean_discrepancy, old, new)
    with pytest.raises(AssertionError):
        check_discrepancy()


def comparisons() -> dict[str, FeatureMatchingLoss | MMDLoss]:
    matching = {
        f"{statistic}, {distance}": FeatureMatchingLoss(None, getattr(losses, s), getattr(losses, d))
        for statistic, s in STATISTICS.items()
        for distance, d in DISTANCES.items()
    }
    return {**matching, "discrepancy": MMDLoss()}


@pytest.mark.parametrize("name", comparisons())
def test_two_batches_of_one_distribution_match_and_collapse_is_not_rewarded(name: str) -> None:
    """A mean of per-sample differences would be about 2 on the first, and smaller on constant features."""
    loss = comparisons()[name]
    generator = torch.Generator().manual_seed(0)
    real, same = (torch.randn(2_000, 8, generator=generator) for _ in range(2))
    matched = loss.compare(real, same)
    assert matched < (0.4 if name.endswith("l2") else 0.05 if name.endswith("l1") else 0.01)
    somewhere = torch.randn(1, 8, generator=generator).expand(2_000, 8)
    assert loss.compare(real, somewhere) > 3 * matched
    if not name.startswith("mean,"):  # constant features in the very middle have the right mean, and nothing else
        middle = real.mean(0, keepdim=True).expand(2_000, 8)
        assert loss.compare(real, middle) > 3 * matched
    assert reference.per_sample_difference(real.double().numpy(), same.double().numpy()) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("name", comparisons())
def test_equal_batches_are_at_a_minimum_with_finite_gradients(name: str) -> None:
    real = torch.randn(5, 3)
    fake = real.clone().requires_grad_()
    loss = comparisons()[name].compare(real, fake)
    (gradient,) = torch.autograd.grad(loss, fake)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(gradient).all()
    if "l1" not in name:
        assert gradient.abs().max() < 1e-6
    collapsed = torch.zeros(5, 3, requires_grad=True)  # a variance of zero on both sides
    (gradient,) = torch.autograd.grad(comparisons()[name].compare(torch.zeros(5, 3), collapsed), collapsed)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", comparisons())
def test_the_order_of_the_examples_does_not_matter_and_one_is_enough(name: str) -> None:
    loss = comparisons()[name]
    real, fake = torch.randn(6, 4).double(), torch.randn(5, 4).double()
    expected = loss.compare(real, fake)
    torch.testing.assert_close(loss.compare(real.flip(0), fake[torch.randperm(5)]), expected, rtol=1e-12, atol=1e-12)
    assert torch.isfinite(loss.compare(real[:1], fake[:1]))


@pytest.mark.parametrize("loss", [FeatureMatchingLoss(), MMDLoss()])
def test_no_gradient_reaches_the_real_features(loss) -> None:
    real, fake = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    loss(DiscriminatorOutput(fake, {"f": fake}), DiscriminatorOutput(real, {"f": real})).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def outputs() -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    first, last = torch.randn(4, 3), torch.randn(4, 2, 5, 5)
    fake = DiscriminatorOutput(first, {"first": first, "last": last})
    return fake, DiscriminatorOutput(first, {"first": first + 1, "last": last + 2})


def test_layers_are_chosen_by_name_the_last_by_default() -> None:
    fake, real = outputs()
    for layers, expected in [
        (None, 4), ("first", 1), (["first"], 1), (("first", "last"), 5), ({"first": 3, "last": 0.5}, 5),
        ({"last": 0}, 0),
    ]:  # fmt: skip
        assert FeatureMatchingLoss(layers)(fake, real).item() == pytest.approx(expected, rel=1e-5)
    double = FeatureMatchingLoss({"first": 2.0, "last": 1.0}, distance=losses.l1_distance)
    assert double(fake, real).item() == pytest.approx(2 * 1 + 2, rel=1e-5)
    parts = [MMDLoss(name)(fake, real) for name in ("first", "last")]
    assert MMDLoss({"first": 2.0, "last": 0.5})(fake, real).item() == pytest.approx(float(2 * parts[0] + parts[1] / 2))


def test_statistics_and_distances_of_ones_own() -> None:
    fake, real = outputs()
    loss = FeatureMatchingLoss("first", lambda f: f.amax(0), lambda a, b: (a - b).abs().max())
    assert loss(fake, real).item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("kind", [FeatureMatchingLoss, MMDLoss])
def test_wrong_layers_are_refused(kind) -> None:
    fake, real = outputs()
    with pytest.raises(ValueError, match=rf"`layers` of {kind.__name__}.*'first', 'last'.*'nope'"):
        kind(["first", "nope"])(fake, real)
    with pytest.raises(ValueError, match=rf"{kind.__name__}.*real"):
        kind()(fake)
    for layers in ([], {}, {"first": -1.0}, {"first": float("nan")}):
        with pytest.raises(ValueError, match=f"`layers` of {kind.__name__}"):
            kind(layers)
    bare = DiscriminatorOutput(torch.zeros(4, 1), {})
    with pytest.raises(ValueError, match="TappedDiscriminator"):
        kind()(bare, bare)
    with pytest.raises(ValueError, match="TappedDiscriminator"):
        kind()(torch.zeros(4, 1), torch.zeros(4, 1))


@pytest.mark.parametrize("bandwidths", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
def test_wrong_bandwidths_are_refused(bandwidths: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="`bandwidths` of MMDLoss"):
        MMDLoss(bandwidths=bandwidths)


@pytest.mark.parametrize("name", comparisons())
def test_features_that_cannot_be_compared_are_refused(name: str) -> None:
    compare = comparisons()[name].compare
    for real, fake in [((4, 3), (4, 2)), ((4, 3), (4, 3, 1)), ((0, 3), (4, 3)), ((4, 3), (0, 3))]:
        with pytest.raises(ValueError, match=r"`real` and `fake`") as error:
            compare(torch.zeros(real), torch.zeros(fake))
        assert str(real) in str(error.value)
        assert str(fake) in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", comparisons())
def test_half_precision_is_compared_in_single(name: str, dtype: torch.dtype) -> None:
    compare = comparisons()[name].compare
    real, fake = torch.randn(64, 8).to(dtype), (torch.randn(64, 8) + 1).to(dtype).requires_grad_()
    low = compare(real, fake)
    assert low.dtype == torch.float32
    assert torch.equal(low, compare(real.float(), fake.float()))
    assert torch.autograd.grad(low, fake)[0].dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(low, compare(real.float(), fake.float()))
    assert torch.isfinite(compare(real + 100, 400 * fake))  # squares and sums beyond the range of float16
    assert compare(real.double(), fake.double()).dtype == torch.float64


@pytest.mark.parametrize("loss", [FeatureMatchingLoss({"f": 0.5}, losses.batch_covariance, losses.l2_distance),
                                  MMDLoss(["f"], (1.0, 2.0))])  # fmt: skip
def test_losses_copy_and_pickle(loss) -> None:
    fake, real = (DiscriminatorOutput(x, {"f": x}) for x in torch.randn(2, 5, 3).unbind())
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(again(fake, real), loss(fake, real))
    assert not list(loss.state_dict())


def test_the_discrepancy_does_not_cancel_far_from_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(50, 16, generator=generator) + 1000 for _ in range(2))
    exact = maximum_mean_discrepancy(real.double(), fake.double(), (1.0, 4.0))
    assert maximum_mean_discrepancy(real, fake, (1.0, 4.0)).item() == pytest.approx(exact.item(), rel=1e-3)
    assert maximum_mean_discrepancy(real, fake.double(), (1.0, 4.0)).dtype == torch.float64
    for empty in (torch.zeros(4), torch.zeros(4, 0), torch.zeros(0, 4)):
        with pytest.raises(ValueError, match="not empty"):
            losses.feature_matching(empty, empty)


def test_losses_of_half_precision_are_taken_in_float32() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(64).bfloat16(), torch.randn(64).bfloat16()
    for loss in (losses.discriminator_loss, losses.hinge_discriminator_loss, losses.least_squares_discriminator_loss):
        assert torch.equal(loss(real, fake), loss(real.float(), fake.float()))
    assert torch.equal(losses.target_divergence(real, 0.75), losses.target_divergence(real.float(), 0.75))
    logits = torch.randn(64, 10).bfloat16()
    assert torch.equal(losses.real_logit(logits), losses.real_logit(logits.float()))
