"""Minibatch discrimination against the transcription, and what it promises."""

import copy
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.mutate import plant
from helpers.references import minibatch_discrimination as reference
from torch import Tensor, nn

from lit_improved_gan.layers import (
    JointMinibatchDiscrimination,
    MinibatchDiscrimination,
    initialize,
    minibatch_closeness,
)

CASES = [(None, False), (None, True), ([3, 1], False), ([3, 1], True)]


def assert_near(found: Tensor, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    difference = np.abs(found.detach().double().numpy() - expected)
    assert found.shape == expected.shape
    assert difference.max() <= tolerance * max(np.abs(expected).max(), 1e-300), difference.max()


def make(theta: np.ndarray, log_scale: np.ndarray, bias: np.ndarray, average: bool) -> MinibatchDiscrimination:
    layer = MinibatchDiscrimination(*theta.shape, reduction="mean" if average else "sum").double().eval()
    with torch.no_grad():
        for name, value in (("theta", theta), ("log_scale", log_scale), ("bias", bias)):
            getattr(layer, name).copy_(torch.tensor(value))
    return layer


def check() -> None:
    rng = np.random.default_rng(0)
    for a, b, c in [(4, 4, 4), (5, 3, 2), (2, 1, 1)]:  # in the first a wrong axis is no error of shapes
        values, theta, log_scale, bias, g = (
            rng.normal(size=size) for size in ((4, a), (a, b, c), (b, c), (b,), (4, a + b))
        )
        log_scale *= 0.3
        for groups, average in CASES:
            layer, x = make(theta, log_scale, bias, average), torch.tensor(values, requires_grad=True)
            found = layer(x, groups)
            expected = reference.features(values, theta, log_scale, bias, groups, average)
            assert_near(found, expected)
            found.backward(torch.tensor(g))
            gradients = reference.features_grad(values, theta, log_scale, g, groups, average)
            wanted = (x, layer.theta, layer.log_scale, layer.bias)
            for tensor, gradient in zip(wanted, gradients, strict=True):
                assert_near(tensor.grad, gradient)
            assert_near(layer.float()(x.float(), groups), expected, 1e-5)


def check_initialization() -> None:
    rng = np.random.default_rng(0)
    for (n, a, b, c), average in [((4, 4, 4, 4), False), ((4, 4, 4, 4), True), ((6, 3, 2, 5), False)]:
        values, theta, log_scale, bias = (rng.normal(size=size) for size in ((n, a), (a, b, c), (b, c), (b,)))
        layer = make(theta, log_scale, bias, average)
        layer.initialize(torch.tensor(values))
        expected = reference.initialise(values, theta, average)
        assert_near(layer.log_scale, expected[0])
        assert_near(layer.bias, expected[1])
        assert_near(layer.theta, theta, 0)
        assert layer.initialized


@pytest.mark.parametrize("check", [check, check_initialization])
def test_against_the_transcription(check) -> None:
    check()


LAYER = MinibatchDiscrimination


def check_mean_distance() -> None:
    torch.manual_seed(0)
    for reduction in ("sum", "mean"):
        layer = LAYER(16, 12, 3, reduction, "mean").double()
        x = torch.randn(12, 16, dtype=torch.float64) * 9 + 4
        layer.initialize(x)
        m = layer.project(x).detach().numpy()
        distances = [np.abs(m[i] - m[j]).sum(1) for i in range(12) for j in range(12) if j != i]
        np.testing.assert_allclose(np.mean(distances, 0), 2, rtol=1e-12)
        np.testing.assert_allclose(layer(x)[:, 16:].mean(0).detach(), 0, atol=1e-12)


def test_the_mean_distance_of_all_pairs_becomes_two() -> None:
    check_mean_distance()


def test_the_mean_distance_sees_other_clusters_and_the_nearest_does_not() -> None:
    torch.manual_seed(0)
    clusters = torch.randn(8, 16).repeat_interleave(8, 0) + 0.01 * torch.randn(64, 16)
    for scale, seen in [("nearest", False), ("mean", True)]:
        layer = LAYER(16, 8, 4, "mean", scale)
        layer.initialize(clusters)
        between = minibatch_closeness(layer.project(clusters[::8])).mean() / 7
        assert (between > 0.05) == seen, (scale, between)
        assert seen or between < 1e-6


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (LAYER.project, check, "(log_scale.exp()", "((-log_scale).exp()"),
        (LAYER.project, check, ".exp() / torch", ".exp() * torch"),
        (LAYER.project, check, "dim=0", "dim=1"),
        (LAYER._closeness, check, "closeness / others", "-closeness / others"),
        (LAYER._closeness, check, "* world - 1", "* world"),
        (LAYER._closeness, check, "/ others", "/ others.T"),
        (LAYER.forward, check, "+ self.bias", "- self.bias"),
        (LAYER.forward, check, "+ self.bias", "+ 2 * self.bias"),
        (LAYER.forward, check, "cat([x, closeness.to(x.dtype)]", "cat([closeness.to(x.dtype), x]"),
        (LAYER.initialize, check_initialization, "log_scale.copy_(-(", "log_scale.copy_(("),
        (LAYER.initialize, check_initialization, "distance / 2", "distance"),
        (LAYER._distance, check_initialization, ".mean(1)", ".mean(0)"),
        (LAYER._distance, check_mean_distance, "sum((1, 2))", "sum((0, 1))"),
        (LAYER._distance, check_mean_distance, "(len(x) - 1)", "len(x)"),
        (LAYER.initialize, check_initialization, ".copy_(-(", ".copy_(("),
        (LAYER.initialize, check_initialization, "(len(x) - 1)", "len(x)"),
        (LAYER.initialize, check_initialization, ".mean(0)", ".mean(1)"),
    ],
)
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def test_the_joint_layer_against_the_transcription() -> None:
    rng = np.random.default_rng(0)
    values, g = rng.normal(size=(6, 3)), rng.normal(size=(6, 11))
    layer, x = JointMinibatchDiscrimination(3, 4, 2).double(), torch.tensor(values, requires_grad=True)
    w = layer.projection.weight.detach().numpy().T.reshape(3, 4, 2)
    m = reference.project(values, w)
    found = layer(x)
    assert_near(found, np.concatenate([values, reference.joint_closeness(m)], 1))
    found.backward(torch.tensor(g))
    on_m = reference.joint_closeness_grad(m, g[:, 3:])
    assert_near(x.grad, g[:, :3] + np.einsum("nbc,abc->na", on_m, w))
    assert_near(layer.projection.weight.grad, np.einsum("nbc,na->abc", on_m, values).reshape(3, 8).T)


