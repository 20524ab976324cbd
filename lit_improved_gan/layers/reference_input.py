"""The reference input of a network with virtual batch normalisation, and when its pass is paid."""

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn

from lit_improved_gan.layers.virtual_batch_norm import ReferenceStatistics, VirtualBatchNorm

__all__ = ["ReferenceInput", "attach_reference", "convert_batch_norm", "set_reference"]


def attach_reference(network: nn.Module, reference_gradient: bool = True) -> "ReferenceInput":
    """Prepare a network that holds :class:`VirtualBatchNorm` layers: ``network.reference_input`` keeps its input.

    From then on a checkpoint of the network has a place for it.

    Args:
        network: what is called as a whole; its layers may be anywhere in it.
        reference_gradient: let gradients flow through the statistics of the reference batch, as in the paper. Without
            them the reference pass is cheaper, and its statistics are constants.

    Returns:
        ``network.reference_input``, the one that is there if there is one.

    Raises:
        ValueError: the network holds no such layer.
    """
    if not any(isinstance(layer, VirtualBatchNorm) for layer in network.modules()):
        raise ValueError(f"{type(network).__name__} holds no VirtualBatchNorm: use convert_batch_norm(network).")
    held = getattr(network, "reference_input", None)
    if isinstance(held, ReferenceInput):
        return held
    held = ReferenceInput(reference_gradient)
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
        ValueError: the network holds no such layer, or there are fewer than two examples.
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
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                virtual = VirtualBatchNorm(layer.num_features, layer.eps, layer.affine)
                if layer.affine:
                    virtual.weight, virtual.bias = layer.weight, layer.bias
                setattr(parent, name, virtual.train(layer.training))
    attach_reference(network, reference_gradient)
    return network


class ReferenceInput(nn.Module):
    """Keeps a network's reference input, and runs it through the network before a pass that needs it.

    The pass is paid once for each graph, and once for all uses without gradient while the weights stand still. A graph
    ends with its backward pass: two losses of one network may share a backward, not have one each. A change of the
    weights through ``.data`` goes unnoticed; :meth:`forget` helps.

    Args:
        reference_gradient: see :func:`attach_reference`.
    """

    def __init__(self, reference_gradient: bool = True) -> None:
        super().__init__()
        self.reference_gradient = reference_gradient
        self.number = 0
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
        if {name: value.shape for name, value in found.items()} != {
            name: value.shape for name, value in self.named_buffers()
        }:  # the number and size of a reference batch are those of the checkpoint
            self._keep(found)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def before(self, network: nn.Module, args: Any) -> None:
        """Let the layers know their statistics before the network's own pass."""
        layers = [layer for layer in network.modules() if isinstance(layer, VirtualBatchNorm)]
        if not self.number:
            return  # the first layer says what is missing
        if torch.compiler.is_compiling():
            statistics = self._run(network, layers)
        else:
            statistics = self._passes.get(network, lambda: self._run(network, layers))
        for layer, value in zip(layers, statistics, strict=True):
            layer.current.statistics = value

    def after(self, network: nn.Module, args: Any, output: Any) -> None:
        """Let the layers forget them: called on their own they would use old ones."""
        for layer in network.modules():
            if isinstance(layer, VirtualBatchNorm):
                layer.current.statistics = None

    def _run(self, network: nn.Module, layers: list[VirtualBatchNorm]) -> list[ReferenceStatistics | None]:
        for layer in layers:
            layer.current.recording = True
        try:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.reference_gradient):
                network.forward(*self.inputs)
        finally:
            for layer in layers:
                layer.current.recording = False
        return [layer.current.statistics for layer in layers]


class _Passes:
    """The statistics of the last pass with gradient and of the last without. Copies are empty."""

    def __init__(self) -> None:
        self._kept: dict[bool, tuple[Hashable, list[ReferenceStatistics | None]]] = {}

    def get(self, network: nn.Module, run: Any) -> list[ReferenceStatistics | None]:
        with_graph, now = torch.is_grad_enabled(), _state_of(network)
        before, statistics = self._kept.get(with_graph, (None, []))
        if before != now:
            statistics = run()
            self._kept[with_graph] = (now, statistics)
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


def _state_of(network: nn.Module) -> Hashable:
    """What the statistics depend on: every weight and buffer, the mode, and the precision."""
    tensors = [*network.parameters(), *network.buffers()]
    device = tensors[0].device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    versions = tuple((t.data_ptr(), None if t.is_inference() else t._version, t.requires_grad) for t in tensors)
    return versions, network.training, precision
