"""Pairwise closeness against the transcription, and what it promises."""

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from helpers.references import minibatch_discrimination as reference
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from lit_improved_gan.layers import MinibatchDiscrimination, closeness, joint_minibatch_closeness, minibatch_closeness
from lit_improved_gan.layers.closeness import pairwise_closeness

SHAPES = [(4, 4, 4), (7, 3, 2), (2, 1, 1), (5, 6, 1), (1, 3, 2)]  # the first: a wrong axis is no error of shapes


def assert_near(found: Tensor, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    difference = np.abs(found.detach().double().numpy() - expected)
    assert found.shape == expected.shape
    assert difference.max() <= tolerance * max(np.abs(expected).max(), 1e-300), difference.max()


def draw(*sizes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=size) * 0.7 for size in sizes]


def check() -> None:
    """All rows with all columns, once differentiable and twice."""
    for shape in SHAPES:
        values, g = draw(shape, shape[:2])
        m, upstream = torch.tensor(values, requires_grad=True), torch.tensor(g)
        found = minibatch_closeness(m)
        assert_near(found, reference.closeness(values))
        assert_near(minibatch_closeness(m.float()), reference.closeness(values), 1e-5)
        for twice in (False, True):
            (gradient,) = torch.autograd.grad(found, m, upstream, retain_graph=True, create_graph=twice)
            assert_near(gradient, reference.closeness_grad(values, g))


