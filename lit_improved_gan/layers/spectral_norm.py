"""A dense layer with torch's spectral normalisation."""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["SpectralNormLinear"]


class SpectralNormLinear(nn.Linear):
    """``nn.Linear`` whose weight is divided by its largest singular value, as torch estimates it.

    Args:
        in_features: size of an input.
        out_features: size of an output.

    Source: Miyato et al. 2018 (arXiv:1802.05957); ``torch.nn.utils.parametrizations.spectral_norm``.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        spectral_norm(self)
