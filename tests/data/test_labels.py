"""Which images are labelled."""

import numpy as np
import pytest
import torch

from lit_improved_gan import DigitsDataModule
from lit_improved_gan.data.labels import labelled_rows

LABELS = torch.arange(60) % 4


def test_each_class_has_the_count_and_no_row_comes_twice() -> None:
    rows = labelled_rows(LABELS, 4, 5, seed=0)
    assert torch.equal(torch.bincount(LABELS[rows]), torch.full((4,), 5))
    assert len(rows.unique()) == 20


def test_larger_counts_contain_smaller_ones_and_seeds_differ() -> None:
    small, large = (labelled_rows(LABELS, 4, count, seed=0).view(4, count) for count in (3, 9))
    assert torch.equal(large[:, :3], small)
    assert not torch.equal(small, labelled_rows(LABELS, 4, 3, seed=1).view(4, 3))


@pytest.mark.parametrize(
    ("labels", "classes", "count", "found"),
    [
        (LABELS, 4, 0, "labels_per_class=0"),
        (LABELS, 4, 16, "class 0 has 15"),
        (LABELS, 5, 1, "class 4 has 0"),
    ],
)
def test_impossible_counts_are_refused(labels, classes: int, count: int, found: str) -> None:
    with pytest.raises(ValueError, match="`labels_per_class`") as error:
        labelled_rows(labels, classes, count, seed=0)
    assert found in str(error.value)


def released(labels: np.ndarray, classes: int, count: int, seed: int) -> list[int]:
    """The lines of the released script, of row numbers instead of images."""
    trainx, trainy = np.arange(len(labels)), labels
    data_rng = np.random.RandomState(seed)
    inds = data_rng.permutation(trainx.shape[0])
    trainx, trainy = trainx[inds], trainy[inds]
    return [int(row) for j in range(classes) for row in trainx[trainy == j][:count]]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_released_subset_is_that_of_the_authors(seed: int) -> None:
    for count in (1, 5):
        rows = labelled_rows(LABELS, 4, count, seed, released=True)
        assert rows.tolist() == released(LABELS.numpy(), 4, count, seed)
    assert rows.tolist() != labelled_rows(LABELS, 4, 5, seed).tolist()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_the_authors_could_not_give_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"label_seed={seed}"):
        labelled_rows(LABELS, 4, 1, seed, released=True)


def test_the_released_subset_of_all_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`released_labels` of DigitsDataModule .*labels_per_class=None"):
        DigitsDataModule(released_labels=True)
