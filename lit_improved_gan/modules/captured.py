"""The gradient of an update as one CUDA graph, replayed for every batch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["CapturedGradient", "check_capture"]

_WARM_UP = 3


class CapturedGradient:
    """Computes losses and gradients, at first as usual, then by replaying what was captured once.

    A small network's step is hundreds of kernels, and starting them takes longer than running them: a graph starts all
    at once. Random numbers are those of an uncaptured step. When the shapes or the key change, it is captured anew.
    """

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._key: Any = None
        self._seen = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._gradients: list[Tensor | None] = []
        self._logs: dict[str, Tensor] = {}

    def __call__(
        self, compute: Callable[[Any], dict[str, Tensor]], inputs: Any, weights: Sequence[Tensor], *key: Any
    ) -> dict[str, Tensor]:
        """The losses by name; the gradient is left in ``weights``.

        Args:
            compute: what to capture: it maps ``inputs`` to the losses and leaves the gradient. It must not wait for
                the device.
            inputs: a tree of tensors on the device.
            weights: those that get a gradient.
            *key: everything else that the losses depend on and that may change.

        Raises:
            RuntimeError: ``compute`` cannot be captured.
        """
        values, spec = tree_flatten(inputs)
        found = (spec, [(value.shape, value.dtype) for value in values], key)
        if found != self._key:
            self._key, self._seen, self._graph = found, 0, None
        if self._graph is None and self._seen < _WARM_UP:  # libraries and allocations are made outside the graph
            self._seen += 1
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                logs = compute(inputs)
            torch.cuda.current_stream().wait_stream(self._stream)
            return logs
        if self._graph is None:
            self._capture(compute, values, spec, weights)
        assert self._graph is not None  # just captured
        for kept, value in zip(self._inputs, values, strict=True):
            kept.copy_(value)
        for weight, gradient in zip(weights, self._gradients, strict=True):
            weight.grad = gradient
        self._graph.replay()
        return {name: value.clone() for name, value in self._logs.items()}

    def _capture(
        self, compute: Callable[[Any], dict[str, Tensor]], values: list[Tensor], spec: Any, weights: Sequence[Tensor]
    ) -> None:
        self._inputs = [value.clone() for value in values]
        for weight in weights:
            weight.grad = None
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._logs = compute(tree_unflatten(self._inputs, spec))
        except RuntimeError as error:
            raise RuntimeError(
                "This update cannot be captured as a CUDA graph: leave out `cuda_graphs`, or what waits for the device "
                f"in a network or a loss. {error}"
            ) from error
        self._graph, self._gradients = graph, [weight.grad for weight in weights]


def check_capture(module: LightningModule) -> None:
    """Check that a module's gradients can be captured.

    Raises:
        ValueError: they cannot.
    """
    networks = [network for name in ("generator", "discriminator") for network in getattr(module, name).modules()]
    penalties = [*module.generator_penalties, *module.discriminator_penalties]  # type: ignore[misc]  # lists of a module of two players
    for wrong, found, remedy in [
        (module.device.type != "cuda", f"a device of type {module.device.type}", "a GPU"),
        (module.trainer.world_size > 1, f"{module.trainer.world_size} processes", "one process"),
        (
            getattr(module.trainer.precision_plugin, "scaler", None) is not None,
            f"precision {module.trainer.precision}, whose gradients are scaled",
            "32-true or bf16-mixed",
        ),
        (
            any(hasattr(network, "reference_input") for network in networks),
            "a network with virtual batch normalisation, whose reference pass comes and goes",
            "networks without it",
        ),
        (bool(penalties), f"{[type(getattr(p, 'penalty', p)).__name__ for p in penalties]}", "no penalties"),
    ]:
        if wrong:
            raise ValueError(f"`cuda_graphs=True` needs {remedy}. Found {found}: change that, or set it to false.")