def test_the_released_start() -> None:
    torch.manual_seed(0)
    layer = LAYER(192)
    assert layer.theta.shape == (192, 100, 5)
    assert layer.theta.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(layer.theta.mean().item()) < 1e-3
    assert torch.equal(layer.log_scale, torch.zeros(100, 5))
    assert torch.equal(layer.bias, torch.full((100,), -1.0))
    assert not layer.initialized
    assert [name for name, _ in layer.named_parameters()] == ["theta", "log_scale", "bias"]


def test_a_dead_layer_is_impossible() -> None:
    torch.manual_seed(0)
    layer, x = LAYER(192), torch.randn(192, 192)
    unscaled = torch.einsum("na,abc->nbc", x, torch.randn(192, 100, 5))  # the paper's T ~ N(0, 1) as it stands
    assert minibatch_closeness(unscaled).median() < 1e-6
    layer.initialize(x)
    before_bias = layer(x)[:, 192:] - layer.bias
    assert 0.05 < before_bias.mean() < 5
    assert before_bias.mean(0).min() > 0.05
    before_bias.sum().backward()
    assert layer.theta.grad.norm() > 1e-2
    assert (layer.log_scale.grad.abs() > 1e-3).all()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_initialization_sets_the_distance_to_the_nearest_other_to_two(reduction: str) -> None:
    torch.manual_seed(0)
    layer, x = LAYER(16, 8, 3, reduction).double(), torch.randn(40, 16, dtype=torch.float64) * 9 + 4
    layer.initialize(x)
    nearest = reference.nearest_distance(layer.project(x).detach().numpy())
    np.testing.assert_allclose(nearest.mean(0), 2, rtol=1e-12)
    np.testing.assert_allclose(layer(x)[:, 16:].mean(0).detach(), 0, atol=1e-12)


