"""Modes covered, against a transcription, and what noise and real data score."""

from math import log

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import mode_coverage as reference
from helpers.summed import summed
from torch import Tensor

from lit_improved_gan import GridDataModule, RingDataModule, StackedDigitsDataModule
from lit_improved_gan.metrics import ClassifiedModes, GaussianModes, ModeCoverage, load_classifier, modes
from lit_improved_gan.metrics.mode_coverage import divergence_from_uniform
from lit_improved_gan.metrics.modes import ModeJudge

NAMES = {"modes", "quality", "kl", "modes_ungated", "kl_ungated"}


def coverage(judge: ModeJudge, samples: Tensor) -> dict[str, float]:
    metric = ModeCoverage(judge.num_modes)
    metric.update(*judge(samples))
    return {name: float(value) for name, value in metric.compute().items()}


def expected(judged: list[tuple[int, bool]], num_modes: int) -> dict[str, float]:
    return {
        "modes": reference.modes_captured(judged),
        "quality": reference.quality_share(judged),
        "kl": reference.kl_from_uniform(judged, num_modes),
        "modes_ungated": len({mode for mode, _ in judged}),
        "kl_ungated": reference.kl_from_uniform(judged, num_modes, gated=False),
    }


def points() -> tuple[Tensor, Tensor, float]:
    """Some near 3 std of their centre, some far away."""
    source = torch.Generator().manual_seed(0)
    centres, std = torch.randn(6, 3, generator=source).double() * 3, 0.25
    direction = torch.nn.functional.normalize(torch.randn(41, 3, generator=source).double(), dim=1)
    distance = std * torch.tensor([0.0, 1.0, 2.99, 3.01, 9.0]).double().repeat(9)[:41]
    mode = torch.arange(41).div(5, rounding_mode="floor") % 4
    mode[40], mode[38] = 4, 5  # modes with a single sample, one of low quality
    return centres[mode] + direction * distance.unsqueeze(1), centres, std


def check_points() -> None:
    samples, centres, std = points()
    judge = GaussianModes(centres, std)
    judged = [reference.nearest_mode(point, centres.numpy(), std) for point in samples.numpy()]
    found, passed = judge(samples)
    assert list(zip(found.tolist(), passed.tolist(), strict=True)) == judged
    assert coverage(judge, samples) == pytest.approx(expected(judged, 6), rel=1e-12)


class Fixed(torch.nn.Module):
    """A classifier whose probabilities are the image's first row."""

    image_shape, num_classes = (1, 2, 10), 10

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0].log()


def stacks() -> Tensor:
    """Of every kind: all channels sure, one unsure, one just at the threshold."""
    source = np.random.default_rng(0)
    images = torch.zeros(60, 3, 2, 10)
    for i in range(60):
        for channel in range(3):
            sure = [0.99, 0.91, 0.9, 0.5][source.integers(4) if channel == i % 3 else 0]
            p = np.full(10, (1 - sure) / 9)
            p[source.integers(3)] = sure
            images[i, channel, 0] = torch.tensor(p)
    return images


def check_stacks() -> None:
    judge = ClassifiedModes()
    judge.classifier = Fixed()  # type: ignore[assignment]
    images = stacks()
    judged = [reference.stacked_mode(image[:, 0].softmax(1).numpy()) for image in images.log()]
    found, passed = judge(images)
    assert list(zip(found.tolist(), passed.tolist(), strict=True)) == judged
    assert 0 < sum(passed.tolist()) < 60
    assert coverage(judge, images) == pytest.approx(expected(judged, 1000), rel=1e-12)


def check_divergence() -> None:
    assert float(divergence_from_uniform(torch.tensor([5, 5, 5, 5]))) == 0
    assert float(divergence_from_uniform(torch.tensor([0, 7, 0, 0]))) == pytest.approx(log(4))
    assert float(divergence_from_uniform(torch.tensor([3, 3, 0, 0]))) == pytest.approx(log(2))
    assert float(divergence_from_uniform(torch.zeros(4, dtype=torch.int64))) == pytest.approx(log(4))
    counts = torch.tensor([1, 2, 3, 4, 0])
    for same in (1000 * counts, counts[torch.tensor([3, 1, 4, 0, 2])]):
        torch.testing.assert_close(divergence_from_uniform(same), divergence_from_uniform(counts), rtol=1e-12, atol=0)


CHECKS = [check_points, check_stacks, check_divergence]


@pytest.mark.parametrize("check", CHECKS)
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (GaussianModes.forward, check_points, "self.within * self.std", "self.std"),
        (GaussianModes.forward, check_points, ".min(1)", ".max(1)"),
        (ClassifiedModes.forward, check_stacks, ".all(1)", ".any(1)"),
        (ClassifiedModes.forward, check_stacks, "chance > self", "chance < self"),
        (ClassifiedModes.forward, check_stacks, "(self.channels - 1, -1, -1,", "(self.channels,"),
        (ClassifiedModes.forward, check_stacks, "(len(samples), self.channels)", "(self.channels, len(samples))"),
        (ModeCoverage.update, check_points, "modes[passed]", "modes"),
        (ModeCoverage.update, check_points, "modes[~passed]", "modes[passed]"),
        (ModeCoverage.compute, check_points, "(self.passed > 0)", "(every > 0)"),
        (ModeCoverage.compute, check_points, "(self.passed > 0)", "(self.passed > 1)"),
        (ModeCoverage.compute, check_points, "divergence_from_uniform(self.passed)", "divergence_from_uniform(every)"),
        (ModeCoverage.compute, check_points, "/ every.sum()", "/ self.failed.sum()"),
        (divergence_from_uniform, check_divergence, "len(counts) * p", "p"),
        (divergence_from_uniform, check_divergence, "xlogy(p, ", "xlogy(1 / len(counts), "),
        (divergence_from_uniform, check_divergence, "counts / total", "counts"),
    ],
)  # fmt: skip
def test_an_error_planted_is_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        check()


