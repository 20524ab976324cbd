"""The released Adam and the averaged weights against the transcription."""

import copy

import numpy as np
import pytest
import torch
from helpers import reference
from helpers.mutate import plant
from torch import nn

from lit_improved_gan.modules import AveragedNetwork
from lit_improved_gan.optim import ReleasedAdam

RNG = np.random.default_rng(0)
SETTINGS = {"lr": 0.003, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}


def check() -> None:
    theta, other = RNG.normal(size=(4, 3)), RNG.normal(size=5)
    for scale in (1.0, 1e-6):  # at small gradients the place of epsilon decides
        gradients = [RNG.normal(size=(4, 3)) * scale for _ in range(6)]
        parameters = [torch.tensor(theta, requires_grad=True), torch.tensor(other, requires_grad=True)]
        optimizer = ReleasedAdam(parameters, **SETTINGS)
        for step, gradient in enumerate(gradients):
            parameters[0].grad = torch.tensor(gradient)
            parameters[1].grad = torch.tensor(gradient.ravel()[:5]) if step >= 2 else None  # joins later
            optimizer.step()
        for parameter, start, seen in [
            (parameters[0], theta, gradients),
            (parameters[1], other, [g.ravel()[:5] for g in gradients[2:]]),
        ]:
            expected = reference.released_adam(start, seen, **SETTINGS)
            np.testing.assert_allclose(
                parameter.detach() - torch.tensor(start), expected - start, rtol=1e-9, atol=1e-15
            )


def test_against_the_transcription() -> None:
    check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('-group["lr"]', 'group["lr"]'),
        ("1 - beta1)", "beta1 * 0.9)"),
        ('group["eps"] * correction', 'group["eps"]'),
        ("correction**0.5", "correction"),
        ('torch._foreach_add(squares, group["eps"] * correction)', "torch._foreach_add(squares, 1e-16)"),
    ],
)
def test_planted_errors_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, ReleasedAdam._update, old, new)
    with pytest.raises(AssertionError):
        check()


def test_it_differs_from_torchs_where_gradients_are_small() -> None:
    moved = []
    for make in (lambda p: ReleasedAdam(p, lr=0.1), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.999))):
        parameter = torch.zeros(1, requires_grad=True)
        parameter.grad = torch.full((1,), 1e-6)
        make([parameter]).step()
        moved.append(abs(parameter.item()))
    assert moved[0] == pytest.approx(0.1 * 1e-6 / np.sqrt(1e-12 + 1e-8), rel=1e-4)
    assert moved[1] > 90 * moved[0]


def test_state_resumes_exactly() -> None:
    torch.manual_seed(0)
    parameter = torch.randn(5, requires_grad=True)
    optimizer = ReleasedAdam([parameter], lr=0.01)
    gradients = torch.randn(6, 5)
    for gradient in gradients[:3]:
        parameter.grad = gradient
        optimizer.step()
    again = parameter.detach().clone().requires_grad_()
    resumed = ReleasedAdam([again], lr=1.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for gradient in gradients[3:]:
        for p, o in ((parameter, optimizer), (again, resumed)):
            p.grad = gradient
            o.step()
    assert torch.equal(parameter, again)


@pytest.mark.parametrize(
    ("name", "value"), [("lr", 0.0), ("lr", float("nan")), ("beta1", 1.0), ("beta2", -0.1), ("eps", 0.0)]
)
def test_values_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of ReleasedAdam"):
        ReleasedAdam([torch.zeros(1)], **{name: value})


def check_average() -> None:
    thetas = [RNG.normal(size=(2, 3)) for _ in range(7)]
    network = nn.Linear(3, 2, bias=False).double()
    average = AveragedNetwork(network, 0.2)
    for count, theta in enumerate(thetas, 1):
        with torch.no_grad():
            network.weight.copy_(torch.tensor(theta))
        average.update(network, count)
    expected = reference.bias_corrected_average(thetas, 0.2)
    np.testing.assert_allclose(average.network.weight, expected, rtol=1e-10)


def test_averages_against_the_transcription() -> None:
    check_average()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("** count", "** (count + 1)"),
        ("self.rate / (1", "self.rate / (2"),
        ("1 - (1 - self.rate)", "1 + (1 - self.rate)"),
    ],
)
def test_errors_planted_in_the_average_are_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, AveragedNetwork.update, old, new)
    with pytest.raises(AssertionError):
        check_average()


def test_an_average_stays_in_eval_mode_and_untrained() -> None:
    average = AveragedNetwork(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 0.5).train()
    assert not any(module.training for module in average.modules())
    assert not any(p.requires_grad for p in average.parameters())


def test_running_statistics_are_averaged_too() -> None:
    network = nn.BatchNorm1d(1)
    average = AveragedNetwork(network, 0.5)
    for count, value in enumerate((1.0, 3.0), 1):
        network.running_mean.fill_(value)
        network.num_batches_tracked.fill_(count)
        average.update(network, count)
    assert average.network.running_mean.item() == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
    assert average.network.num_batches_tracked.item() == 2
