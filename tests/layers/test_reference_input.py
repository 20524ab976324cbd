"""The reference input of a network: what its samples depend on, and how often its pass is paid."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lit_improved_gan.layers import VirtualBatchNorm, attach_reference, convert_batch_norm, set_reference
from lit_improved_gan.optim import ReleasedAdam

R = 8  # examples of the reference batch; no other batch has as many


class Counter(nn.Module):
    """Counts the passes of the reference batch."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += len(x) == R
        return x


class Generator(nn.Module):
    """With layers in a list, of images, and called with a class label too, if asked."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.counter = Counter()
        self.embedding = nn.Embedding(classes, 3) if classes else None
        self.blocks = nn.ModuleList([nn.Linear(3, 8), VirtualBatchNorm(8), nn.Conv2d(2, 3, 1), VirtualBatchNorm(3)])

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        z = self.counter(z)
        if self.embedding is not None:
            z = z + self.embedding(label)
        dense, first, convolution, second = self.blocks
        return second(convolution(torch.relu(first(dense(z))).view(-1, 2, 2, 2))).tanh()


def sequential() -> nn.Sequential:
    return nn.Sequential(
        Counter(), nn.Linear(3, 5), VirtualBatchNorm(5), nn.Tanh(), nn.Linear(5, 4), VirtualBatchNorm(4), nn.Tanh()
    )


def make(kind: Callable[[], nn.Module] = sequential, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = kind()
    set_reference(network, torch.randn(R, 3))
    return network


def passes(network: nn.Module) -> int:
    return sum(layer.passes for layer in network.modules() if isinstance(layer, Counter))


def same(found: Tensor, expected: Tensor) -> bool:
    """Of another batch: a matrix product rounds differently."""
    return torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


def gradients(network: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [sequential, Generator])
def test_an_example_does_not_depend_on_its_batch_mates_nor_on_the_order_of_calls(kind, x: Tensor) -> None:
    network = make(kind)
    whole = network(x)
    assert same(network(x.flip(0)).flip(0), whole)
    network(torch.randn(30, 3) * 100)
    for training in (True, False):
        network.train(training)
        for row, expected in zip(x.split(1), whole.split(1), strict=True):
            assert same(network(row), expected)
    assert network(x[:1]).requires_grad
    with torch.no_grad():
        assert torch.equal(network(x), whole)
    assert not same(make(kind, 1)(x), whole)


def test_the_pass_is_paid_once_per_graph_and_once_for_all_uses_without(x: Tensor) -> None:
    network = make()
    assert passes(network) == 0
    network(x)
    network(x)
    assert passes(network) == 1
    with torch.no_grad():
        network(x)
        network(x)
    with torch.inference_mode():
        network(x)
    assert passes(network) == 2
    (network(x) + network(x)).sum().backward()  # the graph that is there, until here
    assert passes(network) == 2
    network(x).sum().backward()
    assert passes(network) == 3
    with torch.no_grad():
        network(x)
    assert passes(network) == 3


def test_sampling_with_frozen_weights_pays_once_in_all(x: Tensor) -> None:
    network = make()
    network.requires_grad_(False)
    inputs = x.clone().requires_grad_()
    for _ in range(3):
        network(inputs).sum().backward()  # a graph of the input alone: the statistics are not part of it
    assert passes(network) == 1
    with torch.no_grad():
        for _ in range(3):
            network.eval()(x)
    assert passes(network) == 2
    network(inputs)
    network.requires_grad_(True)
    trained = make().eval()
    found, expected = (gradients(each, each(x).square().sum()) for each in (network, trained))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD foreach": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, foreach=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1, foreach=False),
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "ReleasedAdam": lambda p: ReleasedAdam(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_pays_twice_and_its_samples_are_of_its_weights(name: str, x: Tensor) -> None:
    network = make()
    optimizer = OPTIMIZERS[name](network.parameters())
    for step in range(1, 4):
        with torch.no_grad():  # of D
            assert torch.equal(network(x), copy.deepcopy(network)(x))
        optimizer.zero_grad()
        loss = network(x).square().sum()  # of G
        assert torch.equal(loss, copy.deepcopy(network)(x).square().sum())
        loss.backward()
        optimizer.step()
        assert passes(network) == 2 * step


def test_the_graph_of_a_step_that_needed_no_gradient_serves_the_next(x: Tensor) -> None:
    network = make()
    network(x).detach()
    network(x).sum().backward()
    assert passes(network) == 1


def test_changed_weights_reference_and_mode_are_noticed(x: Tensor) -> None:
    network, other = make(), make(seed=1)
    with torch.no_grad():
        network(x)
        network[1].weight.mul_(2)
        assert torch.equal(network(x), copy.deepcopy(network)(x))
        assert passes(network) == 2
        replacements = [nn.Parameter(network[4].weight * factor) for factor in (2, 3)]
        for replacement in replacements:
            network[4].weight = replacement
            assert torch.equal(network(x), copy.deepcopy(network)(x))
        assert passes(network) == 4
        network.load_state_dict(other.state_dict())
        assert torch.equal(network(x), other(x))
        assert passes(network) == 5
        batch = torch.randn(R, 3)
        set_reference(network, batch)
        set_reference(other, batch)
        assert torch.equal(network(x), other(x))
        assert passes(network) == 6
        network.eval()(x)
        network.eval()(x)
        assert passes(network) == 7
        network.reference_input.forget()
        network(x)
        assert passes(network) == 8


def test_the_mode_of_the_network_is_that_of_its_reference_pass(x: Tensor) -> None:
    network = make(lambda: nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.9), VirtualBatchNorm(5)))
    with torch.no_grad():
        expected = network.eval()(x)
        network.train()(x)
        assert torch.equal(network.eval()(x), expected)


def test_the_precision_of_a_pass_is_that_of_its_reference_pass(x: Tensor) -> None:
    network = make()
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = network(x)
        assert torch.equal(network(x), exact)
        with torch.autocast("cpu", torch.bfloat16):
            network.reference_input.forget()
            assert torch.equal(network(x), low)


@pytest.mark.parametrize("kind", [sequential, Generator])
def test_gradients_flow_through_the_reference_statistics_unless_told_otherwise(kind, x: Tensor) -> None:
    network = make(kind).double()
    set_reference(network, network.reference_input.input0.double())
    inputs = x.double()
    weight = next(p for p in network.parameters() if p.dim() == 2)
    (analytic,) = torch.autograd.grad(network(inputs).square().sum(), weight)
    with torch.no_grad():
        numeric = torch.zeros_like(weight)
        for i in range(weight.numel()):
            ends = []
            for step in (1e-6, -2e-6):
                weight.view(-1)[i] += step
                ends.append(network(inputs).square().sum())
            weight.view(-1)[i] += 1e-6
            numeric.view(-1)[i] = (ends[0] - ends[1]) / 2e-6
    torch.testing.assert_close(analytic, numeric, rtol=1e-5, atol=1e-7)
    constant = kind().double()
    attach_reference(constant, reference_gradient=False)
    constant.load_state_dict(network.state_dict())
    assert torch.equal(constant(inputs), network(inputs))
    found = gradients(constant, constant(inputs).square().sum())
    assert not torch.allclose(found[0], gradients(network, network(inputs).square().sum())[0])
    assert passes(constant) == 1
    constant(inputs).square().sum().backward()  # no graph to end
    assert passes(constant) == 1


def test_forward_and_backward_twice_accumulate(x: Tensor) -> None:
    network = make()
    first, second = (gradients(network, network(part).sum()) for part in (x[:2], x[2:]))
    for part in (x[:2], x[2:]):
        network(part).sum().backward()
    for parameter, a, b in zip(network.parameters(), first, second, strict=True):
        torch.testing.assert_close(parameter.grad, a + b)
    together = gradients(network, network(x[:2]).sum() + network(x[2:]).sum())
    torch.testing.assert_close(together, [a + b for a, b in zip(first, second, strict=True)])


def test_a_gradient_of_the_input_leaves_the_graph_usable(x: Tensor) -> None:
    network, inputs = make(), x.clone().requires_grad_()
    torch.autograd.grad(network(inputs).sum(), inputs)
    network(inputs).sum().backward()
    (gradient,) = torch.autograd.grad(network(inputs).sum(), inputs, create_graph=True)
    network.zero_grad()
    gradient.square().sum().backward()  # as R1 does
    assert network[1].weight.grad.norm() > 0


def by_state_dict(network: nn.Module, size: int, kind: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(5)
    fresh = kind()
    if size:
        set_reference(fresh, torch.randn(size, 3))
    else:
        attach_reference(fresh)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


@pytest.mark.parametrize(
    "again",
    [
        lambda network, kind: copy.deepcopy(network),
        lambda network, kind: pickle.loads(pickle.dumps(network)),
        lambda network, kind: by_state_dict(network, 0, kind),
        lambda network, kind: by_state_dict(network, R, kind),
        lambda network, kind: by_state_dict(network, 3, kind),
    ],
    ids=["deepcopy", "pickle", "into none", "into one as large", "into another size"],
)
@pytest.mark.parametrize("kind", [sequential, Generator])
@pytest.mark.parametrize("used", [False, True])
def test_copies_sample_identically(again, kind, used: bool, x: Tensor) -> None:
    network = make(kind)
    if used:  # with a graph and statistics of it kept
        network(x)
        with torch.no_grad():
            network(x)
    copied = again(network, kind)
    assert torch.equal(copied(x), network(x))
    assert copied.state_dict().keys() == network.state_dict().keys()
    assert [len(value) for value in copied.reference_input.inputs] == [R]
    torch.testing.assert_close(
        gradients(copied, copied(x).square().sum()), gradients(network, network(x).square().sum()), rtol=0, atol=0
    )
    with torch.no_grad():  # they share nothing
        before = network(x)
        next(copied.parameters()).add_(1)
        set_reference(copied, torch.randn(R, 3))
        assert not torch.equal(copied(x), before)
        assert torch.equal(network(x), before)


def test_the_reference_input_is_a_copy_and_moves_with_the_network(x: Tensor) -> None:
    network, batch = make(), torch.randn(R, 3)
    set_reference(network, batch)
    before = network(x)
    batch.zero_()
    assert torch.equal(network(x), before)
    assert "reference_input.input0" in network.state_dict()
    assert network.double()(x.double()).dtype == torch.float64
    assert same(network(x.double()).float(), before)


def test_several_inputs(x: Tensor) -> None:
    torch.manual_seed(0)
    network = Generator(classes=10)
    labels = torch.arange(R)
    set_reference(network, torch.randn(R, 3), labels)
    assert torch.equal(network.reference_input.inputs[1], labels)
    out = network(x, torch.arange(5))
    assert same(network(x[3:4], torch.tensor([3])), out[3:4])
    again = Generator(classes=10)
    attach_reference(again)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x, label=torch.arange(5)), out)
    set_reference(network, torch.randn(R, 3), labels.flip(0))
    assert not torch.equal(network(x, torch.arange(5)), out)


class Nested(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.last = inner, VirtualBatchNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(x))


def test_the_network_that_is_called_may_hold_the_network_that_holds_the_layers(x: Tensor) -> None:
    torch.manual_seed(0)
    inner = sequential()
    network = Nested(inner)
    set_reference(network, torch.randn(R, 3))
    out = network(x)
    assert same(network(x[2:3]), out[2:3])
    with pytest.raises(RuntimeError, match="no reference batch"):
        inner(x)


def test_a_network_with_its_own_reference_keeps_it_inside_another(x: Tensor) -> None:
    network = Nested(make())
    alone = network.inner(x)
    set_reference(network, torch.randn(R, 3))
    hidden = []
    network.last.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    out = network(x)
    assert torch.equal(hidden[-1], alone)
    assert same(network(x[2:3]), out[2:3])
    assert torch.equal(network.inner(x), alone)
    out.sum().backward()
    copied = copy.deepcopy(network)
    assert torch.equal(copied(x), network(x))


def build() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8, eps=1e-3)),
        nn.Unflatten(1, (2, 2, 2)),
        nn.ModuleDict({"norm": nn.BatchNorm2d(2, affine=False)})["norm"],
        nn.Conv2d(2, 3, 1),
        nn.BatchNorm2d(3),
    )


def test_batch_norms_are_converted(x: Tensor) -> None:
    torch.manual_seed(0)
    network = build().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    network[4].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    before = dict(network.named_parameters())
    assert convert_batch_norm(network) is network
    after = dict(network.named_parameters())
    assert before.keys() == after.keys()
    assert all(after[name] is value for name, value in before.items())  # an optimizer goes on
    layers = [layer for layer in network.modules() if isinstance(layer, VirtualBatchNorm)]
    assert [(layer.num_features, layer.eps) for layer in layers] == [(8, 1e-3), (2, 1e-5), (3, 1e-5)]
    assert layers[1].weight is layers[1].bias is None
    assert [p.requires_grad for p in layers[2].parameters()] == [False, True]
    assert not any(layer.training for layer in layers)
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())
    with pytest.raises(RuntimeError, match="no reference batch"):
        network(x)
    set_reference(network, torch.randn(R, 3))
    out = network(x)
    assert same(network(x[:1]), out[:1])
    out.square().sum().backward()
    optimizer.step()
    assert not torch.equal(network(x), out)


def test_a_converted_network_is_near_batch_norm_of_the_reference_batch() -> None:
    torch.manual_seed(0)
    plain, z = build().double(), torch.randn(500, 3, dtype=torch.float64)
    network = convert_batch_norm(copy.deepcopy(plain))
    set_reference(network, z)
    torch.testing.assert_close(network(z), plain(z), rtol=0.1, atol=0.1)


def test_a_layer_called_on_its_own_says_what_is_missing(x: Tensor) -> None:
    network = make()
    refused = pytest.raises(RuntimeError, match=r"no reference batch.*call that network as a whole")

    def check() -> None:
        with refused:
            network[2](torch.zeros(5, 5))
        with pytest.raises(RuntimeError, match="no reference batch"):
            network[1:3](x)

    check()
    network(x)
    check()
    with pytest.raises(RuntimeError, match="shape"):  # of the network's own pass
        network(torch.zeros(5, 7))
    check()
    good = network.reference_input.input0
    set_reference(network, torch.randn(R, 7))
    with pytest.raises(RuntimeError, match="shape"):  # of the reference pass
        network(x)
    check()
    hook = network[4].register_forward_hook(lambda *_: 1 / 0)  # half-way
    set_reference(network, good)
    with pytest.raises(ZeroDivisionError):
        network(x)
    check()
    hook.remove()
    assert torch.equal(network(x), make()(x))


def test_errors() -> None:
    plain = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"Sequential holds no VirtualBatchNorm.*convert_batch_norm"):
        set_reference(plain, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="Sequential holds no"):
        attach_reference(plain)
    with pytest.raises(ValueError, match="Sequential holds no"):
        convert_batch_norm(plain)
    network = sequential()
    for inputs in ((), (torch.zeros(1, 3),), (torch.zeros(0, 3),), (torch.zeros(4, 3), torch.zeros(1))):
        with pytest.raises(ValueError, match="2 examples or more"):
            set_reference(network, *inputs)
    for wrong, found in [([1, 2], "list"), (torch.zeros(()), "one of shape"), (torch.full((4, 3), torch.nan), "NaN")]:
        with pytest.raises(ValueError, match=f"reference batch should be .* Found {found}"):
            set_reference(network, wrong)
    with pytest.raises(RuntimeError, match="no reference batch"):
        network(torch.zeros(4, 3))
    set_reference(network, torch.randn(4, 3))  # what was refused has left nothing behind
    network(torch.zeros(4, 3))
    assert attach_reference(network) is network.reference_input


def test_sampling_in_inference_mode_then_training(x: Tensor) -> None:
    network, untouched = make(), make()
    with torch.inference_mode():
        sampled = network(x)
    with torch.no_grad():
        assert torch.equal(network(x), sampled)
    inputs = x.clone().requires_grad_()
    network(inputs).sum().backward()
    assert passes(network) == 2
    for a, b in zip(network.parameters(), gradients(untouched, untouched(x).sum()), strict=True):
        assert torch.equal(a.grad, b)
    network.requires_grad_(False)
    with torch.inference_mode():
        network(x)
    network(inputs).sum().backward()


@pytest.mark.parametrize("reference_gradient", [True, False])
def test_autocast(reference_gradient: bool, x: Tensor) -> None:
    network, exact = sequential(), make()
    attach_reference(network, reference_gradient)
    network.load_state_dict(exact.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        out = network(x)
        out.float().square().sum().backward()
    torch.testing.assert_close(out.float(), exact(x), rtol=0.05, atol=0.05)
    if reference_gradient:
        expected = gradients(exact, exact(x).square().sum())
        for parameter, gradient in zip(network.parameters(), expected, strict=True):
            assert (parameter.grad - gradient).norm() < 0.1 * max(gradient.norm(), 1)
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.parametrize("kind", [sequential, Generator])
def test_compiles_without_breaks(kind, x: Tensor) -> None:
    network = make(kind).double()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    inputs = x.double()
    expected, found = network(inputs), compiled(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    both = [gradients(network, out.square().sum()) for out in (expected, found)]
    torch.testing.assert_close(*both, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        next(network.parameters()).mul_(2)
        torch.testing.assert_close(compiled(inputs), network(inputs), rtol=1e-12, atol=1e-12)
    refusing = next(layer for layer in network.modules() if isinstance(layer, VirtualBatchNorm))
    with pytest.raises(RuntimeError, match="no reference batch"):
        refusing(torch.zeros(2, refusing.num_features))


def fresh(network: nn.Module, x: Tensor) -> Tensor:
    """The output with the reference pass run anew."""
    network.reference_input.forget()
    return network(x)


@pytest.mark.parametrize("make_optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_fused_optimizer_does_not_leave_old_statistics(make_optimizer) -> None:
    network, x = make(), torch.randn(4, 3)
    optimizer = make_optimizer(network.parameters(), lr=0.1, fused=True)
    with torch.no_grad():
        network(x)
    network(x).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        assert torch.equal(network(x), fresh(network, x))


def test_a_weight_in_the_memory_of_another_is_noticed() -> None:
    torch.manual_seed(0)
    network, x = nn.Sequential(nn.Linear(3, 1000), VirtualBatchNorm(1000)), torch.randn(4, 3)
    set_reference(network, torch.randn(R, 3))
    with torch.no_grad():
        for _ in range(4):
            network[0].weight = None
            network[0].weight = nn.Parameter(torch.randn(1000, 3))
            assert torch.equal(network(x), fresh(network, x))


def test_the_reference_takes_the_type_of_the_network() -> None:
    network, x = make(), torch.randn(4, 3)
    double = sequential().double()
    attach_reference(double).set(torch.randn(R, 3))
    assert double(x.double()).dtype == torch.float64
    double.load_state_dict(network.state_dict())
    torch.testing.assert_close(double(x.double()).float(), network(x))


def test_a_layer_that_runs_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = VirtualBatchNorm(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.norm(x))

    network = Twice()
    set_reference(network, torch.randn(R, 3))
    with pytest.raises(RuntimeError, match="runs twice"):
        network(torch.randn(4, 3))


def test_a_state_without_a_reference_keeps_the_one_that_is_there() -> None:
    network, x = make(), torch.randn(4, 3)
    before = network(x)
    missing = network.load_state_dict({}, strict=False).missing_keys
    assert "reference_input.input0" in missing
    assert torch.equal(network(x), before)
    with pytest.raises(RuntimeError, match=r"reference_input\.input0"):
        network.load_state_dict(convert_batch_norm(nn.Sequential(nn.BatchNorm1d(3))).state_dict())


def test_the_mode_of_a_part_counts() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), VirtualBatchNorm(5))
    set_reference(network, torch.randn(R, 3))
    with torch.no_grad():
        network(torch.zeros(2, 3))
        network[1].eval()
        assert torch.equal(network(torch.zeros(2, 3)), fresh(network, torch.zeros(2, 3)))


def test_a_reference_set_in_inference_mode_can_be_trained_with() -> None:
    network = sequential()
    with torch.inference_mode():
        set_reference(network, torch.randn(R, 3))
        network(torch.randn(4, 3))
    network(torch.randn(4, 3)).sum().backward()
    assert network[1].weight.grad is not None


def test_every_name_of_every_batch_norm_is_converted() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.BatchNorm1d(3)
            self.other, self.synchronised = self.one, nn.SyncBatchNorm(3)

    network = convert_batch_norm(Named())
    assert network.one is network.other
    assert isinstance(network.other, VirtualBatchNorm)
    assert isinstance(network.synchronised, VirtualBatchNorm)
    for without in (nn.Sequential(nn.Linear(2, 2)), nn.BatchNorm1d(3)):
        with pytest.raises(ValueError, match="holds no batch norm"):
            convert_batch_norm(without)


def test_the_gradient_can_be_chosen_later() -> None:
    network = make()
    attach_reference(network, reference_gradient=False)
    assert not network.reference_input.reference_gradient
    attach_reference(network)
    assert not network.reference_input.reference_gradient
