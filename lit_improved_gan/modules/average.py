"""An exponential average of a network's weights."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

__all__ = ["AveragedNetwork"]


class AveragedNetwork(nn.Module):
    r"""A frozen copy of a network that follows its weights, corrected for its start.

    After t updates the weights are :math:`\sum_i r (1-r)^{t-i} \theta_i / (1 - (1-r)^t)`: the released average, which
    starts at zero, divided by the weight it has seen. Buffers that are floating point (running statistics of batch
    norm) are averaged alike, others copied. The copy is always in eval mode and never trained.

    Args:
        network: the network to follow.
        rate: r, in (0, 1]; 1 is no averaging. The released code uses 1e-4 over 180,000 updates.

    Raises:
        ValueError: ``rate`` is out of its range.

    Source: paper section 5 and openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_mnist_feature_matching.py``.
    """

    def __init__(self, network: nn.Module, rate: float) -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ValueError(f"The rate of an average of weights should be in (0, 1]. Found rate={rate}.")
        self.rate = rate
        self.network = deepcopy(network).requires_grad_(False)
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
        averages: list[torch.Tensor] = list(self.network.parameters())
        values: list[torch.Tensor] = [p.detach() for p in network.parameters()]
        current = dict(network.named_buffers())
        for name, average in self.network.named_buffers():
            value = current[name]
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, weight)

    def restart(self, network: nn.Module) -> None:
        """Copy ``network``, as at the start."""
        self.network.load_state_dict(network.state_dict())
