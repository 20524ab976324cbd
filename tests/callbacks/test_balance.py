"""What is said of the two players' balance."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import balance as reference

from lit_improved_gan.callbacks.balance import BalanceWindow, look, nearest_neighbour_accuracy
from lit_improved_gan.callbacks.collapse import missed_variety
from lit_improved_gan.callbacks.distances import Distances


def check_neighbours() -> None:
    source = np.random.default_rng(0)
    for gap in (0.0, 0.5, 2.0, 50.0):
        real, fake = source.normal(size=(30, 2, 3)), source.normal(size=(30, 2, 3)) + gap
        expected = reference.nearest_neighbour_accuracy(real.reshape(30, -1), fake.reshape(30, -1))
        found = float(nearest_neighbour_accuracy(Distances.between(torch.tensor(real), torch.tensor(fake))))
        assert found == pytest.approx(expected)
    assert found == 1.0


def test_neighbours_against_the_transcription() -> None:
    check_neighbours()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (Distances.between, ".fill_diagonal_(torch.inf)", ""),
        (Distances.between, "flatten(1)", "sum(2)"),
        (Distances.between, "cdist(g, g)", "cdist(x, x)"),
        (nearest_neighbour_accuracy, "nearest_fake", "nearest_real"),
        (nearest_neighbour_accuracy, "across.amin(0)", "across.amin(1)"),
        (nearest_neighbour_accuracy, "<=", ">="),
    ],
)
def test_an_error_planted_is_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        check_neighbours()


def test_one_distribution_scores_about_a_half() -> None:
    source = torch.Generator().manual_seed(0)
    scores = [
        nearest_neighbour_accuracy(Distances.between(*torch.randn(2, 128, 5, generator=source))) for _ in range(30)
    ]
    assert float(torch.stack(scores).mean()) == pytest.approx(0.5, abs=0.02)


def test_values_of_a_look() -> None:
    real, fake = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 4.0]]), torch.ones(4, 2) * 9
    found = look(real, fake, torch.tensor([9.0, 1.0, 1.0, -1.0]), torch.tensor([-9.0, -9.0, 3.0, -1.0]))
    probabilities = torch.tensor([[9.0, 1.0, 1.0, -1.0], [-9.0, -9.0, 3.0, -1.0]]).sigmoid().mean(1)
    expected = [*probabilities.tolist(), 0.75, 0.75, 3 / 8, 1.0]
    expected += [float(missed_variety(Distances.between(real, fake))), 0.0]
    assert [float(value) for value in found.values()] == pytest.approx(expected)
    assert list(found) == [
        "d_real", "d_fake", "accuracy_real", "accuracy_fake", "saturation", "neighbour_accuracy", "missed", "spread",
    ]  # fmt: skip


def at(accuracy: float, neighbours: float = 0.5) -> dict[str, float]:
    return {"accuracy_real": accuracy, "accuracy_fake": accuracy, "neighbour_accuracy": neighbours}


def test_a_state_is_that_of_a_full_window_and_ends_with_a_margin() -> None:
    window = BalanceWindow(3, strong=0.97, weak=0.6, differ=0.9)
    assert [window.add(at(1.0)) for _ in range(3)] == ["balanced", "balanced", "too strong"]
    assert window.add(at(0.87)) == "too strong"  # 0.957 is within the margin
    assert window.add(at(0.87)) == "balanced"
    assert [window.add(at(0.5, 1.0)) for _ in range(3)] == ["balanced", "balanced", "too weak"]
    assert window.add(at(0.5, 0.7)) == "too weak"  # 0.9
    assert window.add(at(0.5, 0.7)) == "balanced"  # 0.8


def test_a_state_that_may_not_begin_goes_on_but_does_not_begin() -> None:
    window = BalanceWindow(2, strong=0.97, weak=0.6, differ=0.9)
    assert [window.add(at(1.0), may_begin=False) for _ in range(3)] == ["balanced"] * 3
    assert [window.add(at(1.0)), window.add(at(1.0), may_begin=False)] == ["too strong"] * 2
    assert [window.add(at(0.5, 1.0), may_begin=False) for _ in range(3)] == ["balanced"] * 3
    assert window.add(at(0.5, 1.0)) == "too weak"


def test_neither_the_equilibrium_nor_a_contest_is_an_event() -> None:
    for accuracy, neighbours in [(0.5, 0.55), (0.5, 0.85), (0.7, 1.0), (0.9, 1.0)]:
        window = BalanceWindow(3, strong=0.97, weak=0.6, differ=0.9)
        assert {window.add(at(accuracy, neighbours)) for _ in range(9)} == {"balanced"}


def test_a_window_that_is_saved_goes_on() -> None:
    one, other = (BalanceWindow(3, 0.97, 0.6, 0.9) for _ in range(2))
    for _ in range(2):
        one.add(at(1.0))
    other.load_state_dict(one.state_dict())
    assert one.add(at(1.0)) == other.add(at(1.0)) == "too strong"
