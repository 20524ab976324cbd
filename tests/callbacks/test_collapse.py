"""What is said of the generator's variety."""

from collections.abc import Callable
from math import inf, nan, pi
from typing import Any

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import collapse as reference

from lit_improved_gan.callbacks.collapse import CollapseWindow, missed_variety, spread
from lit_improved_gan.callbacks.distances import Distances


def check_formulas() -> None:
    check(spread, reference.spread)
    check(missed_variety, reference.missed_variety)


def check(function: Callable[..., Any], expected: Callable[..., float]) -> None:
    source = np.random.default_rng(0)
    for scale, gap in [(1.0, 0.0), (0.1, 0.0), (0.0, 1.0), (2.0, 5.0)]:
        real, fake = source.normal(size=(20, 2, 3)), scale * source.normal(size=(20, 2, 3)) + gap
        value = float(function(Distances.between(torch.tensor(real), torch.tensor(fake))))
        assert value == pytest.approx(expected(real.reshape(20, -1), fake.reshape(20, -1)), abs=1e-5)


def test_against_the_transcription() -> None:
    check_formulas()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (Distances.between, "cdist(g, g)", "cdist(x, g)"),
        (Distances.between, "cdist(x, x)", "cdist(g, g)"),
        (Distances.between, "flatten(1)", "sum(2)"),
        (Distances.between, ".fill_diagonal_(torch.inf)", ""),
        (Distances.between, ".amin(1)", ".amax(1)"),
        (spread, "samples.fake.sum() / samples.real.sum()", "samples.real.sum() / samples.fake.sum()"),
        (missed_variety, "amin(1)", "amin(0)"),
        (missed_variety, "(n - 1)", "n"),
        (missed_variety, "(missed - nearest)", "missed"),
        (missed_variety, "/ (any_other - nearest)", "/ any_other"),
    ],
)
def test_an_error_planted_is_found(monkeypatch, function: Any, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check_formulas()


def ring(modes: list[int], n: int = 800) -> torch.Tensor:
    angles = 2 * pi * torch.tensor(modes)[torch.arange(n) % len(modes)] / 8
    return torch.stack([angles.cos(), angles.sin()], 1) + 1e-3 * torch.randn(n, 2)


def test_values_of_few_modes_of_a_ring() -> None:
    torch.manual_seed(0)
    real = ring(list(range(8)))
    for modes, expected in [([3], 1.0), ([0, 4], 0.59), ([0, 2, 4, 6], 0.30), (list(range(8)), 0.0)]:
        assert float(missed_variety(Distances.between(real, ring(modes)))) == pytest.approx(expected, abs=0.01)
    assert float(spread(Distances.between(real, ring([3])))) < 0.01
    assert float(spread(Distances.between(real, ring(list(range(8)))))) == pytest.approx(1.0, abs=0.01)


def test_neither_depends_on_units_place_or_order() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(50, 4), torch.randn(50, 4) / 2
    for function in (spread, missed_variety):
        expected = float(function(Distances.between(real, fake)))
        scaled, reordered = (
            Distances.between(3 * real + 1, 3 * fake + 1),
            Distances.between(real.flip(0), fake.roll(7, 0)),
        )
        assert float(function(scaled)) == pytest.approx(expected, abs=1e-4)
        assert float(function(reordered)) == pytest.approx(expected, abs=1e-5)


def test_samples_that_do_not_differ_say_nothing() -> None:
    same = torch.ones(5, 2)
    assert missed_variety(Distances.between(same, torch.zeros(5, 2))).isnan()
    two = Distances.between(torch.randn(2, 3), torch.randn(2, 3))
    assert missed_variety(two).isnan()  # the nearest is any other
    window = CollapseWindow(2, missed=0.5, spread=0.9)
    assert {window.add(at(nan, inf)) for _ in range(9)} == {"varied"}


def at(missed: float, spread: float = 0.3) -> dict[str, float]:
    return {"missed": missed, "spread": spread, "d_real": 0.5}


def check_window() -> None:
    window = CollapseWindow(3, missed=0.5, spread=0.9)
    assert [window.add(at(0.8)) for _ in range(6)] == [*["varied"] * 5, "collapsing"]  # a first window is passed over
    assert window.mean("missed") == pytest.approx(0.8)
    assert [window.add(at(0.2)), window.add(at(0.2)), window.add(at(0.8))] == ["collapsing"] * 3
    assert [window.add(at(0.2)) for _ in range(3)] == ["collapsing", "collapsing", "varied"]
    assert [window.add(at(0.8)), window.add(at(0.8)), window.add(at(0.8, 1.5))] == ["varied"] * 3  # wide
    assert [window.add(at(0.5, 0.9)) for _ in range(3)] == ["varied", "varied", "collapsing"]


def test_the_state_begins_where_all_looks_say_so_and_ends_where_none_does() -> None:
    check_window()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.passed_over < self.size", "False"),
        ("all(said)", "any(said)"),
        ("elif not any(said)", "else"),
        (" and one[\"spread\"] <= self.spread", ""),
        (">= self.missed", "> self.missed"),
    ],
)  # fmt: skip
def test_an_error_planted_in_the_window_is_found(monkeypatch, old: str, new: str) -> None:
    plant(monkeypatch, CollapseWindow.add, old, new)
    with pytest.raises(AssertionError):
        check_window()


def test_a_window_that_is_saved_goes_on() -> None:
    one = CollapseWindow(3, 0.5, 0.9)
    for _ in range(9):
        other = CollapseWindow(3, 0.5, 0.9)
        other.load_state_dict(one.state_dict())
        assert one.add(at(0.8)) == other.add(at(0.8))
    assert one.state == "collapsing"
