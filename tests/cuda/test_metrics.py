"""Measures of given features on CUDA against the CPU."""

from collections.abc import Callable

import pytest
import torch
from helpers.cuda import DEVICE
from torch import Tensor

from lit_improved_gan.metrics import (
    ClassifierScore,
    FeatureMetric,
    FrechetInceptionDistance,
    InceptionScore,
    KernelInceptionDistance,
    PrecisionRecall,
)

pytestmark = pytest.mark.gpu

SIZE = 6
MEASURES: dict[str, Callable[[], FeatureMetric]] = {
    "inception score": lambda: InceptionScore(num_features=SIZE, splits=4, num_samples=90),
    "frechet": lambda: FrechetInceptionDistance(num_features=SIZE),
    "kernel": lambda: KernelInceptionDistance(num_features=SIZE, subsets=5, subset_size=30, max_samples=80),
    "precision": lambda: PrecisionRecall(num_features=SIZE, neighbours=3, max_samples=100),
}


def features() -> tuple[Tensor, Tensor]:
    """Of 120 real and 90 generated images."""
    source = torch.Generator().manual_seed(0)
    mixing = torch.randn(SIZE, SIZE, generator=source, dtype=torch.float64)
    real = torch.randn(120, SIZE, generator=source, dtype=torch.float64) @ mixing
    return real, 0.8 * torch.randn(90, SIZE, generator=source, dtype=torch.float64) @ mixing + 0.3


def measured(name: str, device: str, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """In parts and out of order."""
    metric = MEASURES[name]().to(device)
    for kind, rows in zip((True, False), features(), strict=True):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
        for part in order.split(37):
            metric.update(rows[part].to(device, dtype), real=kind, numbers=part.to(device))
    found = metric.compute()
    assert all(value.device.type == device for value in found.values())
    return found


def plain(found: dict[str, Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in found.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_the_same(name: str, dtype: torch.dtype) -> None:
    found, expected = (plain(measured(name, device, dtype)) for device in (DEVICE, "cpu"))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert all(expected.values())


@pytest.mark.parametrize("name", ["inception score", "kernel", "precision"])
def test_numbers_may_be_left_out_or_on_the_cpu(name: str) -> None:
    values = []
    for numbers in (None, torch.arange(90)):
        metric = MEASURES[name]().to(DEVICE)
        real, generated = (x.to(DEVICE) for x in features())
        metric.update(real, real=True)
        metric.update(generated, numbers=numbers)
        values.append(plain(metric.compute()))
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_fewer_images_than_dimensions() -> None:
    """Both covariances are singular."""
    source = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(n, 40, generator=source, dtype=torch.float64) for n in (30, 20))
    values = []
    for device in (DEVICE, "cpu"):
        metric = FrechetInceptionDistance(num_features=40).to(device)
        metric.update(real.to(device), real=True)
        metric.update(generated.to(device))
        values.append(metric.compute()["fid"].item())
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_the_score_of_probabilities_is_the_same() -> None:
    probabilities = features()[1].softmax(1)
    values = []
    for device in (DEVICE, "cpu"):
        score = ClassifierScore(num_classes=SIZE, num_samples=90, splits=3).to(device)
        for part in torch.arange(90).split(40):
            score.update(probabilities[part].to(device), part.to(device))
        values.append([value.item() for value in score.compute()])
    assert values[0] == pytest.approx(values[1], rel=1e-6)
