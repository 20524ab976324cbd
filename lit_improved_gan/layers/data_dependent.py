"""Data-dependent initialisation of a whole network."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["initialize"]


@torch.no_grad()
def initialize(network: nn.Module, x: Tensor) -> None:
    """Initialise every layer of ``network`` that has an ``initialize(x)`` method, from one batch of its input.

    One forward pass: each such layer is initialised on the activations that reach it just before it runs, so later
    layers see the outputs of initialised earlier ones. Noise and dropout act as the network's train or eval mode says
    (the released code initialises in training mode). Layers that run twice are initialised by their first run.

    Args:
        network: any module; layers are found by their ``initialize`` method.
        x: its input, ``(N, ...)``, the same on every process; the released code uses 500 images.
    """
    done: set[nn.Module] = set()

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if layer not in done:
            done.add(layer)
            layer.initialize(*inputs)  # type: ignore[operator]  # the hook is only put on layers that have it

    layers = [m for m in network.modules() if m is not network and callable(getattr(m, "initialize", None))]
    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    across: list[Any] = [layer for layer in network.modules() if getattr(layer, "across_ranks", False)]
    for layer in across:
        layer.across_ranks = False  # else each example would meet itself once more for every other process
    try:
        network(x)
    finally:
        for layer in across:
            layer.across_ranks = True
        for hook in hooks:
            hook.remove()
