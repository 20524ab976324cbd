"""The spectrally normalised layer is torch's."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from lit_improved_gan import SpectralNormLinear


def test_it_equals_torchs_bit_for_bit() -> None:
    torch.manual_seed(0)
    ours = SpectralNormLinear(7, 5)
    torch.manual_seed(0)
    theirs = spectral_norm(nn.Linear(7, 5))
    for training in (True, True, True, False):
        ours.train(training), theirs.train(training)
        x = torch.randn(3, 7)
        for layer in (ours, theirs):
            layer.zero_grad()
            layer(x).square().sum().backward()
        assert torch.equal(ours(x), theirs(x))
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a.grad, b.grad)
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_two_passes_may_share_a_backward() -> None:
    layer, x = SpectralNormLinear(7, 5), torch.randn(3, 7)
    (layer(x) - layer(-x)).sum().backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()
