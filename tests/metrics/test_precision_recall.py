"""Precision, recall, density and coverage of given features against loops over all pairs, and what is expected."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import precision_recall as reference
from torch import Tensor

from lit_improved_gan.metrics import PrecisionRecall, precision_recall_density_coverage
from lit_improved_gan.metrics.precision_recall import _radii

NAMES = ["precision", "recall", "density", "coverage"]
SIZES = [(30, 23, 2, 3), (41, 57, 4, 1), (33, 40, 12, 5), (12, 50, 1, 4)]  # real, generated, dimensions, k


def samples(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, d)), 0.4 + 0.8 * rng.normal(size=(m, d))


def expected_of(real: np.ndarray, generated: np.ndarray, k: int) -> dict[str, float]:
    return {name: getattr(reference, name)(real, generated, k) for name in NAMES}


def plain(found: dict[str, Tensor]) -> dict[str, float]:
    assert all(value.dtype == torch.float64 for value in found.values())
    return {name: value.item() for name, value in found.items()}


def check(chunk: int = 1000) -> None:
    for n, m, d, k in SIZES:
        real, generated = samples(n, m, d)
        expected = expected_of(real, generated, k)
        assert min(expected.values()) > 0
        found = precision_recall_density_coverage(torch.tensor(real), torch.tensor(generated), k, chunk)
        assert plain(found) == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("chunk", [1, 7, 30, 1000])
def test_equals_the_definition_for_any_chunk(chunk: int) -> None:
    check(chunk)


@pytest.mark.parametrize(("n", "m", "d", "k"), SIZES)
def test_the_measure_equals_the_definition(n: int, m: int, d: int, k: int) -> None:
    real, generated = samples(n, m, d)
    metric = PrecisionRecall(num_features=d, neighbours=k, max_samples=100)
    for part in torch.tensor(real).split(9):
        metric.update(part, real=True)
    metric.update(torch.tensor(generated))
    found = metric.compute()
    assert list(found) == NAMES
    assert plain(found) == pytest.approx(expected_of(real, generated, k), rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (precision_recall_density_coverage, "distance <= real_radius", "distance >= real_radius"),
        (precision_recall_density_coverage, "/ neighbours", ""),
        (precision_recall_density_coverage, ".double().mean() / neighbours", ".double().sum() / neighbours"),
        (precision_recall_density_coverage, "in_real.any(0)", "(distance <= radius.unsqueeze(1)).any(0)"),
        (precision_recall_density_coverage, "in_real.any(1)", "(distance <= radius.unsqueeze(1)).any(1)"),
        (precision_recall_density_coverage, "<= radius.unsqueeze(1)", "<= real_radius"),
        (precision_recall_density_coverage, "|=", "="),
        (_radii, "neighbours + 1, 1", "neighbours, 1"),
        (_radii, "neighbours + 1, 1", "neighbours + 2, 1"),
        (_radii, "x.split(chunk)])", "x.split(chunk)]).square()"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check(chunk=7)


def test_the_boundary_belongs_to_the_ball() -> None:
    """Copies of real examples: some of them lie on the boundaries."""
    x = torch.arange(6.0).square().unsqueeze(1)
    found = plain(precision_recall_density_coverage(x, x.clone(), neighbours=2))
    assert found == {"precision": 1.0, "recall": 1.0, "density": 1.5, "coverage": 1.0}


def test_precision_and_recall_are_one_another_with_the_samples_exchanged() -> None:
    real, generated = (torch.tensor(x) for x in samples(30, 23, 2))
    one = precision_recall_density_coverage(real, generated, 3)
    other = precision_recall_density_coverage(generated, real, 3)
    assert one["precision"] == other["recall"]
    assert one["recall"] == other["precision"]


def test_samples_of_one_mode_are_precise_and_cover_little() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(200, 2, generator=generator) + 50 * (torch.arange(200) % 2).unsqueeze(1)
    found = precision_recall_density_coverage(real, torch.randn(100, 2, generator=generator), 5)
    assert found["precision"] > 0.9
    assert found["recall"] <= 0.5
    assert found["coverage"] <= 0.5
    far = precision_recall_density_coverage(real, real + 1e4, 5)
    assert plain(far) == dict.fromkeys(NAMES, 0.0)


def test_what_is_expected_of_samples_of_one_distribution() -> None:
    """A real ball is empty where the k nearest of all other examples are real: the expected coverage is exact."""
    n, m, k = 30, 20, 3  # real, generated
    generator = torch.Generator().manual_seed(0)
    found = [
        precision_recall_density_coverage(
            *(torch.randn(size, 3, generator=generator, dtype=torch.float64) for size in (n, m)), k
        )
        for _ in range(500)
    ]
    empty = np.prod([(n - i) / (m + n - i) for i in range(1, k + 1)])
    for name, expected in [("density", 1.0), ("coverage", 1 - empty)]:
        values = torch.stack([one[name] for one in found])
        error = values.std() / len(values) ** 0.5
        assert error < 0.02
        assert abs(values.mean() - expected) < 4 * error
    swapped = 1 - np.prod([(m - i) / (m + n - i) for i in range(1, k + 1)])
    assert abs(swapped - (1 - empty)) > 0.1


def test_features_in_float32_far_from_zero() -> None:
    """Distances of a product of large numbers would be rounding."""
    real, generated = ((1000 + torch.tensor(x)).float() for x in samples(60, 50, 4))
    found = precision_recall_density_coverage(real, generated, 3)
    expected = expected_of(real.double().numpy(), generated.double().numpy(), 3)
    assert plain(found) == pytest.approx(expected, rel=1e-15, abs=0)


def test_errors_say_what_is_wrong() -> None:
    for neighbours in (0, 9):
        with pytest.raises(ValueError, match=rf"`neighbours`.*Found neighbours={neighbours}, max_samples=9"):
            PrecisionRecall(num_features=3, neighbours=neighbours, max_samples=9)
    metric = PrecisionRecall(num_features=3, neighbours=4, max_samples=9)
    with pytest.raises(ValueError, match=r"`neighbours`.*the number of images, 4\. Found 4"):
        metric.expect(4, 9)
    metric.update(torch.zeros(9, 3), real=True)
    metric.update(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"`neighbours`.*the number of images, 4\. Found 4"):
        metric.compute()
