"""The closeness of minibatch discrimination against other ways to compute it, and a layer that is not dead.

    python benchmarks/minibatch_discrimination.py [--rounds 15]

Forward and backward of the closeness of (N, B, C) projected features, in alternating rounds in one process: the
library's function as it is (``ours``) and compiled, the plain broadcast formula, ``torch.cdist(p=1)``, and the compiled
broadcast formula; peak memory is that of torch's allocator during one pass, less what lived before. Then whole layers
on 192 unit-variance inputs: ours, and torchgan's where it is installed (``pip install --no-deps torchgan==0.1.0``),
with the mean of the features that each appends. Writes benchmarks/results/minibatch_discrimination.json.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lit_improved_gan.layers import MinibatchDiscrimination, minibatch_closeness

SIZES = [(100, 100, 5), (128, 100, 16), (128, 300, 50), (256, 100, 5)]


def broadcast(m: Tensor) -> Tensor:
    """The formula as it stands: a tensor of N x N x B x C differences."""
    return torch.exp(-(m.unsqueeze(0) - m.unsqueeze(1)).abs().sum(3)).sum(1) - 1


def cdist(m: Tensor) -> Tensor:
    """By torch's pairwise L1 distance."""
    by_kernel = m.transpose(0, 1)
    return torch.exp(-torch.cdist(by_kernel, by_kernel, p=1.0)).sum(2).T - 1


def both_ways(function: Callable[[Tensor], Tensor], m: Tensor, g: Tensor) -> None:
    m.grad = None
    function(m).backward(g)


def peak_memory(function: Callable[[Tensor], Tensor], m: Tensor, g: Tensor) -> int:
    """The most bytes of torch's allocator during one pass, above those before."""
    m.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        function(m).backward(g)
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


def compare(functions: dict[str, Callable[[Tensor], Tensor]], m: Tensor, g: Tensor, rounds: int) -> dict[str, Any]:
    """Median milliseconds and peak MB of each function, in alternating rounds."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        both_ways(function, m, g)  # compile, and warm up
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            both_ways(function, m, g)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {
        name: {"ms": statistics.median(times[name]), "all_ms": times[name], "mb": peak_memory(f, m, g) / 1e6}
        for name, f in functions.items()
    }


def features_of(layer: torch.nn.Module, x: Tensor) -> Tensor:
    """What a layer appends to its input."""
    return layer(x)[:, x.shape[1] :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.manual_seed(0)
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": minibatch_closeness,
        "ours, compiled": torch.compile(minibatch_closeness),
        "broadcast": broadcast,
        "cdist": cdist,
        "broadcast, compiled": torch.compile(broadcast),
    }
    results: dict[str, Any] = {
        "command": f"python benchmarks/minibatch_discrimination.py --rounds {options.rounds}",
        "torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine(), "closeness": [],
    }  # fmt: skip
    print("| (N, B, C) | " + " | ".join(f"{name}: ms (MB)" for name in functions) + " |")
    print("|---" * (len(functions) + 1) + "|")
    for n, b, c in SIZES:
        m, g = torch.randn(n, b, c).div(c).requires_grad_(True), torch.randn(n, b)
        found = compare(functions, m, g, options.rounds)
        results["closeness"].append({"size": [n, b, c], **found})
        cells = " | ".join(f"{found[name]['ms']:.1f} ({found[name]['mb']:.1f})" for name in functions)
        print(f"| ({n}, {b}, {c}) | {cells} |", flush=True)
    results["layers"] = whole_layers(options.rounds)
    path = Path(__file__).parent / "results" / "minibatch_discrimination.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


def whole_layers(rounds: int) -> dict[str, Any]:
    """Time and features of whole layers, (128, 192) to 100 kernels of 16."""
    x = torch.randn(128, 192)
    ours = MinibatchDiscrimination(192, 100, 16)
    ours.initialize(x)
    with torch.no_grad():
        ours.bias.zero_()  # the closeness itself
    layers: dict[str, torch.nn.Module] = {"ours": ours}
    try:
        from torchgan.layers import MinibatchDiscrimination1d
    except ImportError:
        print("torchgan is not installed: left out")
    else:
        layers["torchgan"] = MinibatchDiscrimination1d(192, 100, 16)
    g = torch.randn(128, 100)
    inputs = x.clone().requires_grad_(True)
    found = compare({k: lambda x, layer=v: features_of(layer, x) for k, v in layers.items()}, inputs, g, rounds)
    for name, layer in layers.items():
        features = features_of(layer, x).detach()
        found[name] |= {"mean_feature": float(features.mean()), "median_feature": float(features.median())}
        mean, median = found[name]["mean_feature"], found[name]["median_feature"]
        print(f"{name}: {found[name]['ms']:.1f} ms, features with mean {mean:.3g}, median {median:.3g}")
    return found


if __name__ == "__main__":
    main()
