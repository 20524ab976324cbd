"""A small classifier to judge samples with, where ImageNet features say nothing."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["SmallClassifier", "load_classifier"]


class SmallClassifier(nn.Module):
    """Convolutions and a dense layer.

    ``configs/digits_classifier.yaml`` trains it on digits; the result comes with the package, see
    :func:`load_classifier`.

    Args:
        image_shape: (C, H, W) of an image.
        num_classes: K.
        width: channels of the first convolution; each later one has twice as many, at half the height and width.
        convolutions: their number.

    Shapes:
        images ``(N, C, H, W)`` in [-1, 1] to logits ``(N, K)``.

    Raises:
        ValueError: a size is below 1, or ``image_shape`` has not three.
    """

    def __init__(
        self, image_shape: Sequence[int] = (1, 8, 8), num_classes: int = 10, width: int = 32, convolutions: int = 2
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or min(image_shape) < 1:
            found = list(image_shape)
            raise ValueError(
                f"Parameter `image_shape` of SmallClassifier should be (C, H, W), 1 or more. Found {found}."
            )
        for name, size in [("num_classes", num_classes), ("width", width), ("convolutions", convolutions)]:
            if size < 1:
                raise ValueError(f"Parameter `{name}` of SmallClassifier should be 1 or more. Found {size}.")
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        channels, height, size = image_shape
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(convolutions - 1):
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU()]
            width, height, size = 2 * width, (height + 1) // 2, (size + 1) // 2
        layers += [nn.Flatten(), nn.Dropout(0.5), nn.Linear(width * height * size, num_classes)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` in [-1, 1] to logits ``(N, K)``."""
        logits: Tensor = self.layers(images)
        return logits


def load_classifier(checkpoint: str | Path | None = None) -> SmallClassifier:
    """Load a trained classifier, frozen and in eval mode.

    Args:
        checkpoint: what ``lit-improved-gan fit`` saved for a ``Classifier`` with a :class:`SmallClassifier`; by default
            the one for digits that comes with the package.

    Raises:
        ValueError: the file is no such checkpoint.
        FileNotFoundError: there is no such file.
    """
    path = Path(str(files(__package__) / "digits_classifier.ckpt")) if checkpoint is None else Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(
            f"Parameter `classifier`: there is no file {path}. Train one with `lit-improved-gan fit`."
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise ValueError(f"Parameter `classifier`: {path} is damaged, or no checkpoint: train one again.") from error
    prefix = "average.network."
    weights = {k.removeprefix(prefix): v for k, v in state.get("state_dict", {}).items() if k.startswith(prefix)}
    spec = state.get("hyper_parameters", {}).get("network", {})
    if not weights or not str(spec.get("class_path", "")).endswith(".SmallClassifier"):
        raise ValueError(
            f"Parameter `classifier`: {path} is no checkpoint of a Classifier with a SmallClassifier. "
            "Train one with `lit-improved-gan fit --config configs/digits_classifier.yaml`."
        )
    with torch.random.fork_rng([]):  # its first weights are drawn, only to be replaced: nobody else's noise changes
        classifier = SmallClassifier(**spec.get("init_args", {}))
    classifier.load_state_dict(weights)
    return classifier.requires_grad_(False).eval()
