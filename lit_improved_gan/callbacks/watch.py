"""What the last looks at one GAN say of its players, and the words for it."""

from typing import Any

from lit_improved_gan.callbacks.balance import BalanceWindow, State
from lit_improved_gan.callbacks.collapse import CollapseWindow, Variety

__all__ = ["Watch"]

_CODE: dict[State, float] = {"too weak": -1.0, "balanced": 0.0, "too strong": 1.0}


class Watch:
    """Watches one pair of players.

    Args:
        window: says whether D is too strong or too weak.
        collapse: says whether G collapses.

    Attributes:
        events: (training batch, state) of each change.
    """

    def __init__(self, window: BalanceWindow, collapse: CollapseWindow) -> None:
        self.window, self.collapse = window, collapse
        self.events: list[tuple[int, State | Variety]] = []

    def add(self, values: dict[str, float], batches: int) -> list[State | Variety]:
        """Take in a look after so many training batches, and return what has begun."""
        before: tuple[State, Variety] = self.window.state, self.collapse.state
        strength = self.window.add(values, may_begin=self.collapse.state == "varied")
        states: tuple[State, Variety] = strength, self.collapse.add(values)
        changes = [state for was, state in zip(before, states, strict=True) if state != was]
        self.events += [(batches, state) for state in changes]
        return [state for state in changes if state not in ("balanced", "varied")]

    @property
    def codes(self) -> dict[str, float]:
        """The states as numbers."""
        return {"d_strength": _CODE[self.window.state], "collapsing": float(self.collapse.state == "collapsing")}

    def words(self, state: State | Variety, when: str) -> str:
        """What a state that begins means, and what to try."""
        window, collapse = self.window, self.collapse
        if state == "collapsing":
            return (
                f"{when}: the generator is collapsing: its samples lie {collapse.mean('spread'):.2f} times as "
                "far apart as real ones, and most kinds of real samples have none near them (missed variety "
                f"{collapse.mean('missed'):.2f}; 0: none, 1: all but one). Try minibatch discrimination "
                "(configs/technique/minibatch_discrimination.yaml, or minibatch_discrimination_points.yaml beside it "
                "for points), packing (configs/technique/packing.yaml), or a smaller learning rate of the generator."
            )
        if state == "too strong":
            return (
                f"{when}: the discriminator is {state}: it is right about {window.accuracy:.0%} of the samples, D(x) "
                f"is {window.mean('d_real'):.2f} and D(G(z)) {window.mean('d_fake'):.2f}, so the generator learns "
                "little. Try label smoothing (configs/technique/label_smoothing.yaml), feature matching, a smaller "
                "learning rate of the discriminator, or more g_updates_per_batch."
            )
        return (
            f"{when}: the discriminator is {state}: it is right about {window.accuracy:.0%} of the samples, though the "
            f"nearest neighbours of {window.mean('neighbour_accuracy'):.0%} show what they are. Try a larger learning "
            "rate of the discriminator, more d_updates_per_batch, or a wider network."
        )

    def state_dict(self) -> dict[str, Any]:
        """The last looks and the events."""
        windows = {"window": self.window.state_dict(), "collapse": self.collapse.state_dict()}
        return windows | {"events": self.events}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them."""
        self.window.load_state_dict(state_dict["window"])
        self.collapse.load_state_dict(state_dict["collapse"])
        self.events = list(state_dict["events"])
