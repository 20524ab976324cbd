"""A run that diverges goes on from its last good state, with smaller learning rates."""

from copy import deepcopy
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from lit_improved_gan.callbacks.rates import scale_rates
from lit_improved_gan.types import DivergedError

__all__ = ["RollBack"]


class RollBack(Callback):
    """Where a loss or a gradient is not finite, put the last good state back and make both learning rates smaller.

    Without it the run ends there. The state (weights, buffers, averages, both optimizers) is kept in memory every few
    batches, and in the checkpoint, so that a resumed run is the same; both take twice the room then. Counters,
    schedules and data go on: the batch that diverged is passed over. The losses of every batch are read, for which an
    accelerator has to be waited.

    Works on a module with an attribute ``recover`` and a method ``check_finite``, as every GAN here.

    Args:
        factor: of the learning rates at each time, in (0, 1).
        every_n_batches: training batches between two states that are kept, >= 1.
        max_rollbacks: times after which the error is raised nevertheless, >= 1.

    Raises:
        ValueError: a value is out of its range; before training: several processes.
        TypeError: before training: the module cannot be put back.
    """

    def __init__(self, factor: float = 0.5, every_n_batches: int = 100, max_rollbacks: int = 5) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"Parameter `factor` of RollBack should be in (0, 1). Found {factor=}.")
        for name, value in [("every_n_batches", every_n_batches), ("max_rollbacks", max_rollbacks)]:
            if value < 1:
                raise ValueError(f"Parameter `{name}` of RollBack should be 1 or more. Found {name}={value}.")
        self.factor, self.every_n_batches, self.max_rollbacks = factor, every_n_batches, max_rollbacks
        self._kept: dict[str, Any] = {"rollbacks": 0, "batch": None}

    def state_dict(self) -> dict[str, Any]:
        """The state that is kept, and how often it was put back."""
        return dict(self._kept)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take those of the checkpoint."""
        self._kept = dict(state_dict)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the module can be put back."""
        if stage != "fit":
            return
        if not hasattr(pl_module, "recover") or not hasattr(pl_module, "check_finite"):
            raise TypeError(
                f"RollBack works on a module with `recover` and `check_finite`. Found {type(pl_module).__name__}: "
                "leave the callback out."
            )
        if trainer.world_size > 1:
            raise ValueError(f"RollBack works in one process. Found {trainer.world_size}: leave the callback out.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Be called where training diverges, and keep the first state."""

        def recover(error: DivergedError) -> None:
            self._roll_back(trainer, pl_module, error)

        pl_module.recover = recover  # type: ignore[assignment]  # checked in setup
        if self._kept["batch"] is None:
            self._keep(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Put the last state back, or keep this one where that is due; checkpoints are written after it."""
        try:
            pl_module.check_finite()  # type: ignore[operator]  # on an accelerator the losses are not yet read
        except DivergedError as error:
            self._roll_back(trainer, pl_module, error)
        if trainer.global_step % self.every_n_batches == 0:
            self._keep(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Be called no more."""
        if stage == "fit":
            pl_module.recover = None  # type: ignore[assignment]  # checked in setup

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Be called no more."""
        pl_module.recover = None  # type: ignore[assignment]  # checked in setup

    def _keep(self, trainer: Trainer, module: LightningModule) -> None:
        self._kept["batch"] = trainer.global_step
        self._kept["weights"] = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._kept["optimizers"] = [deepcopy(optimizer.state_dict()["state"]) for optimizer in trainer.optimizers]

    def _roll_back(self, trainer: Trainer, module: LightningModule, error: DivergedError) -> None:
        if self._kept["rollbacks"] == self.max_rollbacks:
            tried = f"RollBack has tried {self.max_rollbacks} times."
            raise DivergedError(error.what, f"{error.remedy} {tried}") from error
        self._kept["rollbacks"] += 1
        module.load_state_dict(self._kept["weights"])
        for optimizer, state in zip(trainer.optimizers, self._kept["optimizers"], strict=True):
            now = optimizer.state_dict()["param_groups"]  # learning rates go on
            optimizer.load_state_dict({"state": deepcopy(state), "param_groups": now})
            scale_rates(trainer, optimizer, self.factor)
        batch = self._kept["batch"]
        rates = ", ".join(f"{optimizer.param_groups[0]['lr']:.3g}" for optimizer in trainer.optimizers)
        rank_zero_warn(
            f"{error.what}. Training goes on from the state after batch {batch} with the learning rates of both "
            f"players times {self.factor:g}, now {rates} (time {self._kept['rollbacks']} of {self.max_rollbacks})."
        )