def test_any_order_number_of_parts_and_of_processes_gives_the_same() -> None:
    samples, centres, std = points()
    judge = GaussianModes(centres, std)
    whole = ModeCoverage(6)
    whole.update(*judge(samples))
    shuffled = samples[torch.randperm(41, generator=torch.Generator().manual_seed(1))]
    parts = [ModeCoverage(6) for _ in range(3)]
    for i, piece in enumerate(shuffled.split(7)):
        parts[i % 2].update(*judge(piece))  # the third process has none
    parts[2].update(*judge(samples[:0]))
    assert summed(parts).compute() == whole.compute()
    assert whole.compute().keys() == NAMES


# --- null rows: noise and real data ---


@pytest.mark.parametrize(("data", "modes"), [(RingDataModule(), 8), (GridDataModule(), 25)])
def test_real_points_pass_and_noise_does_not(data, modes: int) -> None:
    data.setup()
    judge = GaussianModes(data.centres, data.std)
    real = coverage(judge, data.real_images("test"))
    assert real["modes"] == modes
    assert real["quality"] == pytest.approx(0.989, abs=0.01)
    assert real["kl"] < 0.01
    low, high = data.training_set.images.aminmax(dim=0)
    noise = coverage(judge, low + (high - low) * torch.rand(2500, 2, generator=torch.Generator().manual_seed(0)))
    assert noise["modes_ungated"] == modes
    assert noise["quality"] < 0.03


def test_real_stacks_pass_and_noise_does_not() -> None:
    """Without the gate, uniform pixels seem to cover nearly every mode."""
    data = StackedDigitsDataModule(num_images=100)
    data.setup()
    judge = ClassifiedModes()
    real = coverage(judge, data.real_images("test") / 127.5 - 1)
    assert real["modes"] > 990
    assert real["quality"] > 0.65  # (share of single digits)^3
    assert real["kl"] < 0.15  # no even choice, and some digits are harder
    noise = torch.rand(26_000, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = coverage(judge, noise)
    assert found["modes_ungated"] > 900
    assert found["quality"] < 0.01
    mode, passed = judge(data.test.images[:500] / 127.5 - 1)
    assert (mode[passed] == data.test.labels[:500][passed]).float().mean() > 0.98


def test_points_that_are_not_finite_do_not_pass() -> None:
    judge = GaussianModes(torch.tensor([[0.0, 0.0]]), 1.0)
    samples = torch.tensor([[float("nan"), 0.0], [float("inf"), 0.0], [0.5, 0.0]])
    assert judge(samples)[1].tolist() == [False, False, True]


def test_points_far_from_the_origin_are_judged_exactly() -> None:
    centre = torch.tensor([[3e4, -3e4]])
    judge = GaussianModes(centre, 0.01)
    near, far = centre + torch.tensor([0.0234375, 0.0]), centre + torch.tensor([0.03515625, 0.0])
    assert [bool(judge(x)[1]) for x in (near, far)] == [True, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianModes(torch.zeros(2), 1.0), r"`centres` of GaussianModes should be \(M, D\).*Found \(2,\)"),
        (lambda: GaussianModes(torch.zeros(0, 2), 1.0), "`centres` of GaussianModes"),
        (lambda: GaussianModes(torch.zeros(1, 2), 0.0), "`std` of GaussianModes should be above 0. Found std=0.0"),
        (lambda: GaussianModes(torch.zeros(1, 2), 1.0, -1.0), "`within` of GaussianModes"),
        (lambda: GaussianModes(torch.zeros(1, 2), 1.0)(torch.zeros(5, 3)), r"points \(N, 2\). Found \(5, 3\)"),
        (lambda: ClassifiedModes(channels=0), "`channels` of ClassifiedModes should be 1 or more. Found channels=0"),
        (lambda: ClassifiedModes(confidence=1.0), "`confidence` of ClassifiedModes"),
        (lambda: ClassifiedModes()(torch.zeros(5, 1, 8, 8)), r"\(N, 3, 8, 8\). Found \(5, 1, 8, 8\)"),
        (lambda: ModeCoverage(0), "`num_modes` of ModeCoverage should be 1 or more. Found num_modes=0"),
        (lambda: ModeCoverage(2).compute(), "no samples: update it"),
        (lambda: ModeCoverage(2).update(torch.tensor([2]), torch.tensor([True])), r"0\.\.1. Found 2\.\.2"),
        (lambda: ModeCoverage(2).update(torch.tensor([-1]), torch.tensor([True])), r"0\.\.1. Found -1"),
        (lambda: ModeCoverage(2).update(torch.tensor([1.0]), torch.tensor([True])), "int64.*Found .*float32"),
        (lambda: ModeCoverage(2).update(torch.tensor([1]), torch.tensor([1])), "bool. Found .*int64"),
        (lambda: ModeJudge()(torch.zeros(1)), "ModeJudge should define forward"),
    ],
)
def test_what_does_not_fit_is_refused(make, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_classifier_of_colour_images_is_refused(monkeypatch) -> None:
    colour = load_classifier()
    colour.image_shape = (3, 8, 8)
    monkeypatch.setattr(modes, "load_classifier", lambda checkpoint: colour)
    with pytest.raises(ValueError, match=r"one channel. Found one of \(3, 8, 8\)"):
        ClassifiedModes()
