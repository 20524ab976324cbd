"""MNIST for members side by side whose numbers of labels differ, as those of all of Table 1 at once."""

from typing import Any

from torch import Tensor

from lit_improved_gan import MNISTDataModule
from lit_improved_gan.data.labels import labelled_rows

__all__ = ["LabelsBySeed", "seed_with"]

_SEEDS = 1000


def seed_with(labels: int, seed: int) -> int:
    """The member's seed that stands for this number of labels and this seed of the subset: 20003 for 20 and 3.

    Raises:
        ValueError: the seed is not in 0..999.
    """
    if not 0 <= seed < _SEEDS:
        raise ValueError(f"Seeds of several numbers of labels at once should be in 0..{_SEEDS - 1}. Found {seed}.")
    return labels * _SEEDS + seed


class LabelsBySeed(MNISTDataModule):
    """A labelled subset for each seed that :func:`seed_with` makes; the order of the images is that of the whole seed.

    Args:
        **kwargs: those of MNISTDataModule, without ``labels_per_class``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(labels_per_class=1, **kwargs)  # that labels are chosen; how many, the seed says

    def labelled_rows(self, seed: int | None = None) -> Tensor:
        """The rows with labels of this seed."""
        whole = self.label_seed if seed is None else seed
        assert whole is not None  # setup has set it
        labels, chosen_by = divmod(whole, _SEEDS)
        known = self._training_set().labels
        return labelled_rows(known, self.num_classes, labels // self.num_classes, chosen_by, self.released_labels)
