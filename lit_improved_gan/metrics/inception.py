"""The Inception network of the paper."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import torch
from torch import Tensor

from lit_improved_gan.metrics.extractor import FeatureExtractor

__all__ = ["WEIGHTS_VARIABLE", "InceptionFeatures"]

WEIGHTS_VARIABLE = "LIT_IMPROVED_GAN_INCEPTION"
"""Environment variable that names the file of the weights."""

_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
_HASH = "6726825d"  # of the file that _URL names, the first digits of its SHA-256
_SIZES = {"64": 64, "192": 192, "768": 768, "2048": 2048, "logits_unbiased": 1008}


class InceptionFeatures(FeatureExtractor):
    """Features of the Inception network of 2015-12-05, TensorFlow's original ported by torch-fidelity.

    Layers: ``"64"``, ``"192"``, ``"768"`` and ``"2048"``, features averaged over the image, and ``"logits_unbiased"``,
    1008 logits without bias. Images are resized to 299 x 299 as ``mode`` says.

    Args:
        weights: file of the weights. By default the one that the environment variable ``LIT_IMPROVED_GAN_INCEPTION``
            names; without it, the published file is downloaded into torch's hub directory once, and its hash checked.
        mode: ``"tf1"``, the paper's: TensorFlow 1's bilinear resize, without half-pixel centres and antialiasing, as
            torch-fidelity and the original scores have it. ``"torchmetrics"``: antialiased, as in torchmetrics.

    Raises:
        FileNotFoundError: there is no such file, or it cannot be downloaded.
        ValueError: the file holds no weights of this network, or is damaged.

    Weights that are not the published ones are used with a warning.

    Source: paper section 4; Szegedy et al. 2015, arXiv:1512.00567.
    """

    is_inception = True

    def __init__(self, weights: str | Path | None = None, mode: Literal["tf1", "torchmetrics"] = "tf1") -> None:
        super().__init__()
        if mode not in ("tf1", "torchmetrics"):
            raise ValueError(
                f"Parameter `mode` of InceptionFeatures should be 'tf1' or 'torchmetrics'. Found {mode!r}."
            )
        self.sizes, self.mode = _SIZES, mode
        path = _find(weights)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.weights_sha256, self.weights_are_published = digest, digest.startswith(_HASH)
        if not self.weights_are_published:
            warnings.warn(
                f"{path} does not hold the published weights of the Inception network, whose SHA-256 begins with "
                f"{_HASH}, but others, {digest[:8]}: what is measured compares with no paper.",
                stacklevel=2,
            )
        self.fingerprint = f"inception-{mode}-{digest[:16]}"
        with torch.random.fork_rng([]):  # its first weights are drawn, only to be replaced: nobody else's noise changes
            self.network = _build(path, mode)

    def key(self, measure: str, layer: str) -> str:
        """``fid2048``, ``inception_score``; in the mode of torchmetrics ``fid2048_torchmetrics``."""
        name = measure if layer == "logits_unbiased" else f"{measure}{layer}"
        return name if self.mode == "tf1" else f"{name}_{self.mode}"

    def extract(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network as far as the deepest wanted layer."""
        network: Any = self.network
        network.features_list = self.wanted
        run = network if self.mode == "tf1" else network._torch_fidelity_forward
        return dict(zip(self.wanted, run(images), strict=True))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "InceptionFeatures":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torchmetrics has no types there
        _arrange(self.network)
        return self


def _find(weights: str | Path | None) -> Path:
    given = weights if weights is not None else os.environ.get(WEIGHTS_VARIABLE) or None
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            where = (
                f"The variable {WEIGHTS_VARIABLE}" if weights is None else "Parameter `weights` of InceptionFeatures"
            )
            raise FileNotFoundError(f"{where} names a file that is not there: {path}.")
        return path
    path = Path(torch.hub.get_dir()) / "checkpoints" / _URL.rsplit("/", 1)[1]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(_URL, str(path), hash_prefix=_HASH)
        except (URLError, OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"The weights of the Inception network are not here, and could not be downloaded ({error}). Connect to "
                f"the network once, or put {_URL} into a file and name it by the parameter `weights` of "
                f"InceptionFeatures (--weights of evaluate) or the environment variable {WEIGHTS_VARIABLE}."
            ) from error
    return path


def _build(path: Path, mode: str) -> torch.nn.Module:
    """The network with the weights of a file, of which nothing is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise ValueError(f"{path} should hold the weights of the Inception network. Found a damaged file.") from error
    safe = io.BytesIO()
    torch.save(state, safe)  # the constructors below would load the file itself with weights_only=False
    safe.seek(0)
    network: torch.nn.Module
    try:
        if mode == "tf1":
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

            network = FeatureExtractorInceptionV3("inception-v3-compat", list(_SIZES), safe)
        else:
            from torchmetrics.image.fid import NoTrainInceptionV3

            network = NoTrainInceptionV3("inception-v3-compat", list(_SIZES), safe)  # type: ignore[arg-type]  # it takes a path, too
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} should hold the weights of the Inception network as torch-fidelity has them. Found others."
        ) from error
    _arrange(network)
    return network.eval().requires_grad_(False)


def _arrange(network: torch.nn.Module) -> None:
    """Order the weights as the processor wants them: with channels last a CPU takes 0.6 of the time."""
    for weight in network.parameters():
        if weight.dim() == 4:
            on_cpu = weight.device.type == "cpu"
            order = torch.channels_last if on_cpu else torch.contiguous_format
            weight.data = weight.data.contiguous(memory_format=order)
