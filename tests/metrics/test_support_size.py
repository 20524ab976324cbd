"""The support by coinciding pairs, against a transcription, and where the number of samples is known."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import support_size as reference
from helpers.summed import summed

from lit_improved_gan import RingDataModule
from lit_improved_gan.metrics import SupportSize, distance_of_share, support_size


def batches() -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return [torch.randn(n, 2, 3, generator=source) + 100 for n in (21, 30)]


def support(*samples: torch.Tensor, within: float) -> float:
    metric = SupportSize(within)
    for batch in samples:
        metric.update(batch)
    return float(metric.compute()["support"])


def check() -> None:
    parts = [batch.flatten(1).double().numpy() for batch in batches()]
    for share in (0.001, 0.02, 0.5, 1.0):
        within = distance_of_share(batches()[0], share)
        assert within == pytest.approx(reference.distance_of_share(parts[0], share), rel=1e-9)
        found = support(*batches(), within=within * (1 + 1e-9))
        assert found == pytest.approx(reference.support(parts, within * (1 + 1e-9)), rel=1e-12)


def test_it_is_what_the_transcription_has() -> None:
    check()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (SupportSize.update, "<=", ">"),
        (SupportSize.update, "+= len(distances)", "+= len(samples) ** 2"),
        (SupportSize.compute, "self.pairs.double() / self.near.clamp(min=1)", "self.near.clamp(min=1) / self.pairs"),
        (support_size._distances, ".flatten(1)", ".flatten(1)[:, :3]"),
        (support_size._distances, ".flatten(1)", ".flatten(1).square()"),
        (distance_of_share, "share * len(distances)", "share * len(samples)"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        check()


def test_of_so_many_different_samples_there_are_so_many() -> None:
    source = torch.Generator().manual_seed(0)
    for number in (20, 300):
        kinds = torch.randn(number, 784, generator=source)
        drawn = kinds[torch.randint(number, (1000,), generator=source)]
        assert support(drawn, within=0.0) == pytest.approx(number, rel=0.1)


def test_half_of_the_modes_have_half_of_the_support() -> None:
    data = RingDataModule(std=0.02, num_points=20_000)
    data.setup()
    points = data.real_images("train")
    within = distance_of_share(points[-1000:])
    real = support(points[:1000], within=within)
    assert real == pytest.approx(1000, rel=0.2)
    angle = torch.atan2(points[:, 1], points[:, 0])
    half = points[(angle > -0.1) & (angle < torch.pi - 0.1)][:1000]
    assert support(half, within=within) == pytest.approx(real / 2, rel=0.2)
    assert support(half[:1].expand(50, 2), within=within) == 1


def test_without_a_coinciding_pair_it_is_the_number_of_pairs() -> None:
    assert support(torch.eye(5), within=0.1) == 10


def test_processes_add_up() -> None:
    within = 2.0
    metrics = []
    for batch in batches():
        metrics.append(SupportSize(within))
        metrics[-1].update(batch)
    assert float(summed(metrics).compute()["support"]) == support(*batches(), within=within)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"`within` of SupportSize should be 0 or more. Found within=-1"):
        SupportSize(-1)
    assert np.isnan(support(torch.eye(1), within=1.0))
    for samples, share in [(torch.eye(1), 0.1), (torch.eye(3), 0.0), (torch.eye(3), 1.5)]:
        with pytest.raises(ValueError, match="2 samples or more, and a share"):
            distance_of_share(samples, share)
    assert np.isfinite(distance_of_share(torch.eye(2)))
