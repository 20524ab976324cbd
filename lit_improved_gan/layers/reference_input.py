"""The reference input of a network with virtual batch normalisation, and when its pass is paid."""

from collections.abc import Iterator
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from lit_improved_gan.layers.virtual_batch_norm import ReferenceStatistics, VirtualBatchNorm

__all__ = ["ReferenceInput", "attach_reference", "convert_batch_norm", "set_reference"]


def attach_reference(network: nn.Module, reference_gradient: bool | None = None) -> "ReferenceInput":
    """Prepare a network that holds :class:`VirtualBatchNorm` layers: ``network.reference_input`` keeps its input.

    From then on a checkpoint of the network has a place for it.

    Args:
        network: what is called as a whole; its layers may be anywhere in it.
        reference_gradient: let gradients flow through the statistics of the reference batch, as in the paper and by
            default. Without them the reference pass is cheaper, and its statistics are constants.

    Returns:
        ``network.reference_input``, the one that is there if there is one.

    Raises:
        ValueError: the network holds no such layer.
    """
    if not any(isinstance(layer, VirtualBatchNorm) for layer in network.modules()):
        raise ValueError(f"{type(network).__name__} holds no VirtualBatchNorm: use convert_batch_norm(network).")
    held = getattr(network, "reference_input", None)
    if isinstance(held, ReferenceInput):
        if reference_gradient is not None:
            held.reference_gradient = reference_gradient
            held.forget()
        return held
    held = ReferenceInput(reference_gradient is not False)
    _watch_optimizers()
    network.reference_input = held
    network.register_forward_pre_hook(held.before)
    network.register_forward_hook(held.after, always_call=True)
    return held


def set_reference(network: nn.Module, *inputs: Tensor) -> None:
    """Give a network with :class:`VirtualBatchNorm` layers its reference input; it is saved with the network.

    Args:
        network: any network that holds such layers.
        inputs: what the network is called with, with R >= 2 examples; the paper takes a fixed batch of noise for the
            generator.

    Raises:
        ValueError: the network holds no such layer, an input is no finite tensor, or there are fewer than two examples.
    """
    attach_reference(network).set(*inputs)


def convert_batch_norm(network: nn.Module, reference_gradient: bool = True) -> nn.Module:
    """Put :class:`VirtualBatchNorm` in the place of every batch norm of a network; weights and biases are kept.

    Args:
        network: changed in place.
        reference_gradient: see :func:`attach_reference`.

    Returns:
        the network, still without its reference input: :func:`set_reference`, or load a checkpoint.

    Raises:
        ValueError: there is no batch norm in it.
    """
    replaced: dict[nn.Module, VirtualBatchNorm] = {}
    for parent in list(network.modules()):
        for name, layer in list(parent._modules.items()):  # every name of a layer that has several
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm):
                if layer not in replaced:
                    virtual = VirtualBatchNorm(layer.num_features, layer.eps, layer.affine)
                    if layer.affine:
                        virtual.weight, virtual.bias = layer.weight, layer.bias
                    replaced[layer] = virtual.train(layer.training)
                setattr(parent, name, replaced[layer])
    if not replaced:
        raise ValueError(
            f"Parameter `network` of convert_batch_norm: {type(network).__name__} holds no batch norm. (One that is "
            "the network itself can be replaced by VirtualBatchNorm by hand.)"
        )
    attach_reference(network, reference_gradient)
    return network


