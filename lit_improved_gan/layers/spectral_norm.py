"""A dense layer with torch's spectral normalisation."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import register_parametrization

__all__ = ["SpectralNormLinear"]


class SpectralNormLinear(nn.Linear):
    """``nn.Linear`` whose weight is divided by its largest singular value, as torch estimates it.

    Args:
        in_features: size of an input.
        out_features: size of an output.

    Source: Miyato et al. 2018 (arXiv:1802.05957); ``torch.nn.utils.parametrizations.spectral_norm``, which it equals.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        register_parametrization(self, "weight", _InPlace(self.weight))


class _InPlace(_SpectralNorm):
    """Torch's estimate, written in a way that torch.vmap can run: torch's own has ``out=``."""

    _u: Tensor
    _v: Tensor

    @torch.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(normalize(torch.mv(weight_mat, self._v), dim=0, eps=self.eps))
            self._v.copy_(normalize(torch.mv(weight_mat.mT, self._u), dim=0, eps=self.eps))
