"""Which training images are labelled."""

import torch
from torch import Tensor

from lit_improved_gan.seeding import permutation

__all__ = ["labelled_rows"]


def labelled_rows(labels: Tensor, num_classes: int, count: int, seed: int) -> Tensor:
    """Choose ``count`` rows of each class at random.

    Args:
        labels: classes 0..num_classes-1 of the training set, or -1 where unknown, ``(N,)``, int64.
        num_classes: K.
        count: rows of each class, >= 1.
        seed: chooses them; the first k of a larger count are those of count k.

    Returns:
        ``(K * count,)``, int64, class by class.

    Raises:
        ValueError: ``count`` is below 1, or a class has fewer rows.
    """
    if count < 1:
        raise ValueError(f"Parameter `labels_per_class` should be 1 or more. Found labels_per_class={count}.")
    sizes = torch.bincount(labels[labels >= 0], minlength=num_classes)
    smallest = int(sizes.argmin())
    if sizes[smallest] < count:
        found = f"class {smallest} has {int(sizes[smallest])} training images"
        raise ValueError(
            f"Parameter `labels_per_class` should be at most the size of every class. Found labels_per_class={count}, "
            f"and {found}: ask for fewer labels, hold out less, or add images of that class."
        )
    shuffled = permutation(len(labels), seed, "labelled subset")
    return torch.cat([shuffled[labels[shuffled] == k][:count] for k in range(num_classes)])
