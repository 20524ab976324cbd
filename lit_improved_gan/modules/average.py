"""An exponential average of a network's weights."""

from copy import deepcopy
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["AveragedNetwork"]


class AveragedNetwork(nn.Module):
    r"""A frozen copy of a network that follows its weights, corrected for its start.

    After t updates the weights are :math:`\sum_i r (1-r)^{t-i} \theta_i / (1 - (1-r)^t)`: the released average, which
    starts at zero, divided by the weight it has seen. Buffers that are floating point (running statistics of batch
    norm) are averaged alike, others copied. The copy is always in eval mode and never trained.

    Args:
        network: the network to follow.
        rate: r, in (0, 1]; 1 is no averaging. The released code uses 1e-4 over 180,000 updates.
        parameter: what the rate is called where it was given.

    Raises:
        ValueError: ``rate`` is out of its range.

    Source: paper section 5 and openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_mnist_feature_matching.py``.
    """

    def __init__(self, network: nn.Module, rate: float, parameter: str = "rate") -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ValueError(
                f"Parameter `{parameter}`, the rate of an average of weights, should be in (0, 1]. "
                f"Found {parameter}={rate}."
            )
        self.rate = rate
        self.network = deepcopy(network).requires_grad_(False)
        self._followed: tuple[nn.Module, ...] = ()  # in a tuple, so that it is no submodule
        self._slots: list[_Slot] = []
        self.eval()

    def train(self, mode: bool = True) -> "AveragedNetwork":
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, *args: Any) -> Any:
        """Run the averaged network."""
        return self.network(*args)

    @torch.no_grad()
    def update(self, network: nn.Module, count: int) -> None:
        """Take in the weights of ``network``; this is update number ``count``, from 1."""
        weight = self.rate / (1 - (1 - self.rate) ** count)
        if self._followed != (network,):
            self._followed, self._slots = (network,), _slots(self.network, network)
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for ours, theirs, name in self._slots:
            if ours[name].is_floating_point():
                averages.append(ours[name])
                values.append(theirs[name])
            else:
                ours[name].copy_(theirs[name])
        torch._foreach_lerp_(averages, values, weight)

    def restart(self, network: nn.Module) -> None:
        """Copy ``network``, as at the start."""
        self.network.load_state_dict(network.state_dict())


_Slot: TypeAlias = tuple[dict[str, Any], dict[str, Any], str]
"""Where an averaged tensor and the one it follows are kept. Walking two networks for them at every update would cost
more than the update; the tensors themselves may be replaced, by a move to another device."""


def _slots(average: nn.Module, network: nn.Module) -> list[_Slot]:
    slots: dict[int, _Slot] = {}  # a tensor that two layers share is averaged once
    for ours, theirs in zip(average.modules(), network.modules(), strict=True):
        for kept, followed in ((ours._parameters, theirs._parameters), (ours._buffers, theirs._buffers)):
            for name, tensor in kept.items():
                if tensor is not None:
                    slots.setdefault(id(tensor), (kept, followed, name))
    return list(slots.values())
