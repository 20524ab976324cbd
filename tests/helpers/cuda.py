"""The same computation on the CPU and on a CUDA device."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

DEVICE = "cuda"
ACCELERATOR = "gpu"  # Lightning's name for it
AVAILABLE = torch.cuda.is_available()

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}
MIXED_TOLERANCE = 2e-2  # of bfloat16 autocast against float32

Values = dict[str, Tensor]


def on(device: str, dtype: torch.dtype, value: Any) -> Any:
    """A copy of a module or tensor there, a leaf where it has gradients; integers keep their type."""
    if isinstance(value, nn.Module):
        return deepcopy(value).to(device, dtype)
    if not value.is_floating_point():
        return value.to(device)
    return value.detach().to(device, dtype, copy=True).requires_grad_(value.requires_grad)


def values(function: Callable[..., Tensor], *inputs: Any, device: str, dtype: torch.dtype, autocast: bool) -> Values:
    """The output of ``function(*inputs)``, the gradients of a fixed sum of it, and the buffers of its modules."""
    copies = [on(device, dtype, value) for value in inputs]
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        output = function(*copies)
    assert output.device.type == device
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (output.double() * weights.to(device)).sum().backward()
    found = {"output": output.detach()}
    for i, value in enumerate(copies):
        named = value.named_parameters() if isinstance(value, nn.Module) else [("", value)]
        found |= {f"gradient {i} {name}": p.grad for name, p in named if p.grad is not None}
        if isinstance(value, nn.Module):
            found |= {f"buffer {i} {name}": b for name, b in value.named_buffers() if b.is_floating_point()}
    return {name: value.double().cpu() for name, value in found.items()}


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    """Each normwise; where zero is expected, absolutely."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        other = found[name].detach().double().cpu()
        value = value.detach().double().cpu()  # noqa: PLW2901
        assert bool(other.isfinite().all()), name
        size = float(value.norm()) or 1.0
        error = float((other - value).norm()) / size
        assert error <= tolerance, f"{name}: {error:.3g} > {tolerance:g}"


def check_same(
    function: Callable[..., Tensor], *inputs: Any, dtype: torch.dtype, tolerance: float | None = None
) -> None:
    """The device says what the CPU says."""
    found = values(function, *inputs, device=DEVICE, dtype=dtype, autocast=False)
    expected = values(function, *inputs, device="cpu", dtype=dtype, autocast=False)
    assert any(name.startswith("gradient") for name in expected)
    assert_close(found, expected, tolerance or TOLERANCES[dtype])


def check_mixed(function: Callable[..., Tensor], *inputs: Any, tolerance: float = MIXED_TOLERANCE) -> None:
    """The device in bfloat16 autocast says about what the CPU says in float32."""
    found = values(function, *inputs, device=DEVICE, dtype=torch.float32, autocast=True)
    assert_close(found, values(function, *inputs, device="cpu", dtype=torch.float32, autocast=False), tolerance)
