"""The player that is ahead learns more slowly."""

from typing import Any

from torch.optim import Optimizer

from lit_improved_gan.callbacks.rates import scale_rates
from lit_improved_gan.types import seeds_of

__all__ = ["SlowDown"]


class SlowDown:
    """Makes the learning rates of one player smaller, and those of the one before as they were.

    Args:
        factor: of the learning rates; ``None``: they are left alone.
    """

    def __init__(self, factor: float | None) -> None:
        self.factor = factor
        self.reset()

    def reset(self) -> None:
        """Nothing is changed: optimizers are new."""
        self.player, self.applied = "", 1.0

    def check(self, trainer: Any, module: Any) -> None:
        """Check that there are learning rates to change, where that is asked for.

        Raises:
            ValueError: there are none, or several seeds share them.
        """
        if self.factor is None:
            return
        if len(seeds := seeds_of(module)) > 1:
            raise ValueError(
                "Parameter `slow_down` of BalanceMonitor changes the learning rates of one seed, and seeds side by "
                f"side share theirs. Found {seeds}: leave it out, or train them one by one."
            )
        for player in ("discriminator", "generator"):
            _optimizers(trainer, module, player)

    def apply(self, trainer: Any, module: Any, player: str) -> None:
        """Slow down this player; ``""``: none."""
        player = player if self.factor is not None else ""  # a resumed run may have no factor any more
        if player == self.player:
            return
        after = self.factor if player and self.factor is not None else 1.0
        for one, factor in ((self.player, 1 / self.applied), (player, after)):
            for optimizer in _optimizers(trainer, module, one) if one else []:
                scale_rates(trainer, optimizer, factor)
        self.player, self.applied = player, after

    def state_dict(self) -> dict[str, Any]:
        """Who is slowed down, and by how much."""
        return {"player": self.player, "applied": self.applied}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them."""
        self.player, self.applied = state_dict["player"], state_dict["applied"]


def _optimizers(trainer: Any, module: Any, player: str) -> list[Optimizer]:
    """The optimizers of a player's weights alone."""
    weights = {id(p) for p in getattr(module, player).parameters()}
    found = [
        optimizer
        for optimizer in trainer.optimizers
        if {id(p) for group in optimizer.param_groups for p in group["params"]} <= weights
    ]
    if not found:
        raise ValueError(
            f"Parameter `slow_down` of BalanceMonitor needs an optimizer of the {player} alone. Found none in "
            f"{type(module).__name__}: leave slow_down out."
        )
    return found
