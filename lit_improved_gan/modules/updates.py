"""One update of one player: its losses, gradients, clipping, and the check that all is finite."""

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from lit_improved_gan.modules.captured import CapturedGradient
from lit_improved_gan.modules.counting import CountingModule, count, uncounted
from lit_improved_gan.types import DivergedError

__all__ = ["UpdatingModule", "check_clip"]

PLAYERS = ("discriminator", "generator")


class _Seen(NamedTuple):
    """What an update was like; the numbers are read when they are needed, as that waits for the device."""

    batch: int
    player: str
    loss: Tensor
    norm: Tensor | None


class UpdatingModule(CountingModule):
    """Makes the updates of two players, each with an optimizer, D's first.

    Attributes:
        discriminator_clip: largest norm of D's gradient, above which it is scaled down; ``None``: any.
        generator_clip: the same of G's.
        cuda_graphs: whether the computation of a gradient is captured once and replayed.
        gradient_norms: those of the last update of each player, before clipping.
        recover: called where training diverged, with the error; it puts an earlier state back, or raises. ``None``: the
            error is raised.
    """

    discriminator_clip: float | None = None
    generator_clip: float | None = None
    cuda_graphs: bool = False
    recover: Callable[[DivergedError], None] | None = None

    def __init__(self, seed: int | None) -> None:
        super().__init__(seed)
        self._loss = torch.zeros(())
        self.gradient_norms: dict[str, Tensor] = {}
        self._unread: list[_Seen] = []
        self._captured: dict[str, CapturedGradient] = {}

    def update(
        self,
        optimizer: LightningOptimizer,
        loss: str,
        compute: Callable[..., dict[str, Tensor]],
        parts: Sequence[tuple[Any, ...]],
        counted: bool,
    ) -> dict[str, Tensor]:
        """One update of one player; the other's weights are constants.

        Args:
            optimizer: the player's.
            loss: the name of what is minimised.
            compute: maps a part of the data to the losses by name.
            parts: its arguments for each part; the mean of their losses is minimised.
            counted: whether ``global_step`` moves.

        Returns:
            the means of the losses.

        Raises:
            DivergedError: a loss or the gradient is not finite.
        """
        gradient = partial(self._gradient, loss, compute)
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            if self.cuda_graphs:
                if loss not in self._captured:
                    self._captured[loss] = CapturedGradient()
                weights = [p for group in optimizer.param_groups for p in group["params"]]
                logs = self._captured[loss](gradient, list(parts), weights, getattr(self, "real_target", None))
            else:
                logs = gradient(parts)
            self._loss = logs[loss]
            with uncounted(optimizer):  # it may diverge
                optimizer.step()
            if counted:
                count(optimizer)
        return logs

    def _gradient(
        self, loss: str, compute: Callable[..., dict[str, Tensor]], parts: Sequence[tuple[Any, ...]]
    ) -> dict[str, Tensor]:
        logs: dict[str, Tensor] = {}
        for part in parts:
            found = compute(*part)
            with torch.autocast(self.device.type, enabled=False):  # Lightning's covers the whole training step
                self.manual_backward(found[loss] / len(parts))
            for name, value in found.items():
                logs[name] = logs.get(name, 0) + value.detach() / len(parts)
        return logs

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient, which is no longer scaled here, and check that it is finite."""
        optimizers: Any = self.trainer.optimizers
        player = PLAYERS[optimizers.index(optimizer)]
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        norm = get_total_norm([p.grad for p in weights if p.grad is not None])
        self.gradient_norms[player] = norm
        limit = getattr(self, f"{player}_clip")
        if limit is not None:
            clip_grads_with_norm_(weights, limit, norm)
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None  # it skips what is not finite
        self._unread.append(_Seen(self.batches + 1, player, self._loss, None if scaled else norm))
        if self.read_at_once:
            self.check_finite()

    @property
    def read_at_once(self) -> bool:
        """Whether each update is checked as it is made; on an accelerator they are when losses are logged."""
        return self.device.type == "cpu"

    def check_finite(self) -> None:
        """Check the updates since the last check.

        Raises:
            DivergedError: a loss or a gradient was not finite.
        """
        seen, self._unread = self._unread, []
        values = [value for one in seen for value in (one.loss, one.norm) if value is not None]
        if not values or bool(torch.stack([value.float() for value in values]).isfinite().all()):
            return
        for one in seen:
            for name, value in [("loss", one.loss), ("norm of the gradient", one.norm)]:
                if value is not None and not bool(value.isfinite()):
                    raise DivergedError(
                        f"The {one.player}'s {name} is {float(value):g} in training batch {one.batch}"
                        f"{self._which_weights()}",
                        f"Give it a smaller learning rate, or clip its gradient with {one.player}_clip.",
                    )

    def _which_weights(self) -> str:
        """The weights that are not finite, or else the largest one."""
        sizes = {
            f"{player}.{name}": float(weight.detach().abs().max())
            for player in PLAYERS
            for name, weight in getattr(self, player, nn.Identity()).named_parameters()
        }
        wrong = [name for name, size in sizes.items() if not isfinite(size)]
        if wrong:
            return f"; not finite are the weights {', '.join(wrong[:3])}"
        largest = max(sizes, key=lambda name: sizes[name])
        return f"; all weights are finite, the largest is {sizes[largest]:.3g}, of {largest}"

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save no state that is not finite."""
        self.check_finite()
        super().on_save_checkpoint(checkpoint)


def check_clip(module: LightningModule, **limits: float | None) -> None:
    """Check the largest norms.

    Raises:
        ValueError: one is not above 0.
    """
    for name, limit in limits.items():
        if limit is not None and not limit > 0:
            raise ValueError(f"Parameter `{name}` of {type(module).__name__} should be above 0. Found {limit}.")
