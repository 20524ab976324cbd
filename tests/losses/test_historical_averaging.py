"""Historical averaging against the whole history, and the paper's game."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import historical_averaging as reference
from torch import nn

from lit_improved_gan import losses
from lit_improved_gan.losses import HistoricalAveraging, historical_averaging


class Wandering(nn.Module):
    """Parameters of several shapes that go somewhere else at each step, one of them frozen."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.values = [[rng.normal(size=shape) for shape in ((3, 3), (4,), (2, 1, 3), ())] for _ in range(10)]
        self.a, self.b, self.c, self.d = (nn.Parameter(torch.tensor(v)) for v in self.values[0])
        self.frozen = nn.Parameter(torch.ones(3).double(), requires_grad=False)

    def trained(self) -> list[nn.Parameter]:
        return [self.a, self.b, self.c, self.d]

    @torch.no_grad()
    def move(self, t: int) -> None:
        for parameter, value in zip(self.trained(), self.values[t], strict=True):
            parameter.copy_(torch.tensor(value))
        self.frozen += 1

    def history(self, t: int) -> list[list[np.ndarray]]:
        """For each parameter its values up to the step."""
        return [list(values) for values in zip(*self.values[: t + 1], strict=True)]


def check() -> None:
    """The whole history is kept, and the term taken from it, at t = 1 to 10."""
    for weight in (1.0, 0.3):
        network, penalty = Wandering(), HistoricalAveraging(weight)
        for t in range(10):
            network.move(t)
            loss = penalty(network)
            histories = network.history(t)
            expected = sum(reference.cost(history) for history in histories)
            np.testing.assert_allclose(loss.item(), weight * expected, rtol=1e-10, atol=1e-28)
            gradients = torch.autograd.grad(loss, network.trained())
            for mean, gradient, history in zip(penalty.means, gradients, histories, strict=True):
                np.testing.assert_allclose(mean, reference.average(history), rtol=1e-10, atol=1e-14)
                np.testing.assert_allclose(gradient, weight * reference.cost_grad(history), rtol=1e-10, atol=1e-14)
        assert penalty.count == 10


def check_formula() -> None:
    rng = np.random.default_rng(1)
    theta, mean = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    p, m = (torch.tensor(value, requires_grad=True) for value in (theta, mean))
    loss = losses.historical_averaging([p, 2 * p], [m, m])
    expected = ((theta - mean) ** 2).sum() + ((2 * theta - mean) ** 2).sum()
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-10)
    loss.backward()
    np.testing.assert_allclose(p.grad, 2 * (theta - mean) + 4 * (2 * theta - mean), rtol=1e-10)
    assert m.grad is None
    single = losses.historical_averaging([p.float(), 2 * p.float()], [m.float(), m.float()])
    assert single.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("check", [check, check_formula])
def test_against_the_transcription(check) -> None:
    check()


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (historical_averaging, check_formula, "p - m", "p + m"),
        (historical_averaging, check_formula, ".square().sum() for", ".square().mean() for"),
        (historical_averaging, check_formula, ".square().sum() for", ".sum(0).square().sum() for"),
        (historical_averaging, check_formula, "m.detach()", "m"),
        (historical_averaging, check_formula, "strict=True)]).sum()", "strict=True)]).mean()"),
        (HistoricalAveraging.forward, check, "self.weight *", "-self.weight *"),
        (HistoricalAveraging.forward, check, "self.weight *", "self.weight**2 *"),
        (HistoricalAveraging.forward, check, "_foreach_sub(parameters, means)", "_foreach_sub(means, parameters)"),
        (HistoricalAveraging.forward, check, "self.count += 1", "self.count += 2"),
        (HistoricalAveraging.forward, check, "_foreach_div_(steps, self.count)", "_foreach_div_(steps, 3.0)"),
        (HistoricalAveraging.forward, check, "torch._foreach_sub(parameters, means)",
         "[p.mean(-1, keepdim=True) - m if p.dim() else p - m for p, m in zip(parameters, means)]"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def test_frozen_parameters_are_left_out_and_the_first_step_costs_nothing() -> None:
    network, penalty = Wandering(), HistoricalAveraging()
    penalty.follow(network)
    assert [mean.shape for mean in penalty.means] == [p.shape for p in network.trained()]
    assert penalty(network) == 0
    assert len(penalty.state_dict()) == 5


def test_a_term_may_be_differentiated_after_the_next_was_taken() -> None:
    """As with accumulated gradients: what a term compares with does not move with the mean."""
    network, penalty = Wandering(), HistoricalAveraging()
    terms = []
    for t in range(3):
        with torch.no_grad():
            network.a.add_(t)
        terms.append(penalty(network))
        if t == 1:
            expected = torch.autograd.grad(terms[1], network.a, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(terms[1], network.a), expected, rtol=0, atol=0)


@pytest.mark.parametrize("how", ["state_dict", "file", "deepcopy", "pickle"])
def test_it_resumes_exactly_midway(how: str) -> None:
    network, penalty = Wandering(), HistoricalAveraging(0.7)
    for t in range(4):
        network.move(t)
        penalty(network)
    if how == "deepcopy":
        again = copy.deepcopy(penalty)
    elif how == "pickle":
        again = pickle.loads(pickle.dumps(penalty))
    else:
        state = penalty.state_dict()
        if how == "file":
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            state = torch.load(file, weights_only=True)
        again = HistoricalAveraging(0.7)
        again.follow(Wandering())
        again.load_state_dict(state)
    for t in range(4, 10):
        network.move(t)
        one, other = penalty(network), again(network)
        assert torch.equal(one, other)
        for a, b in zip(*(torch.autograd.grad(x, network.trained()) for x in (one, other)), strict=True):
            assert torch.equal(a, b)
    assert again.count == 10
    assert all(a is not b for a, b in zip(penalty.means, again.means, strict=True))


def test_wrong_uses_are_refused() -> None:
    penalty = HistoricalAveraging()
    penalty(nn.Linear(2, 3))
    for other in (nn.Linear(3, 2), nn.Linear(2, 3, bias=False), nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 3))):
        with pytest.raises(ValueError, match="HistoricalAveraging follows one network"):
            penalty(other)
    assert penalty.count == 1
    for weight in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="`weight` of HistoricalAveraging"):
            HistoricalAveraging(weight)


