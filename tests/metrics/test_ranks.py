"""Measures of several processes against one that has all images: numbered ones may lie on any process.

This file is also what the processes run.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers.processes import run_processes
from torch import Tensor

from lit_improved_gan.metrics import (
    FeatureMetric,
    FrechetInceptionDistance,
    InceptionScore,
    KernelInceptionDistance,
    PrecisionRecall,
)

WORLD, REAL, GENERATED, SIZE = 3, 17, 13, 4
CASES = ["1", "2", "3", "3, one without any"]


def measures() -> dict[str, FeatureMetric]:
    return {
        "is": InceptionScore(num_features=SIZE, splits=3, num_samples=GENERATED),
        "fid": FrechetInceptionDistance(num_features=SIZE),
        "kid": KernelInceptionDistance(num_features=SIZE, subsets=4, subset_size=9, max_samples=20),
        "prc": PrecisionRecall(num_features=SIZE, neighbours=3, max_samples=15),
    }


def features() -> dict[bool, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(n, SIZE, generator=generator).double() for n in (REAL, GENERATED))
    return {True: real, False: generated + 0.5}


def updated(rank: int, sharing: int, numbered: bool = True) -> dict[str, FeatureMetric]:
    """Every ``sharing``-th row from this rank's on, in several updates."""
    metrics = measures()
    for real, rows in features().items():
        mine = torch.arange(len(rows))[rank::sharing] if rank < sharing else torch.arange(0)
        for numbers in mine.split(4):
            for metric in metrics.values():
                metric.update(rows[numbers], real=real, numbers=numbers if numbered else None)
    return metrics


def outcome(metric: FeatureMetric) -> dict[str, Tensor] | str:
    try:
        return metric.compute()
    except ValueError as error:
        return str(error)


def process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for case in CASES:
        world = int(case[0])
        if rank >= world:
            continue
        dist.init_process_group("gloo", f"file://{folder / case}", rank=rank, world_size=world)
        sharing = world if case.isdigit() else world - 1
        metrics = updated(rank, sharing)
        found[case] = {name: metric.compute() for name, metric in metrics.items()}
        again = {name: metric.compute() for name, metric in metrics.items()}  # the states are this process's again
        metrics["fid"].sync()
        counts = (int(metrics["fid"].real_count), int(metrics["fid"].generated_count))
        metrics["fid"].unsync()
        own = int(metrics["fid"].real_count)
        unnumbered = {name: outcome(metric) for name, metric in updated(rank, sharing, numbered=False).items()}
        found[f"{case}, more"] = {"counts": counts, "own": own, "again": again, "unnumbered": unnumbered}
        dist.barrier()
        dist.destroy_process_group()
    torch.save(found, folder / f"{rank}.pt")
    sys.stderr.flush()
    os._exit(0)  # gloo's threads may abort the interpreter's own exit


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, Any]]:
    return run_processes(__file__, WORLD, tmp_path_factory.mktemp("ranks"), timeout=240)


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Tensor]]:
    return {name: metric.compute() for name, metric in updated(0, 1).items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", measures())
def test_all_processes_have_what_one_would_have(results, alone, case: str, name: str) -> None:
    ranks = [found[case][name] for found in results[: int(case[0])]]
    for found in ranks:
        assert found == ranks[0]
        assert found.keys() == alone[name].keys()
        for key, value in alone[name].items():
            torch.testing.assert_close(found[key], value, rtol=1e-9, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_counts_are_those_of_all_and_states_stay_each_ones(results, case: str) -> None:
    found = [result[f"{case}, more"] for result in results[: int(case[0])]]
    assert all(one["counts"] == (REAL, GENERATED) for one in found)
    assert sum(one["own"] for one in found) == REAL
    assert all(one["again"] == result[case] for one, result in zip(found, results, strict=False))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", measures())
def test_images_without_numbers_are_refused_where_the_numbers_matter(results, alone, case: str, name: str) -> None:
    for rank in range(int(case[0])):
        found = results[rank][f"{case}, more"]["unnumbered"][name]
        if case == "1" or name == "fid":
            assert found == results[rank][case][name]
        else:
            assert "a number of its own, 0, 1, 2, ... over all processes" in found
            assert "give `numbers` to update()" in found


if __name__ == "__main__":
    process(int(sys.argv[1]), Path(sys.argv[2]))
