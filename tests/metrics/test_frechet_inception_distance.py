"""The Fréchet distance of given features against SciPy, closed forms, and its properties."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import frechet_distance as reference
from helpers.summed import summed
from torch import Tensor

from lit_improved_gan.metrics import FrechetInceptionDistance, frechet_distance
from lit_improved_gan.metrics.frechet_inception_distance import _factor


def samples(n: int, d: int, seed: int, noise: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ (np.eye(d) + noise * 0.3 * rng.normal(size=(d, d))) + rng.normal(size=d)


def distance(real: np.ndarray, generated: np.ndarray) -> float:
    metric = FrechetInceptionDistance(num_features=real.shape[1])
    metric.update(torch.tensor(real), real=True)
    metric.update(torch.tensor(generated))
    found = metric.compute()
    assert list(found) == ["fid"]
    assert found["fid"].dtype == torch.float64
    return found["fid"].item()


def check() -> None:
    for n, m, d in [(60, 45, 6), (400, 33, 3), (50, 50, 1)]:
        real, generated = samples(n, d, 0), samples(m, d, 1)
        assert distance(real, generated) == pytest.approx(reference.frechet_distance(real, generated), rel=1e-10)


def test_against_scipy() -> None:
    check()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (frechet_distance, "- 2 * trace", "+ 2 * trace"),
        (frechet_distance, "- 2 * trace", "- trace"),
        (frechet_distance, "mean1 - mean2", "mean1 + mean2"),
        (frechet_distance, ".square().sum()", ".square().mean()"),
        (frechet_distance, ".square().sum()", ".square().sum().sqrt()"),
        (frechet_distance, "cov1.trace()", "cov2.trace()"),
        (frechet_distance, "_factor(cov1).T @ ", "_factor(cov1) @ "),
        (_factor, "vectors * values", "vectors.T * values"),
        (_factor, ".sqrt()", ""),
        (FrechetInceptionDistance.moments, "(count - 1)", "count"),
        (FrechetInceptionDistance.moments, "outer - count", "outer + count"),
        (FrechetInceptionDistance.moments, "count * mean", "mean"),
        (FrechetInceptionDistance.update, "features.sum(0)", "features.sum(1)[: features.shape[1]]"),
        (FrechetInceptionDistance.update, ".double()", ".float()"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def test_real_ones_taken_for_generated_are_found(monkeypatch) -> None:
    """Not by the distance, which is symmetric."""
    plant(monkeypatch, FrechetInceptionDistance.update, '"real" if real', '"real" if not real')
    with pytest.raises(AssertionError):
        test_the_moments_of_each_kind_are_its_own()


def test_the_moments_of_each_kind_are_its_own() -> None:
    real, generated = samples(30, 4, 0), samples(20, 4, 1)
    metric = FrechetInceptionDistance(num_features=4)
    for part in torch.tensor(real).split(7):
        metric.update(part, real=True)
    metric.update(torch.tensor(generated), real=False)
    assert (int(metric.real_count), int(metric.generated_count)) == (30, 20)
    for kind, x in [("real", real), ("generated", generated)]:
        for found, expected in zip(metric.moments(kind), reference.mean_and_covariance(x), strict=True):
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("d", [1, 5, 40])
def test_closed_form_of_diagonal_and_of_commuting_covariances(d: int) -> None:
    rng = np.random.default_rng(d)
    mean1, mean2 = rng.normal(size=(2, d))
    var1, var2 = rng.gamma(1.0, size=(2, d))
    var2[: d // 2] = 0.0  # singular
    expected = reference.frechet_distance_of_commuting(mean1, var1, mean2, var2)
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    for q in (np.eye(d), basis):
        moments = [q.T @ mean1, q.T * var1 @ q, q.T @ mean2, q.T * var2 @ q]
        found = frechet_distance(*(torch.tensor(x) for x in moments))
        assert found.item() == pytest.approx(expected, rel=1e-7 if d > 1 and q is basis else 1e-12)


@pytest.mark.parametrize(
    "x",
    [
        samples(60, 6, 0),
        samples(5, 40, 0),
        samples(2, 30, 0),
        np.ones((9, 5)),
        np.full((9, 5), 7.3),
        np.zeros((4, 3)),
        100.0 + samples(30, 8, 0),
        samples(50, 8, 2)[:, [0, 1, 2, 0, 1, 2]],  # repeated features
    ],
    ids=["many", "few", "two", "one", "constant", "zero", "far", "repeated"],
)
def test_the_distance_to_itself_is_zero_and_never_below(x: np.ndarray) -> None:
    assert 0 <= distance(x, x) <= 1e-9
    assert 0 <= distance(x, x[::-1].copy()) <= 1e-9
    assert distance(x, np.concatenate([x, x[:1] + 1e-9])) >= 0


def test_constant_features_are_as_far_as_their_means() -> None:
    assert distance(np.full((9, 4), 2.0), np.full((5, 4), 5.0)) == pytest.approx(36, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 45, 6), (5, 7, 30)])
def test_symmetric_and_invariant_to_rotation_and_shift_and_of_degree_two(n: int, m: int, d: int) -> None:
    real, generated = samples(n, d, 0), samples(m, d, 1)
    expected = distance(real, generated)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(d, d)))[0]
    shift = np.random.default_rng(3).normal(size=d)
    # fewer samples than dimensions: rounding of zero eigenvalues, 1e-16, has a root of 1e-8
    near = {"rel": 1e-11 if n > d else 1e-8}
    assert expected > 0
    assert distance(generated, real) == pytest.approx(expected, **near)
    assert distance(real @ rotation, generated @ rotation) == pytest.approx(expected, **near)
    assert distance(real + shift, generated + shift) == pytest.approx(expected, **near)
    assert distance(3 * real, 3 * generated) == pytest.approx(9 * expected, **near)


def test_dimensions_without_variance_add_nothing() -> None:
    """Singular covariances of which the answer is known."""
    real, generated = samples(60, 4, 0), samples(45, 4, 1)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 20)))[0]
    padded = [np.pad(x, [(0, 0), (0, 16)]) @ rotation for x in (real, generated)]
    assert distance(*padded) == pytest.approx(reference.frechet_distance(real, generated), rel=1e-10)


def test_several_updates_and_objects_are_one() -> None:
    real, generated = (torch.tensor(samples(31, 5, seed)) for seed in (0, 1))
    metrics = [FrechetInceptionDistance(num_features=5) for _ in range(3)]
    for kind, x in [(True, real), (False, generated)]:
        for i, part in enumerate(x.split(7)):
            metrics[i % 3].update(part, real=kind)
    expected = distance(real.numpy(), generated.numpy())
    assert summed(metrics).compute()["fid"].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["real", "generated"])
def test_fewer_than_two_images_are_refused(kind: str) -> None:
    metric = FrechetInceptionDistance(num_features=3)
    x: Tensor = torch.randn(4, 3)
    metric.update(x[:1] if kind == "real" else x, real=True)
    metric.update(x[:1] if kind == "generated" else x)
    with pytest.raises(ValueError, match=f"two {kind} images or more. Found 1"):
        metric.compute()