def test_in_single_precision_under_autocast() -> None:
    network, penalty = nn.Linear(3, 2), HistoricalAveraging()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        penalty(network)
        with torch.no_grad():
            network.weight += 1e-3  # too little for bfloat16
        term = penalty(network)
    assert term.dtype == torch.float32
    assert term.item() == pytest.approx(6 * (1e-3 / 2) ** 2, rel=1e-2)


def play(weight: float) -> np.ndarray:
    """The paper's game: x minimises V and y maximises it, each with the term of its own parameter.

    The term is a sum over parameters and so are its derivatives: one call serves both players.
    """

    class Players(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.at = nn.Parameter(torch.tensor([2.0, 2.0], dtype=torch.float64))

    players, penalty, trajectory = Players(), HistoricalAveraging(weight), []
    for _ in range(20_000):
        (step,) = torch.autograd.grad(penalty(players), players.at)
        x, y = players.at.tolist()
        trajectory.append((x, y))
        if max(abs(x), abs(y)) > 1e6:
            break
        slope = [reference.game_f_grad(x) * (y - 1), -(reference.game_f(x) - 1)]
        with torch.no_grad():
            players.at -= 0.05 * (torch.tensor(slope, dtype=torch.float64) + step)
    trajectory.append(tuple(players.at.tolist()))
    return np.array(trajectory)


def test_plain_descent_diverges_in_the_papers_game() -> None:
    trajectory = play(0.0)
    assert np.abs(trajectory).max() > 1e6
    assert len(trajectory) < 2_000


def test_historical_averaging_finds_the_equilibrium_of_the_papers_game() -> None:
    trajectory = play(1.0)
    assert len(trajectory) == 20_001
    np.testing.assert_allclose(trajectory[:201], reference.simulate(steps=200), rtol=1e-10)
    distance = reference.distance_from_equilibrium(trajectory)
    assert distance[-1] == pytest.approx(0.0668, abs=1e-3)
    assert distance[-2_000:].max() < 0.1


def test_another_network_begins_anew_and_an_empty_one_takes_a_saved_state() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    history = HistoricalAveraging()
    history(network)
    with torch.no_grad():
        network.weight.mul_(2)
    expected = history(network)
    assert expected > 0
    fresh = HistoricalAveraging()
    fresh.load_state_dict(history.state_dict())
    assert fresh.count == 2
    assert fresh(network) < expected  # the third value, equal to the second
    history.follow(network)
    assert history.count == 0
    assert history(network) == 0
    with pytest.raises(ValueError, match="trained parameters"):
        HistoricalAveraging()(network.requires_grad_(False))


def test_the_count_does_not_saturate_in_half_precision() -> None:
    network = torch.nn.Linear(1, 1).bfloat16()
    history = HistoricalAveraging()
    history.follow(network)
    history.bfloat16()
    for _ in range(300):
        history(network)
    assert history.count == 300
