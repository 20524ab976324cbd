"""The Inception score of given logits against the formula."""

import numpy as np
import pytest
import torch
from helpers.fake_features import FakeFeatures, images_of
from helpers.mutate import plant
from helpers.references import inception_score as reference
from helpers.summed import summed

from lit_improved_gan.metrics import InceptionScore
from lit_improved_gan.metrics.classifier_score import group_sums, score_of_groups

SIZES = [(100, 10), (103, 10), (50, 1), (12, 10), (10, 10)]
KINDS = ["spread", "confident", "saturated"]


def logits_of(kind: str, n: int, classes: int = 7) -> np.ndarray:
    rng = np.random.default_rng(n)
    spread = rng.normal(size=(n, classes))
    scale = {"spread": 2.0, "confident": 200.0, "saturated": 1e5}[kind]
    return spread * scale + 3.0 * rng.normal(size=(n, 1))


def check(kind: str, n: int, splits: int, objects: int = 1) -> None:
    logits = logits_of(kind, n)
    expected = reference.inception_score(reference.softmax(logits), splits)
    metrics = [InceptionScore(num_features=7, splits=splits, num_samples=n) for _ in range(objects)]
    for i, part in enumerate(np.array_split(np.random.default_rng(1).permutation(n), 5)):
        metrics[i % objects].update(torch.tensor(logits[part]), numbers=torch.tensor(part))
    found = summed(metrics).compute()
    assert list(found) == ["classifier_score", "classifier_score_std"]
    assert all(value.dtype == torch.float64 for value in found.values())
    assert found["classifier_score"].item() == pytest.approx(expected[0], rel=1e-12)
    assert found["classifier_score_std"].item() == pytest.approx(expected[1], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "splits"), SIZES)
def test_against_the_formula_in_any_order_and_number_of_parts(kind: str, n: int, splits: int, objects: int) -> None:
    check(kind, n, splits, objects)


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (score_of_groups, "- torch.xlogy", "+ torch.xlogy"),
        (score_of_groups, "negative_entropy / count", "negative_entropy"),
        (score_of_groups, "probability / count.unsqueeze(1)", "probability"),
        (score_of_groups, ".sum(1)).exp()", ".mean(1)).exp()"),
        (group_sums, "right=True", "right=False"),
        (group_sums, "i * n // splits for i", "min(i * -(-n // splits), n) for i"),
        (InceptionScore.update, "log_softmax(1)", "log_softmax(0)"),
        (InceptionScore.update, "(log_p.exp() * log_p).sum(1)", "-(log_p.exp() * log_p).sum(1)"),
        (InceptionScore.update, "(log_p.exp() * log_p).sum(1)", "log_p.mean(1)"),
        (InceptionScore.update, ", numbers, self.num", ", torch.arange(len(numbers)), self.num"),
        (InceptionScore.update, ".double()", ".float()"),
        (InceptionScore.compute, "correction=0", "correction=1"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        check("spread", 103, 10)


def test_without_numbers_images_come_in_order() -> None:
    logits = torch.tensor(logits_of("spread", 23))
    numbered, plain = (InceptionScore(num_features=7, splits=4, num_samples=23) for _ in range(2))
    numbered.update(logits, numbers=torch.arange(23))
    for part in logits.split(5):
        plain.update(part)
    assert plain.compute() == numbered.compute()


def test_it_lies_between_one_and_the_number_of_classes() -> None:
    for n, splits in SIZES:
        for kind in KINDS:
            metric = InceptionScore(num_features=7, splits=splits, num_samples=n)
            metric.update(torch.tensor(logits_of(kind, n)))
            assert 1 - 1e-12 <= metric.compute()["classifier_score"] <= 7 + 1e-12
    for logits, expected in [(torch.zeros(8, 4), 1), (1e4 * torch.eye(4).repeat(2, 1), 4)]:
        metric = InceptionScore(num_features=4, splits=2, num_samples=8)
        metric.update(logits)
        assert metric.compute()["classifier_score"].item() == pytest.approx(expected, rel=1e-12)


def test_a_constant_added_to_all_logits_and_an_order_of_classes_change_nothing() -> None:
    logits = torch.tensor(logits_of("spread", 30))
    changed = logits.flip(1) + torch.arange(30.0).unsqueeze(1)
    values = []
    for given in (logits, changed):
        metric = InceptionScore(num_features=7, splits=3, num_samples=30)
        metric.update(given)
        values.append(metric.compute()["classifier_score"])
    torch.testing.assert_close(*values, rtol=1e-12, atol=0)


def test_real_images_have_no_part_and_do_not_pass_the_network() -> None:
    extractor = FakeFeatures()
    alone, both = (InceptionScore(extractor, "logits", splits=2, num_samples=12) for _ in range(2))
    both.update(images_of(1), real=True)
    assert not extractor.passes
    for metric in (alone, both):
        metric.update(images_of(0))
    assert both.compute() == alone.compute()
    assert list(both.compute()) == ["classifier_score_logits", "classifier_score_logits_std"]
    assert not both.needs_real
    assert not both.real_state()


def test_errors_say_what_is_wrong() -> None:
    def make(**kwargs):
        return InceptionScore(**{"num_features": 4, "splits": 2, **kwargs})

    with pytest.raises(ValueError, match=r"`splits` of InceptionScore should be 1 or more\. Found 0"):
        make(splits=0)
    with pytest.raises(ValueError, match="2 classes or more"):
        make(num_features=1)
    with pytest.raises(ValueError, match=r"Found 1 images, splits=2"):
        make(num_samples=1)
    with pytest.raises(ValueError, match=r"Give `num_samples`"):
        make().update(torch.zeros(3, 4))
    metric = make(num_samples=8)
    with pytest.raises(ValueError, match=r"`numbers` should be in 0\.\.7\. Found 6\.\.8"):
        metric.update(torch.zeros(3, 4), numbers=torch.arange(6, 9))
    metric.update(torch.zeros(3, 4), numbers=torch.arange(3))
    with pytest.raises(ValueError, match=r"promised 8 images\. Found 3"):
        metric.compute()


def test_the_number_of_images_may_be_said_later() -> None:
    metric = InceptionScore(num_features=4, splits=2)
    with pytest.raises(ValueError, match="splits=2"):
        metric.expect(100, 1)
    metric.expect(0, 8)
    metric.update(torch.zeros(8, 4))
    metric.compute()


def test_images_in_the_groups_of_others_are_refused() -> None:
    """As two processes do that each begin at zero: the sum is right, the groups are not."""
    metrics = [InceptionScore(num_features=4, splits=3, num_samples=13) for _ in range(2)]
    metrics[0].update(torch.zeros(7, 4))
    metrics[1].update(torch.zeros(6, 4))
    with pytest.raises(ValueError, match=r"number of its own.*`numbers`"):
        summed(metrics).compute()
