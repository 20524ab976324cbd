"""Several networks of one architecture as one, and a loss of each of them."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.utils._pytree import tree_map

__all__ = ["LossOfEach", "StackedNetwork"]


class StackedNetwork(nn.Module):
    """S networks of one architecture, run as one: every weight has a first dimension S.

    A batch holds S equal parts, one after the other, and each member sees its own. Noise and dropout inside the members
    are independent. For small networks one such pass costs little more than one member's, where the hardware is idle.

    Args:
        networks: S of them, equal but for their weights and buffers.

    Shapes:
        ``(S * N, ...)`` to what a member makes of ``(N, ...)``, with S * N rows.

    Raises:
        ValueError: the networks differ, hold virtual batch normalisation, or a batch cannot be divided.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        shapes = [{name: value.shape for name, value in network.state_dict().items()} for network in networks]
        if not shapes or any(other != shapes[0] for other in shapes[1:]):
            raise ValueError("Networks that run side by side should be of one architecture. Found different ones.")
        if any(hasattr(module, "reference_input") for module in networks[0].modules()):
            raise ValueError(
                "Networks with virtual batch normalisation cannot run side by side: train them one by one."
            )
        self.size = len(networks)
        self._skeleton = (deepcopy(networks[0]),)  # in a tuple, so that it is no submodule
        weights, buffers = stack_module_state(list(networks))
        self.weights = nn.ParameterDict()
        for name, value in weights.items():
            self.weights[_plain(name)] = nn.Parameter(value.detach(), requires_grad=value.requires_grad)
        for name, value in buffers.items():
            self.register_buffer(_plain(name), value)
        self._names = list(weights), list(buffers)

    def forward(self, x: Tensor) -> Any:
        """Run each member on its part of the batch."""
        if len(x) % self.size:
            raise ValueError(f"A batch of {self.size} networks side by side should divide by it. Found {len(x)} rows.")
        weights = {name: self.weights[_plain(name)] for name in self._names[0]}
        buffers = {name: getattr(self, _plain(name)) for name in self._names[1]}

        def run(weights: dict[str, Tensor], buffers: dict[str, Tensor], part: Tensor) -> Any:
            return functional_call(self._skeleton[0], (weights, buffers), (part,))

        outputs = torch.vmap(run, randomness="different")(weights, buffers, x.unflatten(0, (self.size, -1)))
        return tree_map(lambda value: value.flatten(0, 1), outputs)

    def check(self, x: Tensor) -> None:
        """Check that the members can run as one, in training mode, on a copy: ``x`` is one member's batch.

        Raises:
            ValueError: they cannot.
        """
        probe = deepcopy(self).train()
        batch = x.to(next(iter(self.weights.values()))).repeat(self.size, *[1] * (x.dim() - 1))
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                probe(batch)
        except RuntimeError as error:
            raise ValueError(
                f"Networks side by side are run by torch.vmap, which cannot run {type(self._skeleton[0]).__name__}: "
                f"{str(error).splitlines()[0]}\nTrain the seeds one by one, or leave out the layer that it names."
            ) from error

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw a member's noise."""
        noise: Tensor = self._skeleton[0].prior(n, generator)  # type: ignore[operator]
        return noise

    def member(self, i: int) -> nn.Module:
        """A copy of a member, as a network of its own."""
        network = deepcopy(self._skeleton[0]).to(next(iter(self.weights.values())))
        state = {name: self.weights[_plain(name)][i] for name in self._names[0]}
        state |= {name: getattr(self, _plain(name))[i] for name in self._names[1]}
        network.load_state_dict({name: state[name] for name in network.state_dict()})
        return network

    @torch.no_grad()
    def set_member(self, i: int, network: nn.Module) -> None:
        """Take a member's weights and buffers from a network."""
        for name, weight in network.named_parameters():
            self.weights[_plain(name)][i].copy_(weight)
        for name, value in network.named_buffers():
            getattr(self, _plain(name))[i].copy_(value)
        self._skeleton = (deepcopy(network),)

    def train(self, mode: bool = True) -> "StackedNetwork":
        """Set the mode of the members."""
        self._skeleton[0].train(mode)
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._skeleton[0].load_state_dict(self.member(0).state_dict())  # what a layer notes when it is loaded

    def __getattr__(self, name: str) -> Any:
        if name == "independent_examples":  # what a member says of itself
            return getattr(self._skeleton[0], name)
        return super().__getattr__(name)


def _plain(name: str) -> str:
    return name.replace(".", "/")


class LossOfEach(nn.Module):
    """The mean of a loss over S members: of tensors ``(S * N, ...)`` each member's loss takes its part.

    Args:
        loss: any loss whose terms are scalars.
        size: S.
    """

    def __init__(self, loss: nn.Module, size: int) -> None:
        super().__init__()
        self.loss, self.size = loss, size

    def forward(self, *args: Any) -> Any:
        """The mean of the members' terms."""
        parts = tree_map(lambda a: a.unflatten(0, (self.size, -1)) if isinstance(a, Tensor) else a, args)
        dims = tree_map(lambda a: 0 if isinstance(a, Tensor) else None, args)
        terms = torch.vmap(self.loss, in_dims=dims, randomness="different")(*parts)
        return tree_map(lambda value: value.mean(), terms)

    def __getattr__(self, name: str) -> Any:
        if name in ("needs_real", "real_target"):
            return getattr(self.loss, name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "real_target":
            self.loss.real_target = value
        else:
            super().__setattr__(name, value)
