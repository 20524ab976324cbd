"""The kernel distance of given features against the formula on the same subsets."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import kernel_distance as reference

from lit_improved_gan.metrics import KernelInceptionDistance, squared_discrepancy


def samples(n: int, m: int, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + m)
    return rng.normal(size=(n, d)), 0.5 + 1.5 * rng.normal(size=(m, d))


def check_discrepancy() -> None:
    for n, m in [(9, 9), (8, 13), (2, 5)]:
        x, y = samples(n, m)
        found = squared_discrepancy(torch.tensor(x), torch.tensor(y))
        assert found.dtype == torch.float64
        assert found.item() == pytest.approx(reference.unbiased_mmd2(x, y), rel=1e-10)


def check(seed: int = 2020) -> None:
    real, generated = samples(23, 17)
    metric = KernelInceptionDistance(num_features=6, subsets=5, subset_size=11, max_samples=30, seed=seed)
    metric.update(torch.tensor(real), real=True)
    metric.update(torch.tensor(generated))
    draw = np.random.RandomState(seed)  # the generated ones are drawn first
    indices = [(draw.choice(17, 11, replace=False), draw.choice(23, 11, replace=False)) for _ in range(5)]
    expected = reference.kernel_distance(real, generated, [r for _, r in indices], [g for g, _ in indices])
    found = metric.compute()
    assert list(found) == ["kid", "kid_std"]
    assert all(value.dtype == torch.float64 for value in found.values())
    assert found["kid"].item() == pytest.approx(expected[0], rel=1e-10)
    assert found["kid_std"].item() == pytest.approx(expected[1], rel=1e-10)


def test_the_discrepancy_against_the_formula() -> None:
    check_discrepancy()


@pytest.mark.parametrize("seed", [2020, 7])
def test_against_the_formula_on_the_same_subsets(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (squared_discrepancy, "- 2 * kernel", "+ 2 * kernel"),
        (squared_discrepancy, "- 2 * kernel", "- kernel"),
        (squared_discrepancy, "- k.trace()", ""),
        (squared_discrepancy, "(len(a) - 1)", "len(a)"),
        (squared_discrepancy, "/ a.shape[1]", "/ a.shape[0]"),
        (squared_discrepancy, "+ 1) ** 3", "- 1) ** 3"),
        (squared_discrepancy, "** 3", "** 2"),
        (squared_discrepancy, "within(y)", "within(x)"),
    ],
)
def test_errors_planted_in_the_discrepancy_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check_discrepancy()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("correction=0", "correction=1"),
        ("found.mean()", "found.sum()"),
        ("in (generated, real)]", "in (real, generated)][::-1]"),
        ("replace=False", "replace=True"),
        ("RandomState(self.seed)", "RandomState(0)"),
        ("real[chosen[1]]", "real[chosen[0]]"),
    ],
)
def test_planted_errors_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, KernelInceptionDistance.compute, old, new)
    with pytest.raises(AssertionError):
        check()


def assert_mean_is(values: torch.Tensor, expected: float) -> None:
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - expected) < 4 * error
    assert error < 0.1


def test_it_is_unbiased() -> None:
    """E (x·y/d + 1)^3 = 1 + 3 a b / d for variances a and b: the squared discrepancy is 3 (a - b)^2 / d."""
    generator = torch.Generator().manual_seed(0)
    values, biased = [], []
    for _ in range(3000):
        x, y = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (5, 8))
        values.append(squared_discrepancy(x, y * 2**0.5))
        biased.append(squared_discrepancy(torch.cat([x, x]), torch.cat([y, y]) * 2**0.5))
    assert_mean_is(torch.stack(values), 3 / 4)
    with pytest.raises(AssertionError):  # pairs of an example with itself
        assert_mean_is(torch.stack(biased), 3 / 4)


def test_samples_of_one_distribution_are_about_zero_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(200):
        metric = KernelInceptionDistance(num_features=4, subsets=4, subset_size=15, max_samples=20)
        for real in (True, False):
            metric.update(torch.randn(20, 4, generator=generator), real=real)
        values.append(metric.compute()["kid"])
    assert_mean_is(torch.stack(values), 0.0)
    assert min(values) < 0


def test_errors_say_what_is_wrong() -> None:
    def make(**kwargs):
        return KernelInceptionDistance(**{"num_features": 3, "subset_size": 4, "max_samples": 9, **kwargs})

    with pytest.raises(ValueError, match=r"`subsets` of KernelInceptionDistance should be 1 or more\. Found 0"):
        make(subsets=0)
    for size in (1, 10):
        with pytest.raises(ValueError, match=rf"`subset_size`.*Found subset_size={size}, max_samples=9"):
            make(subset_size=size)
    with pytest.raises(ValueError, match=r"`subset_size`.*the number of images, 3\. Found 4"):
        make().expect(9, 3)
    metric = make()
    metric.update(torch.zeros(9, 3), real=True)
    metric.update(torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"`subset_size`.*the number of images, 3\. Found 4"):
        metric.compute()
