"""What the paper reports of semi-supervised training."""

from typing import NamedTuple

__all__ = ["TABLES", "Table"]


class Table(NamedTuple):
    """An experiment, the size of its data, and the paper's mean and standard deviation by number of labels."""

    config: str
    test_images: int
    smallest_class: int  # of the training set
    percent: bool
    paper: dict[int, tuple[float, float]]
    ensemble: dict[int, tuple[float, float]]  # of ten


TABLES = {
    "table1": Table(
        "mnist_ssl",
        10_000,
        5_421,
        False,
        {20: (1677, 452), 50: (221, 136), 100: (93, 6.5), 200: (90, 4.2)},
        {20: (1134, 445), 50: (142, 96), 100: (86, 5.6), 200: (81, 4.3)},
    ),
    "table2": Table(
        "cifar10_ssl",
        10_000,
        5_000,
        True,
        {1000: (21.83, 2.01), 2000: (19.61, 2.09), 4000: (18.63, 2.32), 8000: (17.72, 1.82)},
        {1000: (19.22, 0.54), 2000: (17.25, 0.66), 4000: (15.59, 0.47), 8000: (14.87, 0.89)},
    ),
    "svhn": Table(
        "svhn_ssl",
        26_032,
        4_659,
        True,
        {500: (18.44, 4.8), 1000: (8.11, 1.3), 2000: (6.16, 0.58)},
        {1000: (5.88, 1.0)},
    ),
}
