"""What submodules of a network put out while it runs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["tapping"]


@contextmanager
def tapping(network: nn.Module, layers: Iterable[str], note: Callable[[str, Any], None]) -> Iterator[None]:
    """Within it ``note(layer, output)`` is called whenever one of the layers has run.

    Args:
        network: runs within the context.
        layers: names of its submodules, as ``network.named_modules()`` gives them.
        note: is given the layer's name and what it put out.
    """

    def tap(layer: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, args, output: note(layer, output)

    modules = dict(network.named_modules())
    handles = [modules[layer].register_forward_hook(tap(layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
