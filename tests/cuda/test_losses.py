"""Every loss and penalty on CUDA against the CPU, and finite at large logits."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from helpers.cuda import DEVICE, MIXED_TOLERANCE, TOLERANCES, assert_close, check_mixed, check_same, on, values
from torch import Tensor, nn

from lit_improved_gan import losses
from lit_improved_gan.layers import MinibatchDiscrimination
from lit_improved_gan.losses import FeatureMatchingLoss, HistoricalAveraging, MMDLoss, R1Penalty, SemiSupervisedLoss
from lit_improved_gan.networks import MLPDiscriminator
from lit_improved_gan.types import DiscriminatorOutput

pytestmark = pytest.mark.gpu

Loss = Callable[[Tensor, Tensor], Tensor]
DTYPES = list(TOLERANCES)
MIXED = pytest.mark.parametrize("dtype", [*DTYPES, "bf16-mixed"], ids=str)


def output(x: Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(x, {"a": x, "b": x.square()})


def of_discriminator(loss: nn.Module) -> Loss:
    return lambda real, fake: loss(output(real), output(fake))


def of_generator(loss: nn.Module) -> Loss:
    return lambda real, fake: loss(output(fake), output(real))


def semi_supervised(real: Tensor, fake: Tensor, implicit: bool = False, part: str = "total") -> Tensor:
    labels = torch.arange(len(real), device=real.device) % (real.shape[1] - implicit)
    other = real.flip(0)
    if implicit:
        real, other, fake = (losses.implicit_logits(x) for x in (real, other, fake))
    return getattr(SemiSupervisedLoss(2.0, 0.9)(real, labels, other, fake), part)


OF_LOGITS: dict[str, Loss] = {
    "adversarial": of_discriminator(losses.AdversarialLoss()),
    "smoothed": of_discriminator(losses.AdversarialLoss(0.9)),
    "divergence of D": of_discriminator(losses.DivergenceDiscriminatorLoss()),
    "hinge of D": of_discriminator(losses.HingeDiscriminatorLoss()),
    "least squares of D": of_discriminator(losses.LeastSquaresDiscriminatorLoss(0.9)),
    "non-saturating": of_generator(losses.NonSaturatingLoss()),
    "minimax": of_generator(losses.MinimaxLoss()),
    "divergence of G": of_generator(losses.DivergenceGeneratorLoss()),
    "hinge of G": of_generator(losses.HingeGeneratorLoss()),
    "least squares of G": of_generator(losses.LeastSquaresGeneratorLoss()),
    "semi-supervised": semi_supervised,
    "semi-supervised of K + 1 logits": partial(semi_supervised, implicit=True),
    "its supervised part": partial(semi_supervised, part="supervised"),
    "its unsupervised part": partial(semi_supervised, part="unsupervised"),
}
STATISTICS = [losses.batch_mean, losses.batch_mean_variance, losses.batch_covariance]
DISTANCES = [losses.squared_distance, losses.l1_distance, losses.l2_distance]
OF_FEATURES: dict[str, Loss] = {
    f"{statistic.__name__}, {distance.__name__}": of_generator(
        FeatureMatchingLoss({"a": 1.0, "b": 0.5}, statistic, distance)
    )
    for statistic in STATISTICS
    for distance in DISTANCES
} | {"discrepancy": of_generator(MMDLoss(["a", "b"])), "one bandwidth": of_generator(MMDLoss("a", [2.0]))}
LOSSES = OF_LOGITS | OF_FEATURES


def check(loss: Loss, real: Tensor, fake: Tensor, dtype: torch.dtype | str) -> None:
    """``"bf16-mixed"``: logits and features in bfloat16 against the same numbers in float32."""
    real, fake = (x.bfloat16().to(x.dtype).requires_grad_() for x in (real, fake))
    if not isinstance(dtype, str):
        check_same(loss, real, fake, dtype=dtype)
        return

    def of_half(real: Tensor, fake: Tensor) -> Tensor:
        return loss(real.bfloat16(), fake.bfloat16())

    found = values(of_half, real, fake, device=DEVICE, dtype=torch.float32, autocast=True)
    expected = values(loss, real, fake, device="cpu", dtype=torch.float32, autocast=False)
    assert_close(found, expected, MIXED_TOLERANCE)


@MIXED
@pytest.mark.parametrize("classes", [1, 10])
@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_loss_of_logits_is_the_same(name: str, classes: int, dtype: torch.dtype | str) -> None:
    if name.startswith(("semi-supervised", "its")) and classes == 1:
        classes = 2
    torch.manual_seed(0)
    check(OF_LOGITS[name], 3 * torch.randn(30, classes), 3 * torch.randn(30, classes), dtype)


@MIXED
@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_loss_of_features_is_the_same(name: str, dtype: torch.dtype | str) -> None:
    torch.manual_seed(0)
    check(OF_FEATURES[name], torch.randn(30, 7), 1.5 * torch.randn(30, 7) + 1, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OF_LOGITS)
def test_finite_at_large_logits(name: str, dtype: torch.dtype) -> None:
    for classes in (2, 5) if name.startswith(("semi-supervised", "its")) else (1, 5):
        for real_sign, fake_sign in [(1, 1), (1, -1), (-1, 1), (-1, -1)]:
            pair = [torch.full((6, classes), sign * 1e4, dtype=dtype, device=DEVICE) for sign in (real_sign, fake_sign)]
            for x in pair:
                x[::2, 0] *= -1
                x.requires_grad_()
            value = OF_LOGITS[name](*pair)
            assert value.isfinite()
            gradients = torch.autograd.grad(value, pair, allow_unused=True)
            assert any(gradient is not None for gradient in gradients)
            assert all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=str)
@pytest.mark.parametrize("outputs", [1, 10])
def test_r1_is_the_same(outputs: int, dtype: torch.dtype, tolerance: float) -> None:
    """Its gradient is a second derivative, here through minibatch discrimination, too, which costs float32 a digit."""
    torch.manual_seed(0)
    layer = partial(MinibatchDiscrimination, num_kernels=5, kernel_dim=3)
    network = MLPDiscriminator((1, 8, 8), outputs, (20, 12), 0.0, 0.0, minibatch_discrimination=layer)
    network.initialize(torch.rand(50, 1, 8, 8) * 2 - 1)
    check_same(R1Penalty(2.0), network, torch.rand(16, 1, 8, 8) * 2 - 1, dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize("outputs", [1, 10])
def test_r1_in_mixed_precision(outputs: int) -> None:
    """Activations near zero change sides, and each takes a second derivative with it: of many images, few."""
    torch.manual_seed(0)
    network = MLPDiscriminator((1, 8, 8), outputs, (20, 12), 0.0, 0.0)
    network.initialize(torch.rand(50, 1, 8, 8) * 2 - 1)
    check_mixed(R1Penalty(2.0), network, torch.rand(200, 1, 8, 8) * 2 - 1, tolerance=0.1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_historical_averaging_is_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    start, steps = nn.Linear(4, 3), torch.randn(5, 3, 4)
    states = []
    for device in (DEVICE, "cpu"):
        network, penalty = on(device, dtype, start), HistoricalAveraging(0.5).to(device)
        state = {}
        for i, step in enumerate(steps):
            with torch.no_grad():
                network.weight += on(device, dtype, step)
            value = penalty(network)
            assert value.device.type == device
            (state[f"gradient {i}"],) = torch.autograd.grad(value, network.weight)
            state[f"value {i}"] = value
        states.append(state | {f"mean {i}": mean for i, mean in enumerate(penalty.means)})
        assert penalty.count == 5
    assert_close(*states, TOLERANCES[dtype])
