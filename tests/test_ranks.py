"""Two processes against one that has both their batches: values, and the mean of the gradients, as DDP takes it.

This file is also what the two processes run.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from helpers.processes import run_processes
from torch import Tensor, nn

from lit_improved_gan.losses import (
    batch_covariance,
    batch_mean,
    batch_mean_variance,
    feature_matching,
    l1_distance,
    l2_distance,
    maximum_mean_discrepancy,
    squared_distance,
)
from lit_improved_gan.ranks import gathered, mean_over_ranks, share_statistics, world_size

WORLD, ROWS = 2, 5
STATISTICS = [batch_mean, batch_mean_variance, batch_covariance]
DISTANCES = [squared_distance, l2_distance, l1_distance]


def batches() -> tuple[Tensor, Tensor, Tensor]:
    """Noise, real images, and the generator's weights: the whole batch; rank r has its r-th half."""
    generator = torch.Generator().manual_seed(0)
    z, real, weights = (torch.randn(n, 4, generator=generator).double() for n in (WORLD * ROWS, WORLD * ROWS, 4))
    z[:ROWS] += 1  # so that the halves differ in every statistic
    real[ROWS:] *= 2
    return z, real, weights


def of_mean(real: Tensor, fake: Tensor) -> Tensor:
    """A function of a mean over all examples that is no mean itself."""
    return (mean_over_ranks(fake.mean(0)) ** 3).sum() + mean_over_ranks(fake.square().mean()) ** 2


def of_columns(real: Tensor, fake: Tensor) -> Tensor:
    """The same of what does not lie in memory row by row."""
    return (mean_over_ranks((fake.T @ fake / len(fake)).T[1:]) ** 3).sum()


def of_gathered(real: Tensor, fake: Tensor) -> Tensor:
    """A function of all pairs of examples, each process having all."""
    everyone = gathered(fake)[0]
    return (everyone @ gathered(real.T.contiguous().T)[0].T).tanh().mean() * everyone.square().sum()


def cases() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Losses of real and generated features."""
    matching = {
        f"{s.__name__}, {d.__name__}": lambda real, fake, s=s, d=d: feature_matching(real, fake, s, d)
        for s in STATISTICS
        for d in DISTANCES
    }
    discrepancy = {"discrepancy": lambda real, fake: maximum_mean_discrepancy(real, fake, (0.5, 2.0))}
    return {"mean": of_mean, "columns": of_columns, "gathered": of_gathered, **matching, **discrepancy}


def run(rows: slice) -> dict[str, tuple[Tensor, Tensor]]:
    """Each loss and its gradient with respect to the generator's weights, the mean over processes."""
    z, real, weights = batches()
    weights.requires_grad_()
    found = {}
    for name, loss in cases().items():
        value = loss(real[rows], (z[rows] @ weights).tanh())
        (gradient,) = torch.autograd.grad(value, weights)
        if world_size() > 1:
            dist.all_reduce(gradient)
            gradient /= world_size()
        found[name] = (value.detach(), gradient)
    return found


def process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'store'}", rank=rank, world_size=WORLD)
    mine = torch.arange(6.0).view(3, 2) + 10 * rank
    everyone, first = gathered(mine)
    norms = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(2, track_running_stats=False), nn.BatchNorm2d(2).double())
    for value in norms.buffers():
        value.add_(rank)
    share_statistics(norms)
    plain = {"everyone": everyone, "first": first, "mean": mean_over_ranks(mine), "world": world_size()}
    plain |= norms.state_dict()
    torch.save((run(slice(rank * ROWS, (rank + 1) * ROWS)), plain), folder / f"{rank}.pt")
    dist.barrier()
    sys.stderr.flush()
    os._exit(0)  # in about one of ten runs gloo's threads abort the interpreter's own exit


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor | int]]]:
    return run_processes(__file__, WORLD, tmp_path_factory.mktemp("ranks"), timeout=120)


@pytest.mark.parametrize("name", cases())
def test_two_processes_equal_one_with_both_batches(results, name: str) -> None:
    value, gradient = run(slice(None))[name]
    for found, _ in results:
        torch.testing.assert_close(found[name][0], value, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found[name][1], gradient, rtol=1e-12, atol=1e-14)
    alone = [run(slice(rank * ROWS, (rank + 1) * ROWS))[name] for rank in range(WORLD)]  # what would be wrong
    assert abs(sum(v for v, _ in alone) / WORLD - value) > 1e-3 * value.abs()
    assert (sum(g for _, g in alone) / WORLD - gradient).abs().max() > 1e-3 * gradient.abs().max()


def test_rows_come_in_the_order_of_the_ranks(results) -> None:
    whole = torch.cat([torch.arange(6.0).view(3, 2) + 10 * rank for rank in range(WORLD)])
    for rank, (_, plain) in enumerate(results):
        assert torch.equal(plain["everyone"], whole)
        assert plain["first"] == 3 * rank
        assert torch.equal(plain["mean"], torch.arange(6.0).view(3, 2) + 5)
        assert plain["world"] == WORLD


def test_running_statistics_become_their_mean(results) -> None:
    for rank, (_, plain) in enumerate(results):
        assert torch.equal(plain["0.running_mean"], torch.full((3,), 0.5))
        assert torch.equal(plain["2.running_var"], torch.full((2,), 1.5).double())
        assert plain["0.num_batches_tracked"] == rank  # a count is left alone


def test_a_process_alone_is_everyone() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert gathered(x) == (x, 0)
    assert mean_over_ranks(x) is x
    assert world_size() == 1


if __name__ == "__main__":
    process(int(sys.argv[1]), Path(sys.argv[2]))
