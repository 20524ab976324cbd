"""Historical averaging: hold each player near the average of where it has been."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_improved_gan.losses.penalty import Penalty

__all__ = ["HistoricalAveraging", "historical_averaging"]


def historical_averaging(parameters: Sequence[Tensor], means: Sequence[Tensor]) -> Tensor:
    r"""The squared distance of the parameters from their historical mean, summed over all parameters.

    .. math:: \sum \lVert \theta - \bar\theta \rVert_2^2

    Args:
        parameters: theta.
        means: their means, constants for the gradient.

    Returns:
        a scalar, >= 0.

    Source: paper section 3.3.
    """
    return torch.stack([(p - m.detach()).square().sum() for p, m in zip(parameters, means, strict=True)]).sum()


class HistoricalAveraging(Penalty):
    r"""Adds :math:`w \lVert \theta[t] - \tfrac1t \sum_{i \le t} \theta[i] \rVert^2` to a player's loss.

    The mean includes the current parameters and is updated online at every call: no history is kept. It is in buffers,
    so a checkpoint has it. Parameters that are not trained are left out.

    Args:
        weight: w, >= 0.

    Attributes:
        count: t, the calls so far.

    Raises:
        ValueError: ``weight`` is negative; when called: the network has no trained parameter, or others than before.

    Source: paper section 3.3; the released code has none.
    """

    over_members = "sum"
    count: Tensor

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"Parameter `weight` of HistoricalAveraging should be 0 or more. Found weight={weight}.")
        self.weight = weight
        self._means = 0
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @property
    def means(self) -> list[Tensor]:
        """The mean of each trained parameter, in the network's order."""
        return [getattr(self, f"mean{i}") for i in range(self._means)]

    def follow(self, network: nn.Module) -> None:
        """Begin anew, with room for the means of the network's trained parameters."""
        parameters = _trained(network)
        self.count.zero_()
        self._means = len(parameters)
        for i, parameter in enumerate(parameters):
            self.register_buffer(f"mean{i}", torch.zeros_like(parameter))

    def forward(self, network: nn.Module, real: Tensor | None = None) -> Tensor:
        """Take the current parameters into the mean, and return the term."""
        parameters = _trained(network)
        if not self._means:
            self.follow(network)
        means = self.means
        if [p.shape for p in parameters] != [m.shape for m in means]:
            raise ValueError("HistoricalAveraging follows one network, and was called with another.")
        with torch.no_grad():
            self.count += 1
            steps = torch._foreach_sub(parameters, means)
            torch._foreach_div_(steps, self.count)
            torch._foreach_add_(means, steps)
        return self.weight * historical_averaging(parameters, means)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = sum(key.startswith(f"{prefix}mean") for key in state_dict)
        if not self._means and saved:  # before the first call there is no room for the means
            self._means = saved
            for i in range(saved):
                mean = state_dict[f"{prefix}mean{i}"]
                self.register_buffer(f"mean{i}", torch.empty_like(mean, device=self.count.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _trained(network: nn.Module) -> list[Tensor]:
    parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"HistoricalAveraging needs a network with trained parameters. Found none in {type(network)}.")
    return parameters
