"""Several networks of one architecture as one, and a loss or a penalty of each of them."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.utils._pytree import tree_map

from lit_improved_gan.losses import Penalty

__all__ = ["LossOfEach", "PenaltyOfEach", "StackedNetwork"]


class StackedNetwork(nn.Module):
    """S networks of one architecture, run as one: every weight has a first dimension S.

    A batch holds S equal parts, one after the other, and each member sees its own. Noise and dropout inside the members
    are independent. For small networks one such pass costs little more than one member's, where the hardware is idle.
    With virtual batch normalisation all members have one reference batch, which is set as that of a network alone.

    Args:
        networks: S of them, equal but for their weights and buffers.

    Shapes:
        ``(S * N, ...)`` to what a member makes of ``(N, ...)``, with S * N rows.

    Raises:
        ValueError: the networks differ, or have a reference batch already, or a batch cannot be divided.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        shapes = [{name: value.shape for name, value in network.state_dict().items()} for network in networks]
        if not shapes or any(other != shapes[0] for other in shapes[1:]):
            raise ValueError("Networks that run side by side should be of one architecture. Found different ones.")
        if any(_reference_input(part) is not None for part in list(networks[0].modules())[1:]):
            raise ValueError(
                "Networks that run side by side should have one reference batch of virtual batch normalisation. "
                "Found a part with one of its own: train them one by one."
            )
        if getattr(_reference_input(networks[0]), "number", 0):
            raise ValueError(
                "Networks that run side by side have one reference batch: set it when they are one, by the "
                "ReferenceBatch callback or reference_input.set(batch). Found one that is set."
            )
        self.size = len(networks)
        self._keep(networks[0])
        weights, buffers = stack_module_state(list(networks))
        self.weights = nn.ParameterDict()
        for name, value in weights.items():
            self.weights[_plain(name)] = nn.Parameter(value.detach(), requires_grad=value.requires_grad)
        for name, value in buffers.items():
            self.register_buffer(_plain(name), value)
        self._names = list(weights), list(buffers)
        kept = (networks[0].named_parameters, networks[0].named_buffers)
        self._tied = any(len(list(of())) < len(list(of(remove_duplicate=False))) for of in kept)

    def _keep(self, network: nn.Module) -> None:
        """Keep a copy that is run with each member's weights, and has the reference input of all."""
        self._skeleton = (deepcopy(network),)  # in a tuple, so that it is no submodule
        self._frozen: list[nn.Module] = []
        held = _reference_input(self._skeleton[0])
        if held is not None:
            held.kept = False
            self.reference_input = held

    def forward(self, x: Tensor) -> Any:
        """Run each member on its part of the batch."""
        if len(x) % self.size:
            raise ValueError(f"A batch of {self.size} networks side by side should divide by it. Found {len(x)} rows.")
        names = [*self._names[0], *self._names[1]]
        values = [*self.weights.values(), *(getattr(self, _plain(name)) for name in self._names[1])]

        def run(part: Tensor, *values: Tensor) -> Any:  # a flat list: vmap takes its time over trees
            state = dict(zip(names, values, strict=True))
            return functional_call(self._skeleton[0], state, (part,), tie_weights=self._tied)

        outputs = torch.vmap(run, randomness="different")(x.unflatten(0, (self.size, -1)), *values)
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
        noise: Tensor = self._skeleton[0].prior(n, generator)  # type: ignore[operator]  # checked in setup
        return noise

    def member(self, i: int) -> nn.Module:
        """A copy of a member, as a network of its own."""
        network = deepcopy(self._skeleton[0]).to(next(iter(self.weights.values())))
        state = {name: self.weights[_plain(name)][i] for name in self._names[0]}
        state |= {name: getattr(self, _plain(name))[i] for name in self._names[1]}
        kept = network.state_dict()  # it has the reference batch already
        network.load_state_dict({name: state.get(name, value) for name, value in kept.items()})
        for name, value in network.named_buffers():
            if name not in kept and name in state:  # one that no checkpoint has
                value.copy_(state[name])
        if (held := _reference_input(network)) is not None:
            held.kept = True
        return network

    @torch.no_grad()
    def set_member(self, i: int, network: nn.Module) -> None:
        """Take a member's weights and buffers from a network."""
        weights, buffers = dict(network.named_parameters()), dict(network.named_buffers())
        for name in self._names[0]:
            self.weights[_plain(name)][i].copy_(weights[name])
        for name in self._names[1]:
            getattr(self, _plain(name))[i].copy_(buffers[name])
        self._keep(network)

    def __setattr__(self, name: str, value: Any) -> None:
        """The members follow the mode, which Lightning sets as an attribute; what was frozen before is so after."""
        super().__setattr__(name, value)
        if name == "training" and value != self._skeleton[0].training:
            parts = list(self._skeleton[0].modules())
            if not value:
                self._frozen = [part for part in parts if not part.training]
            for part in parts:
                part.training = value and part not in self._frozen

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._skeleton[0].load_state_dict(self.member(0).state_dict())  # what a layer notes when it is loaded

    def __getattr__(self, name: str) -> Any:
        if name == "independent_examples":  # what a member says of itself
            return getattr(self._skeleton[0], name)
        return super().__getattr__(name)


def _reference_input(network: nn.Module) -> Any:
    """Where a network with virtual batch normalisation keeps its reference batch, or ``None``."""
    return getattr(network, "reference_input", None)


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


class PenaltyOfEach(Penalty):
    """The mean of a penalty over S members that run as one network.

    Args:
        penalty: one that says what it is of several networks (:attr:`~lit_improved_gan.losses.Penalty.over_members`).
        size: S.

    Raises:
        ValueError: it does not say so.
    """

    def __init__(self, penalty: Penalty, size: int) -> None:
        super().__init__()
        if getattr(penalty, "over_members", None) is None:
            raise ValueError(
                f"{type(penalty).__name__} does not say what it is of networks side by side: set its `over_members` to "
                '"sum" or "mean", or train them one by one.'
            )
        self.penalty, self.size = penalty, size

    def follow(self, network: nn.Module) -> None:
        """Prepare for the members' weights."""
        self.penalty.follow(network)

    def forward(self, network: nn.Module, real: Tensor | None = None) -> Tensor:
        """The mean of the members' terms."""
        term: Tensor = self.penalty(network, real)
        return term / self.size if self.penalty.over_members == "sum" else term
