"""Features are kept in the rows of their numbers."""

import warnings

import pytest
import torch
from helpers.fake_features import FakeFeatures, images_of
from helpers.summed import summed
from torch import Tensor

from lit_improved_gan.metrics import KernelInceptionDistance, PrecisionRecall

X = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make(max_samples: int = 20) -> KernelInceptionDistance:
    return KernelInceptionDistance(num_features=3, subset_size=2, max_samples=max_samples)


@pytest.mark.parametrize("real", [True, False])
def test_any_order_and_any_objects_keep_the_same_rows(real: bool) -> None:
    kind = "real" if real else "generated"
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    metrics = [make() for _ in range(2)]
    for i, part in enumerate(order.split(2)):
        metrics[i % 2].update(X[part], real=real, numbers=part)
    assert torch.equal(summed(metrics).kept(kind), X)
    assert len(metrics[0].kept("generated" if real else "real")) == 0
    plain = make()
    for rows in X.split(4):
        plain.update(rows, real=real)
    assert torch.equal(plain.kept(kind), X)


@pytest.mark.parametrize("numbered", [True, False])
def test_those_above_max_samples_are_passed_over(numbered: bool) -> None:
    metric = make(max_samples=5)
    for part in torch.arange(9).split(4):
        metric.update(X[part], numbers=part if numbered else None)
    metric.update(X, numbers=torch.arange(9, 18))
    assert torch.equal(metric.kept("generated"), X[:5])


@pytest.mark.parametrize(
    "numbers",
    [[[0, 1, 2], [2, 3]], [[0, 1, 1]], [[0, 1, 3]], [[1, 2]], [[0, 1], [0, 1]]],
    ids=["twice", "twice in one", "left out", "the first left out", "two processes without numbers"],
)
@pytest.mark.parametrize("real", [True, False])
def test_numbers_twice_or_left_out_are_refused(numbers: list[list[int]], real: bool) -> None:
    metrics = [make() for _ in numbers]
    for metric, part in zip(metrics, numbers, strict=True):
        metric.update(X[: len(part)], real=real, numbers=torch.tensor(part))
    metrics[0].update(X, real=not real)
    kind = "real" if real else "generated"
    words = rf"KernelInceptionDistance: each {kind} image.*Found one twice, or one left out: give `numbers`"
    with pytest.raises(ValueError, match=words):
        summed(metrics).compute()


def test_features_keep_their_precision() -> None:
    assert make().real_features.dtype == torch.float64
    metric = PrecisionRecall(FakeFeatures(), "a", neighbours=2, max_samples=20)
    images: Tensor = images_of(0)
    metric.update(images)
    assert metric.extractor is not None
    assert torch.equal(metric.kept("generated"), metric.extractor(images)["a"])


@pytest.mark.parametrize("kind", ["real", "generated"])
def test_images_that_will_be_passed_over_are_said(kind: str) -> None:
    metric = make(max_samples=5)
    with pytest.warns(UserWarning, match=rf"kid: of 6 {kind} images the first 5 are used, as `max_samples` says"):
        metric.expect(*((6, 5) if kind == "real" else (5, 6)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.expect(5, 5)


@pytest.mark.parametrize("measure", [KernelInceptionDistance, PrecisionRecall])
def test_max_samples_below_two_is_refused(measure) -> None:
    with pytest.raises(ValueError, match=rf"`max_samples` of {measure.__name__} should be 2 or more\. Found 1"):
        measure(num_features=3, max_samples=1)