class ReferenceInput(nn.Module):
    """Keeps a network's reference input, and runs it through the network before a pass that needs it.

    The pass is paid once for each graph, and once for all uses without gradient while the weights stand still. A graph
    ends with its backward pass: two losses of one network may share a backward, not have one each, and activation
    checkpointing of the whole network does not work. A change of the weights through ``.data``, outside an optimizer,
    goes unnoticed; :meth:`forget` helps. (An ``nn.Sequential`` gets this module as its last member: it does nothing.)

    Args:
        reference_gradient: see :func:`attach_reference`.
    """

    def __init__(self, reference_gradient: bool = True) -> None:
        super().__init__()
        self.reference_gradient = reference_gradient
        self.number = 0
        self.kept = True  # whether statistics are kept between passes; within torch.vmap they cannot be
        self._passes = _Passes()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``: as the last member of an ``nn.Sequential`` it changes nothing."""
        return x

    @property
    def inputs(self) -> list[Tensor]:
        """The reference input, empty if there is none."""
        return [getattr(self, f"input{i}") for i in range(self.number)]

    def set(self, *inputs: Tensor) -> None:
        """Keep these inputs, ``(R, ...)`` each, R >= 2."""
        for value in inputs:
            if not isinstance(value, Tensor) or value.dim() < 1:
                found = f"one of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"A reference batch should be a tensor (R, ...). Found {found}.")
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise ValueError("A reference batch should be finite. Found NaN or infinity in it.")
        if not inputs or any(len(value) < 2 for value in inputs):
            raise ValueError(f"A reference batch should have 2 examples or more. Found {[len(v) for v in inputs]}.")
        self._keep({f"input{i}": value for i, value in enumerate(inputs)})

    def forget(self) -> None:
        """Run the reference batch anew before the next pass."""
        self._passes = _Passes()

    def _keep(self, inputs: dict[str, Tensor]) -> None:
        for i in range(self.number):
            delattr(self, f"input{i}")
        self.number = len(inputs)
        with torch.inference_mode(False):  # a copy that is made within it could not be trained with later
            for name, value in inputs.items():
                self.register_buffer(name, value.detach().clone())
        self.forget()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        found = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        if found and {name: value.shape for name, value in found.items()} != {
            name: value.shape for name, value in self.named_buffers()
        }:  # the number and size of a reference batch are those of the checkpoint
            self._keep(found)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def before(self, network: nn.Module, args: Any) -> None:
        """Let the layers know their statistics before the network's own pass."""
        if not self.number:
            return  # the first layer says what is missing
        layers = list(_own_layers(network))
        if torch.compiler.is_compiling() or not self.kept:
            statistics = self._run(network, layers)
        else:
            statistics = self._passes.get(network, lambda: self._run(network, layers))
        for layer, value in zip(layers, statistics, strict=True):
            layer.current.statistics = value

    def after(self, network: nn.Module, args: Any, output: Any) -> None:
        """Let the layers forget them: called on their own they would use old ones."""
        for layer in _own_layers(network):
            layer.current.statistics = None

    def _run(self, network: nn.Module, layers: list[VirtualBatchNorm]) -> list[ReferenceStatistics | None]:
        for layer in layers:
            layer.current.recording, layer.current.statistics = True, None
        inputs = self.inputs
        for like in network.parameters():  # the first says of which type and where they should be
            inputs = [value.to(like if value.is_floating_point() else like.device) for value in inputs]
            break
        try:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.reference_gradient):
                network.forward(*inputs)
        finally:
            for layer in layers:
                layer.current.recording = False
        return [layer.current.statistics for layer in layers]


def _own_layers(network: nn.Module) -> Iterator[VirtualBatchNorm]:
    """The layers of a network, but those of a part that has a reference input of its own."""
    for child in network.children():
        if isinstance(child, VirtualBatchNorm):
            yield child
        elif not isinstance(getattr(child, "reference_input", None), ReferenceInput):
            yield from _own_layers(child)


class _Passes:
    """The statistics of the last pass with gradient and of the last without. Copies are empty."""

    def __init__(self) -> None:
        self._kept: dict[bool, tuple[_State, list[ReferenceStatistics | None]]] = {}

    def get(self, network: nn.Module, run: Any) -> list[ReferenceStatistics | None]:
        with_graph = torch.is_grad_enabled()
        before, statistics = self._kept.get(with_graph, (None, []))
        if before is None or not before.holds(network):
            statistics = run()
            self._kept[with_graph] = (_State(network), statistics)
            for value in statistics:
                if value is not None and value.mean.requires_grad:
                    value.mean.register_hook(self._graph_ends)
        return statistics

    def _graph_ends(self, gradient: Tensor) -> None:
        self._kept.pop(True, None)

    def __deepcopy__(self, memo: object) -> "_Passes":
        return _Passes()

    def __reduce__(self) -> tuple[type["_Passes"], tuple[()]]:
        return _Passes, ()


class _State:
    """What the statistics depend on: every weight and buffer, the modes, and the precision."""

    def __init__(self, network: nn.Module) -> None:
        self.tensors = [*network.parameters(), *network.buffers()]  # kept alive: none takes another's place in memory
        self.values = self._values(network)

    def holds(self, network: nn.Module) -> bool:
        """Whether all that is as it was."""
        tensors = [*network.parameters(), *network.buffers()]
        same = len(tensors) == len(self.tensors) and all(map(is_, tensors, self.tensors))
        return same and self.values == self._values(network)

    def _values(self, network: nn.Module) -> tuple[object, ...]:
        device = self.tensors[0].device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        versions = [(None if t.is_inference() else t._version, t.data_ptr(), t.requires_grad) for t in self.tensors]
        return versions, [module.training for module in network.modules()], precision, _steps.taken


class _Steps:
    """Counts the steps of all optimizers: a fused one changes weights without counting their versions up."""

    def __init__(self) -> None:
        self.taken = 0
        self.watching = False

    def count(self, *args: Any) -> None:
        """One more."""
        self.taken += 1


_steps = _Steps()


def _watch_optimizers() -> None:
    if not _steps.watching:
        _steps.watching = True
        register_optimizer_step_post_hook(_steps.count)
