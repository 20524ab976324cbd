"""R1 against the transcription on a tiny network, and on the library's own."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import adversarial as reference
from torch import Tensor, nn

from lit_improved_gan import losses
from lit_improved_gan.layers import MinibatchDiscrimination
from lit_improved_gan.losses import Penalty, R1Penalty, r1_penalty
from lit_improved_gan.networks import MLPDiscriminator
from lit_improved_gan.types import DiscriminatorOutput


class Tiny(nn.Module):
    """s(x) = v . tanh(W x + b), by itself, or as the (N, K) logits with that logit of real, or with features."""

    def __init__(self, w: np.ndarray, b: np.ndarray, v: np.ndarray, returns: str = "logit") -> None:
        super().__init__()
        self.w, self.b, self.v = (nn.Parameter(torch.tensor(value)) for value in (w, b, v))
        self.returns = returns

    def forward(self, x: Tensor) -> Tensor | DiscriminatorOutput:
        logits = (torch.tanh(x.flatten(1) @ self.w.T + self.b) @ self.v)[:, None]
        if self.returns == "classes":  # three equal ones: log sum exp is s
            logits = logits.expand(-1, 3) - np.log(3)
        return DiscriminatorOutput(logits, {}) if self.returns == "output" else logits


def check() -> None:
    rng = np.random.default_rng(0)
    # the first: a wrong axis is no error of shapes
    for (n, a, h), returns in zip([(3, 3, 3), (5, 3, 4), (1, 2, 3)], ["logit", "classes", "output"], strict=True):
        x, w, b, v = rng.normal(size=(n, a)), rng.normal(size=(h, a)), rng.normal(size=h), rng.normal(size=h)
        network, images = Tiny(w, b, v, returns), torch.tensor(x)
        for arguments, gamma in [((), 10.0), ((1.0,), 1.0), ((0.3,), 0.3)]:
            loss = R1Penalty(*arguments)(network, images)
            np.testing.assert_allclose(loss.item(), reference.r1_penalty(x, w, b, v, gamma), rtol=1e-10)
            found = torch.autograd.grad(loss, (network.w, network.b, network.v))
            for gradient, expected in zip(found, reference.r1_penalty_grad(x, w, b, v, gamma), strict=True):
                np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)
        single = R1Penalty()(copy.deepcopy(network).float(), images.float())
        assert single.item() == pytest.approx(reference.r1_penalty(x, w, b, v, 10.0), rel=1e-5)
        assert not images.requires_grad


def test_against_the_transcription() -> None:
    check()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (r1_penalty, "/ 2", "/ -2"),
        (r1_penalty, " / 2", ""),
        (r1_penalty, "flatten(1).sum(1).mean()", "flatten(1).sum(1).sum()"),
        (r1_penalty, "flatten(1).sum(1)", "flatten(1).mean(1)"),
        (r1_penalty, ".square().flatten(1).sum(1)", ".flatten(1).sum(1).square()"),
        (r1_penalty, "gradient.square()", "(gradient.detach() * gradient)"),
        (R1Penalty.forward, "self.weight *", "-self.weight *"),
        (R1Penalty.forward, "self.weight *", "2 * self.weight *"),
        (losses.real_logit, "torch.logsumexp(logits, 1)", "logits.sum(1)"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def penalised(network: MLPDiscriminator, images: Tensor) -> float:
    """Half the mean squared slope of the sum of all logits of real, by central differences in every pixel."""
    total, h = 0.0, 1e-5

    def value(x: Tensor) -> float:
        return losses.real_logit(network(x).logits).sum().item()

    with torch.no_grad():
        for i in np.ndindex(*images.shape):
            up, down = images.clone(), images.clone()
            up[i] += h
            down[i] -= h
            total += ((value(up) - value(down)) / (2 * h)) ** 2
    return total / (2 * len(images))


@pytest.mark.parametrize("with_layer", [False, True], ids=["plain", "minibatch discrimination"])
def test_the_librarys_discriminator(with_layer: bool) -> None:
    """With minibatch discrimination an image moves the logits of the others, too, and the second derivative is ours."""
    torch.manual_seed(0)
    layer = partial(MinibatchDiscrimination, num_kernels=3, kernel_dim=2) if with_layer else None
    network = MLPDiscriminator((1, 2, 2), 3, (6, 5), minibatch_discrimination=layer).double()
    images = torch.rand(4, 1, 2, 2, dtype=torch.float64) * 2 - 1
    network.initialize(torch.rand(50, 1, 2, 2, dtype=torch.float64) * 2 - 1)
    network.eval()
    penalty = R1Penalty(1.0)
    loss = penalty(network, images)
    assert loss.item() == pytest.approx(penalised(network, images), rel=1e-6)
    loss.backward()
    trained = [p for p in network.parameters() if p.requires_grad and p.grad is not None]
    if with_layer:
        assert network.batch_layer.theta.grad.abs().sum() > 0
        assert network.batch_layer.log_scale.grad.abs().sum() > 0
    h = 1e-6
    for parameter in trained:  # the derivative in a random direction
        direction = torch.randn_like(parameter)
        values = []
        for sign in (1, -1):
            parameter.data.add_(direction, alpha=sign * h)
            values.append(penalty(network, images).item())
            parameter.data.sub_(direction, alpha=sign * h)
        expected = (values[0] - values[1]) / (2 * h)
        assert (parameter.grad * direction).sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_no_gradient_reaches_the_images_and_a_flat_discriminator_costs_nothing() -> None:
    images = torch.randn(4, 3, requires_grad=True)
    network = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    R1Penalty()(network, images).backward()
    assert images.grad is None
    nn.init.zeros_(network[2].weight)
    assert R1Penalty()(network, images) == 0


def test_wrong_uses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"R1Penalty.*real images"):
        R1Penalty()(nn.Linear(2, 1))
    for weight in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="`weight` of R1Penalty"):
            R1Penalty(weight)
    with pytest.raises(TypeError, match="abstract class Penalty"):
        Penalty()(nn.Linear(2, 1))


def test_it_copies_and_pickles() -> None:
    network, images = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), torch.randn(4, 3)
    penalty = R1Penalty(3.0)
    for again in (copy.deepcopy(penalty), pickle.loads(pickle.dumps(penalty))):
        assert torch.equal(again(network, images), penalty(network, images))