def test_a_layer_initialises_itself_on_its_first_training_batch_only() -> None:
    torch.manual_seed(0)
    x, other = torch.randn(12, 6), torch.randn(12, 6) * 5
    layer = LAYER(6, 4, 3)
    expected = copy.deepcopy(layer)
    expected.initialize(x)
    layer.eval()(other)
    assert not layer.initialized
    assert torch.equal(layer.log_scale, torch.zeros(4, 3))
    out = layer.train()(x)
    assert layer.initialized
    out.sum().backward()  # of a layer that was changed in place just before
    assert torch.equal(out, expected(x))
    state = copy.deepcopy(layer.state_dict())
    layer(other)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, state[name]), name


def by_state_dict(layer: MinibatchDiscrimination) -> MinibatchDiscrimination:
    again = LAYER(6, 4, 3)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    return again


def by_assignment(layer: MinibatchDiscrimination) -> MinibatchDiscrimination:
    with torch.device("meta"):
        again = LAYER(6, 4, 3)
    again.load_state_dict(copy.deepcopy(layer.state_dict()), assign=True)
    return again


def inside_another(layer: MinibatchDiscrimination) -> MinibatchDiscrimination:
    again = nn.Sequential(nn.ReLU(), LAYER(6, 4, 3))
    again.load_state_dict(nn.Sequential(nn.ReLU(), layer).state_dict())
    return again[1]


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), by_state_dict, by_assignment, inside_another]
)
def test_copies_remember_whether_they_are_initialised(again) -> None:
    torch.manual_seed(0)
    layer, x, other = LAYER(6, 4, 3), torch.randn(12, 6), torch.randn(12, 6) * 5
    fresh = again(layer)
    assert not fresh.initialized
    fresh(x)
    assert fresh.initialized
    assert not torch.equal(fresh.log_scale, layer.log_scale)
    layer.initialize(x)
    copied = again(layer)
    assert copied.initialized
    assert torch.equal(copied.train()(other), layer(other))
    assert torch.equal(copied.log_scale, layer.log_scale)


def test_a_checkpoint_of_an_uninitialised_layer_makes_it_so() -> None:
    layer = LAYER(6, 4, 3)
    start = copy.deepcopy(layer.state_dict())
    layer.initialize(torch.randn(12, 6))
    layer.load_state_dict(start)
    layer(torch.randn(12, 6))
    assert layer.initialized
    assert not torch.equal(layer.log_scale, torch.zeros(4, 3))


def test_a_network_initialises_it_on_the_features_that_reach_it() -> None:
    network, x = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), LAYER(6, 4, 3)), torch.randn(30, 5)
    initialize(network, x)
    torch.testing.assert_close(network(x)[:, 6:].mean(0), torch.zeros(4), atol=1e-5, rtol=0)


def test_the_mean_does_not_depend_on_the_batch_size() -> None:
    torch.manual_seed(0)
    layer = LAYER(8, 4, 3, "mean")
    layer.initialize(torch.randn(500, 8))
    small, large = (layer(torch.randn(n, 8))[:, 8:].detach() - layer.bias for n in (500, 2000))
    torch.testing.assert_close(small.mean(0), large.mean(0), rtol=0.15, atol=0)


def test_one_example_and_none() -> None:
    for reduction in ("sum", "mean"):
        layer = LAYER(6, 4, 3, reduction)
        layer.initialize(torch.randn(12, 6))
        x = torch.randn(1, 6, requires_grad=True)
        out = layer(x)
        assert torch.equal(out[:, 6:], layer.bias.unsqueeze(0))
        out.sum().backward()
        assert torch.equal(x.grad, torch.ones(1, 6))
        assert layer(torch.zeros(0, 6)).shape == (0, 10)


def test_the_order_of_the_examples_does_not_matter() -> None:
    layer, x, order = LAYER(6, 4, 3).double(), torch.randn(12, 6, dtype=torch.float64), torch.randperm(12)
    layer.initialize(x)
    torch.testing.assert_close(layer(x[order]), layer(x)[order], rtol=1e-12, atol=1e-12)


