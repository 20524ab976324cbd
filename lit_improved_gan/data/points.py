"""Points in the plane from mixtures whose modes are known: where collapse can be seen and counted."""

from abc import abstractmethod
from math import pi
from typing import Any

import torch
from torch import Tensor

from lit_improved_gan.checks import check_positive
from lit_improved_gan.data.base import ImageDataModule
from lit_improved_gan.data.images import Images
from lit_improved_gan.seeding import generator

__all__ = ["GaussiansDataModule", "GridDataModule", "MoonsDataModule", "RingDataModule"]


class PointsDataModule(ImageDataModule):
    """Points ``(N, 2)``, float32, drawn once and for all: every seed sees the same, in another order.

    Args:
        std: standard deviation of the noise in each direction, > 0.
        num_points: training points, >= 1.
        num_test: test points, >= 1; published counts of modes are of 2,500.
        kwargs: those of :class:`~lit_improved_gan.data.base.ImageDataModule`.

    Raises:
        ValueError: an argument is out of its range.
    """

    image_shape = (2,)
    unbounded = True

    def __init__(self, std: float, num_points: int = 50_000, num_test: int = 2_500, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive(type(self).__name__, std=std, num_points=num_points, num_test=num_test)
        self.std, self.num_points, self.num_test = std, num_points, num_test

    def load(self) -> tuple[Images, Images]:
        """Draw the points."""
        return self._draw("training", self.num_points), self._draw("test", self.num_test)

    def _draw(self, part: str, n: int) -> Images:
        source = generator(type(self).__name__, part)
        labels = torch.randint(self.num_classes, (n,), generator=source)
        points = self.without_noise(labels, source)
        return Images(points + self.std * torch.randn(n, 2, generator=source), labels)

    @abstractmethod
    def without_noise(self, labels: Tensor, source: torch.Generator) -> Tensor:
        """Points ``(N, 2)`` of classes ``(N,)``."""


class GaussiansDataModule(PointsDataModule):
    """Equally likely Gaussians of one size; a point's class is the number of its Gaussian.

    Arguments are those of :class:`PointsDataModule`. A subclass sets ``centres`` and ``num_classes``.

    Attributes:
        centres: of the modes, ``(M, 2)``.
        std: of each of them, in each direction.
    """

    centres: Tensor

    def without_noise(self, labels: Tensor, source: torch.Generator) -> Tensor:
        """Their centres."""
        return self.centres[labels]


class RingDataModule(GaussiansDataModule):
    """Gaussians on a circle.

    Args:
        modes: how many, >= 1.
        radius: of the circle, > 0.
        std: of each, > 0.
        kwargs: those of :class:`PointsDataModule`.

    Source: the ring of PacGAN (arXiv:1712.04086) has radius 1 and std 0.01.
    """

    def __init__(self, modes: int = 8, radius: float = 2.0, std: float = 0.02, **kwargs: Any) -> None:
        check_positive("RingDataModule", modes=modes, radius=radius)
        angles = 2 * pi * torch.arange(modes) / modes
        super().__init__(std=std, **kwargs)
        self.centres, self.num_classes = radius * torch.stack([angles.cos(), angles.sin()], 1), modes


class GridDataModule(GaussiansDataModule):
    """Gaussians on a square grid around the origin.

    Args:
        side: Gaussians in a row, and rows, >= 1.
        spacing: distance of neighbours, > 0.
        std: of each, > 0.
        kwargs: those of :class:`PointsDataModule`.

    Source: the grid of PacGAN (arXiv:1712.04086) is that of the defaults.
    """

    def __init__(self, side: int = 5, spacing: float = 2.0, std: float = 0.05, **kwargs: Any) -> None:
        check_positive("GridDataModule", side=side, spacing=spacing)
        line = spacing * (torch.arange(side) - (side - 1) / 2)
        super().__init__(std=std, **kwargs)
        self.centres, self.num_classes = torch.cartesian_prod(line, line), side**2


class MoonsDataModule(PointsDataModule):
    """Two interleaving half circles of radius 1; a point's class is its moon.

    Args:
        std: of the noise, > 0.
        kwargs: those of :class:`PointsDataModule`.

    Source: the curves of ``sklearn.datasets.make_moons``.
    """

    num_classes = 2

    def __init__(self, std: float = 0.05, **kwargs: Any) -> None:
        super().__init__(std=std, **kwargs)

    def without_noise(self, labels: Tensor, source: torch.Generator) -> Tensor:
        """Points on the curves."""
        angles = pi * torch.rand(len(labels), generator=source)
        upper = torch.stack([angles.cos(), angles.sin()], 1)
        lower = torch.stack([1 - angles.cos(), 0.5 - angles.sin()], 1)
        return torch.where(labels.unsqueeze(1) == 0, upper, lower)
