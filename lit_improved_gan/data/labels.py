"""Which training images are labelled."""

import numpy as np
import torch
from torch import Tensor

from lit_improved_gan.seeding import permutation

__all__ = ["check_labelled", "labelled_rows"]


def labelled_rows(labels: Tensor, num_classes: int, count: int, seed: int, released: bool = False) -> Tensor:
    """Choose ``count`` rows of each class at random.

    Args:
        labels: classes 0..num_classes-1 of the training set, or -1 where unknown, ``(N,)``, int64.
        num_classes: K.
        count: rows of each class, >= 1.
        seed: chooses them; the first k of a larger count are those of count k.
        released: choose those of the released scripts with ``--seed_data seed``. For MNIST, CIFAR-10 and SVHN in the
            order in which torchvision has them, and nothing held out, they are the authors' own subsets.

    Returns:
        ``(K * count,)``, int64, class by class.

    Raises:
        ValueError: ``count`` is below 1, a class has fewer rows, or ``seed`` is none that NumPy takes.

    Source: paper section 5; openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_mnist_feature_matching.py``.
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
    shuffled = _released_order(len(labels), seed) if released else permutation(len(labels), seed, "labelled subset")
    return torch.cat([shuffled[labels[shuffled] == k][:count] for k in range(num_classes)])


def check_labelled(name: str, labels: Tensor, num_classes: int, every_class: bool) -> None:
    """Check that there are training images with a label.

    Args:
        name: of the DataModule.
        labels: classes 0..num_classes-1 of the training set, or -1 where unknown, ``(N,)``, int64.
        num_classes: K.
        every_class: whether of each class.

    Raises:
        ValueError: there are none, or none of a class, which is named.
    """
    sizes = torch.bincount(labels[labels >= 0], minlength=num_classes)
    if not sizes.any():
        raise ValueError(
            f"{name} should have training images with a label: `labelled` batches are asked for. "
            "Found none; all labels are -1."
        )
    if every_class and not sizes.all():
        raise ValueError(
            f"{name} should have training images with a label of each of its {num_classes} classes. Found none of "
            f"{(sizes == 0).nonzero().flatten().tolist()[:10]}: label some, hold out less by `val_size`, or number the "
            "classes that there are from 0."
        )


def _released_order(n: int, seed: int) -> Tensor:
    if not 0 <= seed < 2**32:
        raise ValueError(
            f"The released scripts' subset is chosen by a seed of NumPy, 0 to 2**32 - 1. Found label_seed={seed}: "
            "give another one, or leave out `released_labels`."
        )
    return torch.from_numpy(np.random.RandomState(seed).permutation(n))
