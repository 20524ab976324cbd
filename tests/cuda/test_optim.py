"""The released Adam on CUDA against the CPU."""

from copy import deepcopy

import pytest
import torch
from helpers.cuda import DEVICE, assert_close
from torch import Tensor

from lit_improved_gan import ReleasedAdam

pytestmark = pytest.mark.gpu

SHAPES = {"matrix": (5, 4), "vector": (7,), "scalar": (), "late": (3, 2, 2), "seldom": (6,)}
STEPS = 20


def gradient(name: str, step: int) -> Tensor | None:
    """``late`` joins at step 5, ``seldom`` has one at every third: step counts differ."""
    if (name == "late" and step < 5) or (name == "seldom" and step % 3):
        return None
    source = torch.Generator().manual_seed(100 * step + len(name))
    return 10.0 ** (-(step % 4)) * torch.randn(SHAPES[name], generator=source, dtype=torch.float64)


def train(device: str, names: list[str], reload_at: int | None = None) -> dict[str, Tensor]:
    parameters = {
        name: torch.linspace(-1, 1, torch.Size(SHAPES[name]).numel(), dtype=torch.float64).view(SHAPES[name]).to(device)
        for name in names
    }
    for parameter in parameters.values():
        parameter.requires_grad_()
    optimizer = ReleasedAdam(parameters.values(), lr=0.01)
    for step in range(STEPS):
        if step == reload_at:
            state = deepcopy(optimizer.state_dict())
            optimizer = ReleasedAdam(parameters.values(), lr=1.0)
            optimizer.load_state_dict(state)
        for name, parameter in parameters.items():
            value = gradient(name, step)
            parameter.grad = None if value is None else value.to(device)
        optimizer.step()
    found = dict(parameters)
    for name, parameter in parameters.items():
        assert optimizer.state[parameter]["exp_avg"].device.type == device
        found |= {f"{name} {key}": value for key, value in optimizer.state[parameter].items()}
    return found


@pytest.mark.parametrize("names", [["matrix", "vector", "scalar"], list(SHAPES)], ids=["equal steps", "other steps"])
def test_twenty_steps_are_the_same(names: list[str]) -> None:
    found = train(DEVICE, names)
    assert_close(found, train("cpu", names), 1e-12)
    if "late" in names:
        assert {name: int(found[f"{name} step"]) for name in names} == {
            "matrix": 20, "vector": 20, "scalar": 20, "late": 15, "seldom": 7,
        }  # fmt: skip


def test_its_state_resumes_exactly() -> None:
    straight, resumed = train(DEVICE, list(SHAPES)), train(DEVICE, list(SHAPES), reload_at=9)
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
