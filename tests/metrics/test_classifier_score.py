"""The score against the formula, and its bundled classifier."""

import numpy as np
import pytest
import torch

from lit_improved_gan.data import DigitsDataModule
from lit_improved_gan.metrics import ClassifierScore, load_classifier

RNG = np.random.default_rng(0)


def formula(p: np.ndarray, splits: int) -> tuple[float, float]:
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        marginal = part.mean(axis=0)
        divergences = [sum(q * np.log(q / m) for q, m in zip(row, marginal, strict=True) if q > 0) for row in part]
        scores.append(np.exp(np.mean(divergences)))
    return float(np.mean(scores)), float(np.std(scores))


def probabilities(kind: str, n: int) -> np.ndarray:
    if kind == "confident":
        return np.eye(7)[RNG.integers(0, 7, size=n)]
    p = RNG.dirichlet(np.full(7, 0.3), size=n)
    return p if kind == "spread" else np.where(p == p.max(axis=1, keepdims=True), 1 - 6e-300, 1e-300)


@pytest.mark.parametrize("kind", ["spread", "confident", "saturated"])
@pytest.mark.parametrize(("n", "splits"), [(100, 10), (103, 10), (50, 1), (12, 10)])
def test_against_the_formula_in_any_order_and_number_of_parts(kind: str, n: int, splits: int) -> None:
    p = probabilities(kind, n)
    expected = formula(p, splits)
    order = RNG.permutation(n)
    metrics = [ClassifierScore(7, n, splits) for _ in range(2)]
    for i, part in enumerate(np.array_split(order, 5)):
        metrics[i % 2].update(torch.tensor(p[part]), torch.tensor(part))
    first, second = metrics  # as two processes would be summed
    for name in ("probability_sum", "negative_entropy", "count"):
        setattr(first, name, getattr(first, name) + getattr(second, name))
    mean, std = first.compute()
    assert mean.item() == pytest.approx(expected[0], rel=1e-12)
    assert std.item() == pytest.approx(expected[1], rel=1e-9, abs=1e-12)
    assert mean.dtype == torch.float64


def test_it_lies_between_one_and_the_number_of_classes() -> None:
    same, all_classes = (ClassifierScore(4, 8, 1) for _ in range(2))
    same.update(torch.full((8, 4), 0.25), torch.arange(8))
    all_classes.update(torch.eye(4).repeat(2, 1), torch.arange(8))
    assert same.compute()[0].item() == pytest.approx(1)
    assert all_classes.compute()[0].item() == pytest.approx(4)


def test_errors_say_what_is_wrong() -> None:
    metric = ClassifierScore(4, 8, 2)
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        metric.update(torch.zeros(3, 5), torch.arange(3))
    with pytest.raises(ValueError, match=r"0\.\.7.*Found 6\.\.8"):
        metric.update(torch.zeros(3, 4), torch.arange(6, 9))
    metric.update(torch.full((3, 4), 0.25), torch.arange(3))
    with pytest.raises(ValueError, match=r"8 samples\. Found 3"):
        metric.compute()
    with pytest.raises(ValueError, match="splits=9"):
        ClassifierScore(4, 8, 9)
    with pytest.raises(ValueError, match="num_classes=1"):
        ClassifierScore(1, 8)


def test_the_bundled_classifier_knows_digits() -> None:
    classifier = load_classifier()
    assert not classifier.training
    assert not any(p.requires_grad for p in classifier.parameters())
    data = DigitsDataModule()
    data.setup()
    wrong = (classifier(data.test.images / 127.5 - 1).argmax(1) != data.test.labels).float().mean()
    assert wrong.item() <= 0.02


def test_files_that_hold_no_classifier_are_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`classifier`.*none\.ckpt"):
        load_classifier(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"`classifier`.*other\.ckpt"):
        load_classifier(tmp_path / "other.ckpt")


def test_code_in_a_file_is_never_run(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_run"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="damaged, or no checkpoint"):
        load_classifier(tmp_path / "evil.ckpt")
    assert not (tmp_path / "was_run").exists()
