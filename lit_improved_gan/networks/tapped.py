"""Features of a discriminator that nobody here wrote."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lit_improved_gan.taps import tapping
from lit_improved_gan.types import DiscriminatorOutput

__all__ = ["TappedDiscriminator"]


class TappedDiscriminator(nn.Module):
    """Returns what layers inside a network put out, beside its logits.

    Args:
        network: any module that maps images to logits ``(N, K)``, or ``(N,)`` for one logit each.
        layers: names of its submodules, as ``network.named_modules()`` gives them; each returns a tensor and runs once.
            What a later layer changes in place is refused.
        independent_examples: whether no layer mixes examples, so that several batches may share one pass.

    Shapes:
        as the network's; the features are named after the submodules, in the order of ``layers``, and come after those
        that the network itself returns.

    Raises:
        ValueError: there is no submodule of that name; when called: a layer did not run, or returned no tensor.
    """

    def __init__(self, network: nn.Module, layers: str | Sequence[str], independent_examples: bool = False) -> None:
        super().__init__()
        layers = [layers] if isinstance(layers, str) else layers
        known = dict(network.named_modules())
        unknown = [name for name in layers if name not in known]
        if not layers or unknown:
            raise ValueError(
                f"Parameter `layers` of TappedDiscriminator should name submodules of {type(network).__name__}, among "
                f"{[name for name in known if name]}. Found {unknown or list(layers)}."
            )
        self.network, self.layers, self.independent_examples = network, tuple(layers), independent_examples

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Logits and features of images ``(N, C, H, W)``."""
        found: dict[str, Any] = {}
        versions: dict[str, int] = {}

        def note(name: str, output: Any) -> None:
            found[name] = output
            versions[name] = _version(output)

        with tapping(self.network, self.layers, note):
            output = self.network(x)
        wrong = [name for name in self.layers if not isinstance(found.get(name), Tensor)]
        if wrong:
            raise ValueError(
                f"Parameter `layers` of TappedDiscriminator: {wrong[0]!r} should return a tensor in every pass. "
                f"Found {type(found.get(wrong[0])).__name__}."
            )
        changed = [name for name in self.layers if versions[name] != _version(found[name])]
        if changed:
            raise ValueError(
                f"Parameter `layers` of TappedDiscriminator: what {changed[0]!r} returns is changed in place by a "
                "later layer. Tap that layer, or set its `inplace` to False."
            )
        logits, features = DiscriminatorOutput.of(output)
        logits = logits.unsqueeze(1) if logits.dim() == 1 else logits
        return DiscriminatorOutput(logits, {**features, **{name: found[name] for name in self.layers}})


def _version(output: Any) -> int:
    return output._version if isinstance(output, Tensor) and not output.is_inference() else 0
