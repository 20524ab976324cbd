"""The released learning-rate schedule."""

import pytest
import torch

from lit_improved_gan.optim import LinearDecay


def rates(scheduler, optimizer, steps: int) -> list[float]:
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def make() -> tuple[torch.optim.Optimizer, LinearDecay]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    return optimizer, LinearDecay(optimizer, 2, 6)


def test_it_keeps_the_rate_then_falls_to_zero_and_stays_there() -> None:
    optimizer, scheduler = make()
    assert rates(scheduler, optimizer, 8) == pytest.approx([2, 2, 2, 1.5, 1, 0.5, 0, 0])


def test_it_is_the_released_cifar_schedule() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-4)
    scheduler = LinearDecay(optimizer, 800, 1200)  # in epochs here
    expected = [3e-4 * max(0.0, min(3 - epoch / 400, 1.0)) for epoch in range(1201)]
    assert rates(scheduler, optimizer, 1201) == pytest.approx(expected, abs=1e-12)


def test_it_resumes() -> None:
    optimizer, scheduler = make()
    whole = rates(scheduler, optimizer, 8)
    optimizer, scheduler = make()
    first = rates(scheduler, optimizer, 4)
    again_optimizer, again = make()
    again_optimizer.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    assert first + rates(again, again_optimizer, 4) == pytest.approx(whole)


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5)])
def test_ranges_that_make_no_sense_are_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"start={start}, end={end}"):
        LinearDecay(make()[0], start, end)