def test_duplicates_have_larger_features() -> None:
    layer, x = LAYER(6, 4, 3), torch.randn(12, 6)
    layer.initialize(x)
    before = layer(x)[0, 6:]
    x[1] = x[0]
    assert (layer(x)[0, 6:] > before).all()


def test_precision() -> None:
    torch.manual_seed(0)
    layer, x = LAYER(16, 8, 5), torch.randn(40, 16).bfloat16()
    layer.initialize(x.float())
    exact = layer(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x.float()), exact)  # the layer itself computes in single precision
        low = layer(x)
    assert low.dtype == torch.bfloat16
    assert torch.equal(low, exact.bfloat16())
    layer.initialize(x)
    half = layer(x.half())
    assert half.dtype == torch.float16
    assert torch.equal(half, layer(x.float()).half())
    assert layer(x.double()).dtype == torch.float64  # the type of what is appended to


def test_gradients_under_autocast_are_single_precision() -> None:
    layer, x = LAYER(16, 8, 5), torch.randn(40, 16, requires_grad=True)
    layer.initialize(x)
    expected = torch.autograd.grad(layer(x).square().sum(), (x, layer.theta))
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    torch.testing.assert_close(torch.autograd.grad(out.square().sum(), (x, layer.theta)), expected)


def test_second_derivatives() -> None:
    """As R1 takes them."""
    layer, x = LAYER(3, 2, 2).double(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    layer.initialize(x)
    assert torch.autograd.gradgradcheck(layer, x)
    (gradient,) = torch.autograd.grad(layer(x)[:, 3:].sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert layer.theta.grad.norm() > 0


@pytest.mark.parametrize("kind", [LAYER, JointMinibatchDiscrimination])
@pytest.mark.parametrize("mode", [True, False])
def test_compiles_without_breaks(kind: type[nn.Module], mode: bool) -> None:
    torch.manual_seed(0)
    layer, x = kind(6, 4, 3).double(), torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    if kind is LAYER:
        layer.initialize(x)
    layer.train(mode)
    wanted = [x, *layer.parameters()]
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    values = [f(x) for f in (layer, compiled)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*(torch.autograd.grad(v.square().sum(), wanted) for v in values), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["in_features", "num_kernels", "kernel_dim"])
@pytest.mark.parametrize("kind", [LAYER, JointMinibatchDiscrimination])
def test_empty_sizes_are_refused(kind: type[nn.Module], name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of {kind.__name__}.*{name}=0"):
        kind(**{"in_features": 2, "num_kernels": 2, "kernel_dim": 2, name: 0})


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`reduction`.*'max'"):
        LAYER(3, reduction="max")
    with pytest.raises(ValueError, match=r"`initial_scale`.*'far'"):
        LAYER(3, initial_scale="far")
    layer = LAYER(3, 2, 2)
    with pytest.raises(ValueError, match=r"1 example\(s\)"):
        layer.initialize(torch.randn(1, 3))
    with pytest.raises(ValueError, match=r"4 example\(s\).*different"):
        layer.initialize(torch.ones(4, 3))
    with pytest.raises(ValueError, match="different"):  # at the first training batch, too
        layer(torch.ones(4, 3))
    assert not layer.initialized
    layer.initialize(torch.randn(8, 3))
    for shape in [(4, 2), (4, 3, 1), (3,)]:
        with pytest.raises(ValueError, match=r"should be \(N, 3\)"):
            layer(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"`groups`.*4 examples"):
        layer(torch.randn(4, 3), [2, 3])
    with pytest.raises(ValueError, match="joint"):
        JointMinibatchDiscrimination(3, 2, 2)(torch.randn(3, 3))


# All draw the same whole batch; each of two processes takes its half of it. In groups, the whole batch consists of the
# first group of every process, then of the second of every process.
ONE_OF_SEVERAL = """
import itertools
import sys
import torch
import torch.distributed as dist
from lit_improved_gan.layers import MinibatchDiscrimination

torch.set_num_threads(1)
rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if world > 1:
    dist.init_process_group("gloo", store=dist.FileStore(folder + "/store", world), rank=rank, world_size=world)
found = {}
for case in itertools.product(("sum", "mean"), (True, False), (None, (2, 2))):
    reduction, across, groups = case
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(5, 4, 3, reduction, across_ranks=across).double()
    whole, weights = torch.randn(8, 5).double(), torch.randn(8, 9).double()
    if world > 1:
        mine = torch.arange(rank * 4, rank * 4 + 4)
    else:
        mine = torch.tensor([0, 1, 4, 5, 2, 3, 6, 7]) if groups else torch.arange(8)
        groups = groups and (4, 4)
    x = whole[mine].requires_grad_()
    out = layer(x, groups)
    (out * weights[mine]).sum().backward()
    gradients = [p.grad for p in layer.parameters()]
    if world > 1:
        for gradient in gradients:
            dist.all_reduce(gradient)
    rows = mine.argsort()
    found[case] = {"outputs": out.detach()[rows], "inputs": x.grad[rows], "weights": gradients}
    found[case]["state"] = layer.state_dict()
torch.save(found, f"{folder}/{rank}.pt")
if world > 1:
    dist.destroy_process_group()
"""


def test_two_processes_take_their_examples_as_one_batch(tmp_path) -> None:
    def start(rank: int, world: int) -> subprocess.Popen[str]:
        folder = tmp_path / str(world)
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", ONE_OF_SEVERAL, str(rank), str(world), str(folder)]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)

    processes = [start(0, 1), start(0, 2), start(1, 2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    whole, first, second = (torch.load(tmp_path / path) for path in ("1/0.pt", "2/0.pt", "2/1.pt"))
    for case, expected in whole.items():
        one, two = first[case], second[case]
        for name, value in expected["state"].items():  # initialised by the first batch, that of all processes
            assert torch.equal(one["state"][name], two["state"][name])
            torch.testing.assert_close(one["state"][name], value, rtol=1e-12, atol=1e-12)
        for name in ("outputs", "inputs"):
            joined = torch.cat([one[name], two[name]])
            _, across_ranks, _ = case
            assert torch.allclose(joined, expected[name], rtol=1e-12, atol=1e-12) == across_ranks, (case, name)
            if across_ranks:
                for part in (one, two):
                    torch.testing.assert_close(part["weights"], expected["weights"], rtol=1e-12, atol=1e-12)


def test_backward_within_autocast() -> None:
    torch.manual_seed(0)
    layer, x, m = LAYER(4, 3, 2), torch.randn(16, 4), torch.randn(6, 3, 2, requires_grad=True)
    layer.initialize(x)
    exact, near = [], []
    for enabled in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            layer(x).square().sum().backward()
            exact.append(torch.autograd.grad(minibatch_closeness(m).square().sum(), m)[0])
        near.append(layer.theta.grad.clone())
    torch.testing.assert_close(*exact)
    assert (near[0] - near[1]).norm() < 0.02 * near[0].norm()  # torch's own product is in bfloat16 there


def test_a_failed_initialisation_changes_nothing() -> None:
    layer = LAYER(4, 3, 2)
    layer.initialize(torch.randn(9, 4))
    before = copy.deepcopy(layer.state_dict())
    for wrong in (torch.ones(5, 4), torch.randn(1, 4), torch.zeros(0, 4)):
        with pytest.raises(ValueError, match="examples that differ"):
            layer.initialize(wrong)
    assert all(torch.equal(value, layer.state_dict()[name]) for name, value in before.items())


def test_in_half_precision_closeness_is_taken_in_float32() -> None:
    torch.manual_seed(0)
    layer, x = LAYER(4, 3, 2), torch.randn(9, 4)
    layer.initialize(x)
    half = copy.deepcopy(layer).bfloat16()
    out = half(x.bfloat16())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), layer(x), rtol=0.05, atol=0.05)
    fresh = LAYER(4, 3, 2).bfloat16()
    assert fresh(x.bfloat16()).isfinite().all()


def test_the_lazy_initialisation_takes_the_first_group() -> None:
    torch.manual_seed(0)
    lazy, x = LAYER(4, 3, 2), torch.randn(9, 4)
    other = copy.deepcopy(lazy)
    lazy(x, [5, 4])
    other.initialize(x[:5])
    assert torch.equal(lazy.log_scale, other.log_scale)
