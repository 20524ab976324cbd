"""The last looks at a training run, which decide together."""

from collections import deque
from typing import Any

__all__ = ["Looks"]


class Looks:
    """Values by name of the last looks, and the state that a subclass finds in them.

    Args:
        size: how many decide together.
    """

    state: Any

    def __init__(self, size: int) -> None:
        self.size = size
        self.looks: deque[dict[str, float]] = deque(maxlen=size)

    def mean(self, name: str) -> float:
        """Of a value over the looks."""
        return sum(one[name] for one in self.looks) / len(self.looks)

    def state_dict(self) -> dict[str, Any]:
        """The looks and the state."""
        return {"looks": list(self.looks), "state": self.state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them."""
        self.looks = deque(state_dict["looks"], maxlen=self.size)
        self.state = state_dict["state"]
