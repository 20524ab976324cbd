"""Generated points over the data's density, with the discriminator's surface, as a picture and as an animation."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from lit_improved_gan.axis import batches_done
from lit_improved_gan.callbacks.numbered_samples import check_samples
from lit_improved_gan.losses import real_logit
from lit_improved_gan.types import DiscriminatorOutput, seeds_of
from lit_improved_gan.untouched import evaluating, untouched_noise

__all__ = ["PointPictures", "draw_points"]

_SIDE = 50  # of the discriminator's surface, in points


class PointPictures(Callback):
    """Save ``points.png``, the last state, and ``points.gif``, all of them, below the run directory when training ends.

    Grey is the density of the real points; green is where the discriminator says "real", red where it says "generated"
    (left out where it judges examples together, as with minibatch discrimination or packing, and of seeds side by
    side, whose samples are drawn together); blue are samples of the averaged generator, always from the same noise. It
    needs no display. A resumed run goes on with its animation.

    Works on any LightningModule with ``sample(n, seed)`` that returns points ``(n, 2)``, and with ``batches`` or
    Lightning's ``global_step`` to count training batches; its ``discriminator``, if it has one, returns logits or a
    :class:`~lit_improved_gan.types.DiscriminatorOutput`. The datamodule has ``real_images(split)`` that returns points.

    Args:
        every_n_batches: training batches between two pictures of the animation, >= 1.
        num_samples: points that are drawn, >= 1.
        seed: of the samples.

    Raises:
        ValueError: an argument is out of its range; in ``setup``: the data are no points in the plane.
        TypeError: in ``setup``: the module makes no samples.
    """

    def __init__(self, every_n_batches: int = 100, num_samples: int = 500, seed: int = 0) -> None:
        for name, value in [("every_n_batches", every_n_batches), ("num_samples", num_samples)]:
            if value < 1:
                raise ValueError(f"Parameter `{name}` of PointPictures should be 1 or more. Found {name}={value}.")
        self.every_n_batches, self.num_samples, self.seed = every_n_batches, num_samples, seed
        self.frames: list[dict[str, Any]] = []

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Check the module and the data."""
        check_samples("PointPictures", pl_module)
        shape = getattr(trainer.datamodule, "image_shape", None)
        if stage == "fit" and shape != (2,):
            raise ValueError(
                f"PointPictures draws points in the plane, of `image_shape` (2,). Found {shape}: take it out, and "
                "SampleGrid for images."
            )

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Keep what is drawn, where it is due."""
        batches = batches_done(trainer, pl_module)
        if batches % self.every_n_batches == 0 and trainer.is_global_zero:
            self.frames.append(self._frame(trainer, pl_module, batches))

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Draw."""
        if not trainer.is_global_zero:
            return
        batches = batches_done(trainer, pl_module)
        if not self.frames or self.frames[-1]["batches"] != batches:
            self.frames.append(self._frame(trainer, pl_module, batches))
        draw_points(trainer.datamodule.real_images("train"), self.frames, Path(trainer.default_root_dir))

    @torch.no_grad()
    def _frame(self, trainer: Trainer, pl_module: Any, batches: int) -> dict[str, Any]:
        with untouched_noise(pl_module.device):
            samples = pl_module.sample(self.num_samples, seed=self.seed).float().cpu()
            surface = self._surface(trainer, pl_module)
        return {"batches": batches, "samples": samples, "surface": surface}

    def _surface(self, trainer: Any, pl_module: Any) -> Tensor | None:
        """D(x) on a grid over the picture, ``(side, side)``, rows from below."""
        network = getattr(pl_module, "discriminator", None)
        if network is None or not getattr(network, "independent_examples", True) or seeds_of(pl_module) != [None]:
            return None
        low, high = _bounds(trainer.datamodule.real_images("train"))
        line = torch.linspace(low, high, _SIDE)
        y, x = torch.meshgrid(line, line, indexing="ij")
        points = torch.stack([x, y], 2).flatten(0, 1).to(pl_module.device, next(network.parameters()).dtype)
        with evaluating(network):
            chance = real_logit(DiscriminatorOutput.of(network(points)).logits).float().sigmoid()
        return chance.view(_SIDE, _SIDE).cpu()

    def state_dict(self) -> dict[str, Any]:
        """What was drawn."""
        return {"frames": self.frames}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the checkpoint's."""
        self.frames = list(state_dict["frames"])


def _bounds(points: Tensor) -> tuple[float, float]:
    """The least and the largest coordinate, and some air."""
    low, high = (float(value) for value in points.aminmax())
    air = 0.2 * (high - low)
    return low - air, high + air


def draw_points(real: Tensor, frames: list[dict[str, Any]], folder: Path) -> None:
    """Draw ``points.png``, the last frame, and ``points.gif``.

    Args:
        real: points of the data, ``(N, 2)``.
        frames: of each, ``batches``, ``samples`` ``(n, 2)``, and ``surface`` ``(side, side)`` or ``None``.
        folder: where the files are written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.animation import FuncAnimation, PillowWriter

    low, high = _bounds(real)
    extent = (low, high, low, high)
    figure, axis = plt.subplots(figsize=(4, 4.2))
    blank = torch.full((_SIDE, _SIDE), 0.5)
    colours = axis.imshow(blank.numpy(), "RdYlGn", origin="lower", extent=extent, vmin=0, vmax=1, alpha=0.5)
    density = torch.histogramdd(real.double(), [100, 100], [low, high, low, high]).hist.T
    shown = density.clamp(max=float(density[density > 0].median())) / float(density[density > 0].median())
    axis.imshow(
        (0.6 * shown).numpy(),
        "gray_r",
        origin="lower",
        extent=extent,
        vmin=0,
        vmax=1,
        alpha=(shown > 0).double().numpy(),
    )
    (dots,) = axis.plot([], [], ".", color="tab:blue", markersize=3, alpha=0.7)
    axis.set(xlim=(low, high), ylim=(low, high), xticks=[], yticks=[])

    def show(number: int) -> Any:
        frame = frames[number]
        colours.set_data((blank if frame["surface"] is None else frame["surface"]).numpy())
        dots.set_data(*frame["samples"].T.numpy())
        axis.set_title(f"{frame['batches']} training batches")
        return colours, dots

    figure.tight_layout()
    animation = FuncAnimation(figure, show, frames=len(frames))
    animation.save(folder / "points.gif", PillowWriter(fps=8), dpi=80)
    show(len(frames) - 1)
    figure.savefig(folder / "points.png", dpi=120)
    plt.close(figure)