def check_part() -> None:
    """Some rows with all columns, as one process sees them, weighted by two groups."""
    for (n, b, c), (first, last) in [((6, 4, 4), (2, 6)), ((7, 3, 2), (0, 3)), ((7, 3, 2), (4, 5))]:
        values, g = draw((n, b, c), (n, b))
        g[:first] = g[last:] = 0
        for twice in (False, True):
            rows = torch.tensor(values[first:last], requires_grad=True)
            columns = torch.tensor(values, requires_grad=True)
            halves = torch.zeros(n, 2)
            halves[: n // 2, 0] = halves[n // 2 :, 1] = 1
            both = pairwise_closeness(rows, columns, first, halves)
            found = pairwise_closeness(rows, columns, first).squeeze(2)
            assert_near(found, reference.closeness(values)[first:last])
            assert_near(both.sum(2), reference.closeness(values)[first:last])
            if n % 2 == 0:
                expected = reference.joint_closeness(values)[first:last] * (n // 2 * (n - 1))
                assert_near(both.transpose(1, 2).flatten(1), expected)
            wanted = (rows, columns)
            upstream = torch.tensor(g[first:last])
            on_rows, on_columns = torch.autograd.grad(found, wanted, upstream, create_graph=twice)
            total = on_columns.detach().clone()
            total[first:last] += on_rows.detach()
            assert_near(total, reference.closeness_grad(values, g))


def check_joint() -> None:
    for shape in [(4, 4, 4), (6, 3, 2), (2, 1, 1)]:
        values, g = draw(shape, (shape[0], 2 * shape[1]))
        m = torch.tensor(values, requires_grad=True)
        found = joint_minibatch_closeness(m)
        assert_near(found, reference.joint_closeness(values))
        assert_near(joint_minibatch_closeness(m.float()), reference.joint_closeness(values), 1e-5)
        for twice in (False, True):
            upstream = torch.tensor(g)
            (gradient,) = torch.autograd.grad(found, m, upstream, retain_graph=True, create_graph=twice)
            assert_near(gradient, reference.joint_closeness_grad(values, g))


def check_compiled_formula() -> None:
    """What a compiler is given instead."""
    for shape in SHAPES:
        values, g = draw(shape, shape[:2])
        m = torch.tensor(values, requires_grad=True)
        found = closeness._plain(m, m, 0, torch.ones(shape[0], 1, dtype=torch.float64)).squeeze(2)
        assert_near(found, reference.closeness(values))
        (gradient,) = torch.autograd.grad(found, m, torch.tensor(g))
        assert_near(gradient, reference.closeness_grad(values, g))


@pytest.mark.parametrize("check", [check, check_part, check_joint, check_compiled_formula])
def test_against_the_transcription(check) -> None:
    check()


FORWARD, BACKWARD = closeness._Closeness.forward, closeness._Closeness._gradients


@pytest.mark.parametrize(
    ("function", "check", "old", "new"),
    [
        (FORWARD, check, "-torch.cdist", "0.1 * torch.cdist"),
        (FORWARD, check, "return (closeness @ groups)", "return 2 * (closeness @ groups)"),
        (FORWARD, check, "diagonal(first, 1, 2)[:, : len(rows)]", "diagonal(first, 0, 1)[:, : len(rows)]"),
        (FORWARD, check, "p=1.0", "p=2.0"),
        (FORWARD, check_part, "diagonal(first, 1, 2)", "diagonal(0, 1, 2)"),
        (closeness._by_kernel, check, "transpose(0, 1)", "transpose(0, 2)"),
        (BACKWARD, check, ".neg_()", ""),
        (BACKWARD, check, "weights = weights + weights.transpose(1, 2)", "pass"),
        (BACKWARD, check, "weights = weights + weights.transpose(1, 2)", "weights = 2 * weights"),
        (BACKWARD, check_part, "weights.transpose(1, 2).contiguous()", "-weights.transpose(1, 2).contiguous()"),
        (BACKWARD, check_part, "on_columns[part] = ", "on_columns[part] = 2 * "),
        (BACKWARD, check_part, "weights.transpose(1, 2).contiguous()", "weights.flip(1).transpose(1, 2).contiguous()"),
        (closeness._signed_sums, check, "weights, x, y,", "-weights, x, y,"),
        (closeness._signed_sums, check, "weights, x, y,", "2 * weights, x, y,"),
        (closeness._signed_sums, check, "weights, x, y,", "weights.transpose(1, 2).roll(1, 0).contiguous(), x, y,"),
        (closeness._differentiable_gradients, check, "wanted, gradient", "wanted, -gradient"),
        (closeness._differentiable_gradients, check, "wanted, gradient", "wanted, 2 * gradient"),
        (closeness._differentiable_gradients, check, "wanted, gradient", "wanted, gradient.transpose(0, 1)"),
        (closeness._plain, check_compiled_formula, "-(rows", "0.1 * (rows"),
        (closeness._plain, check_compiled_formula, ".abs().sum(3)", ".abs().mean(3)"),
        (closeness._plain, check_compiled_formula, ".abs().sum(3)", ".abs().sum(2)"),
        (joint_minibatch_closeness, check_joint, "= 1", "= -1"),
        (joint_minibatch_closeness, check_joint, "2 * half - 1", "2 * half"),
        (joint_minibatch_closeness, check_joint, ".transpose(1, 2)", ""),
        (joint_minibatch_closeness, check_joint, "halves[:half, 0] = halves[half:, 1]",
         "halves[:half, 1] = halves[half:, 0]"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(monkeypatch, function, check, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises(AssertionError):
        check()


def test_kernels_worked_on_in_parts(monkeypatch) -> None:
    plant(monkeypatch, closeness._parts, "2**17", "40")
    assert len(list(closeness._parts(torch.empty(4, 4, 4), 5))) == 2
    assert [part.stop - part.start for part in closeness._parts(torch.empty(3, 7, 7), 5)] == [1, 1, 1]
    check()
    check_part()
    check_joint()


def test_a_batch_that_takes_several_parts() -> None:
    torch.manual_seed(0)
    m, upstream = torch.randn(120, 20, 3, dtype=torch.float64, requires_grad=True), torch.randn(120, 20).double()
    assert len(list(closeness._parts(torch.empty(20, 120, 120), 5))) > 1
    plain = closeness._plain(m, m, 0, torch.ones(120, 1, dtype=torch.float64)).squeeze(2)
    found = minibatch_closeness(m)
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)
    expected = torch.autograd.grad(plain, m, upstream)
    torch.testing.assert_close(torch.autograd.grad(found, m, upstream), expected, rtol=1e-12, atol=1e-12)


def test_a_batch_of_one_is_close_to_nothing() -> None:
    m = torch.randn(1, 3, 2, requires_grad=True)
    minibatch_closeness(m).sum().backward()
    assert torch.equal(minibatch_closeness(m), torch.zeros(1, 3))
    assert torch.equal(m.grad, torch.zeros(1, 3, 2))
    assert minibatch_closeness(torch.zeros(0, 3, 2)).shape == (0, 3)


def test_the_order_of_the_examples_does_not_matter() -> None:
    m, order = torch.randn(9, 4, 3, dtype=torch.float64), torch.randperm(9)
    torch.testing.assert_close(minibatch_closeness(m[order]), minibatch_closeness(m)[order], rtol=1e-13, atol=1e-13)
    joint = torch.cat([m, m.flip(0)])
    order = torch.cat([order, torch.randperm(9) + 9])
    found, whole = joint_minibatch_closeness(joint[order]), joint_minibatch_closeness(joint)
    torch.testing.assert_close(found, whole[order], rtol=1e-13, atol=1e-13)


def test_duplicates_are_closer() -> None:
    m = torch.randn(8, 4, 3)
    before = minibatch_closeness(m)
    m[1] = m[0]
    assert (minibatch_closeness(m)[0] > before[0]).all()
    assert torch.equal(minibatch_closeness(m[:1].expand(5, 4, 3)), torch.full((5, 4), 4.0))


def test_groups_are_separate_batches() -> None:
    m = torch.randn(9, 4, 3, dtype=torch.float64)
    found = minibatch_closeness(m, [2, 1, 6])
    assert torch.equal(found, torch.cat([minibatch_closeness(part) for part in m.split([2, 1, 6])]))
    with pytest.raises(ValueError, match=r"`groups`.*9 examples.*\[4, 4\]"):
        minibatch_closeness(m, [4, 4])
    with pytest.raises(ValueError, match=r"`groups`.*\[10, -1\]"):
        minibatch_closeness(m, [10, -1])


def test_second_derivatives() -> None:
    torch.manual_seed(0)
    m = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(minibatch_closeness, m)
    assert torch.autograd.gradgradcheck(minibatch_closeness, m)
    assert torch.autograd.gradgradcheck(joint_minibatch_closeness, m)
    rows = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda r, c: pairwise_closeness(r, c, 1), (rows, m))


def test_gradients_with_tensors_saved_elsewhere() -> None:
    """Checkpointing and offloading hand back copies, so that rows and columns are no longer one tensor."""
    values, g = draw((5, 3, 2), (5, 3))
    m = torch.tensor(values, requires_grad=True)
    with saved_tensors_hooks(torch.clone, lambda x: x):
        found = minibatch_closeness(m)
    found.backward(torch.tensor(g))
    assert_near(m.grad, reference.closeness_grad(values, g))


def test_an_expanded_gradient() -> None:
    values, _ = draw((5, 3, 2), (5, 3))
    m = torch.tensor(values, requires_grad=True)
    minibatch_closeness(m).sum().backward()
    assert_near(m.grad, reference.closeness_grad(values, np.ones((5, 3))))
    m = torch.tensor(values.transpose(2, 0, 1), requires_grad=True)  # no contiguous input
    minibatch_closeness(m.permute(1, 2, 0)).sum().backward()
    assert_near(m.grad.permute(1, 2, 0), reference.closeness_grad(values, np.ones((5, 3))))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    m = torch.randn(64, 4, 3).to(dtype).requires_grad_()
    found = minibatch_closeness(m)
    assert found.dtype == torch.float32
    assert torch.equal(found, minibatch_closeness(m.float()))
    found.sum().backward()
    assert m.grad.dtype == dtype
    assert minibatch_closeness(m.double()).dtype == torch.float64
    assert joint_minibatch_closeness(m).dtype == torch.float32


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.numel())
        return result


@pytest.mark.parametrize("function", [minibatch_closeness, joint_minibatch_closeness])
def test_no_tensor_of_all_pairwise_differences_is_made(function) -> None:
    n, b, c = 30, 5, 20
    m = torch.randn(n, b, c, requires_grad=True)
    with Largest() as largest:
        function(m).square().sum().backward()
    assert m.grad.abs().sum() > 0
    assert largest.elements == n * n * b
    with Largest() as largest:  # that the measure sees one
        closeness._plain(m, m, 0, torch.ones(n, 1)).sum().backward()
    assert largest.elements == n * n * b * c


def test_the_layer_makes_none_either_initialising_included() -> None:
    layer, x = MinibatchDiscrimination(4, 5, 20), torch.randn(30, 4, requires_grad=True)
    with Largest() as largest:
        layer(x).square().sum().backward()
    assert layer.initialized
    assert largest.elements == 30 * 30 * 5


@pytest.mark.parametrize("function", [minibatch_closeness, joint_minibatch_closeness])
def test_compiles_without_breaks(function) -> None:
    torch.manual_seed(0)
    m = torch.randn(6, 3, 2, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    values = [f(m) for f in (function, compiled)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(value.square().sum(), m) for value in values]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`m` of minibatch_closeness.*\(4, 3\)"):
        minibatch_closeness(torch.zeros(4, 3))
    for shape in [(4, 3), (3, 2, 2), (0, 2, 2)]:
        with pytest.raises(ValueError, match="`m` of joint_minibatch_closeness"):
            joint_minibatch_closeness(torch.zeros(shape))


def test_columns_that_come_from_the_rows_count_once_in_a_second_derivative() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    found = []
    for twice in (False, True):
        value = closeness.pairwise_closeness(x, torch.cat([x, 2 * x])).square().sum()
        found.append(torch.autograd.grad(value, x, create_graph=twice)[0])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("grouped", [False, True])
def test_vmap_is_a_loop(grouped: bool) -> None:
    torch.manual_seed(0)
    m = torch.randn(3, 6, 4, 2).double().requires_grad_()
    groups = torch.eye(2).repeat(3, 1).double() if grouped else None
    gradient = torch.randn(3, 6, 4, 2 if grouped else 1).double()

    def own(x: torch.Tensor) -> torch.Tensor:
        return pairwise_closeness(x, x, 0, groups)

    found = torch.vmap(own)(m)
    expected = torch.stack([own(part) for part in m])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found_gradient, expected_gradient = (torch.autograd.grad(value, m, gradient)[0] for value in (found, expected))
    torch.testing.assert_close(found_gradient, expected_gradient, rtol=1e-12, atol=1e-12)
    against = torch.randn(6, 4, 2).double()
    found = torch.vmap(lambda x: pairwise_closeness(x, against, 6))(m)
    torch.testing.assert_close(found, torch.stack([pairwise_closeness(part, against, 6) for part in m]))
