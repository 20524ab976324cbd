"""What each technique costs.

    python benchmarks/techniques.py [--rounds 15] [--step_rounds 7]

In alternating rounds in one process:

- Forward and backward of the closeness of (N, B, C) projected features: the library's function as it is (``ours``) and
  compiled, the plain broadcast formula, ``torch.cdist(p=1)``, and the compiled broadcast formula; peak memory is that
  of torch's allocator during one pass, less what lived before.
- Whole layers on 192 unit-variance inputs: ours, and torchgan's where it is installed (``pip install --no-deps
  torchgan==0.1.0``), with the mean of the features that each appends.
- A D and a G update of the CIFAR-10 networks on batches of 100 labelled, unlabelled, generated and matching images:
  with batch norm and with virtual batch norm in G (reference batch of 100), and samples from both; and with G's loss on
  three layers of features, on one, and on none (a loss of the logits, without matching images).

Writes benchmarks/results/techniques.json.
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
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from lit_improved_gan import (
    ConvDiscriminator,
    ConvGenerator,
    FeatureMatchingLoss,
    ReleasedAdam,
    SemiSupervisedLoss,
    VirtualBatchNorm,
)
from lit_improved_gan.cli.machine import prepare_machine
from lit_improved_gan.layers import BatchNormWithoutGain, MinibatchDiscrimination, minibatch_closeness, set_reference
from lit_improved_gan.losses import l1_distance

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
    parser.add_argument("--step_rounds", type=int, default=7)
    options = parser.parse_args()
    prepare_machine(None)  # as the command line does
    torch.manual_seed(0)
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": minibatch_closeness,
        "ours, compiled": torch.compile(minibatch_closeness),
        "broadcast": broadcast,
        "cdist": cdist,
        "broadcast, compiled": torch.compile(broadcast),
    }
    results: dict[str, Any] = {
        "command": f"python benchmarks/techniques.py --rounds {options.rounds} --step_rounds {options.step_rounds}",
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
    results["steps"] = steps(options.step_rounds)
    path = Path(__file__).parent / "results" / "techniques.json"
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


class Step:
    """Both updates of the CIFAR-10 networks, and samples, in plain PyTorch with the library's parts."""

    def __init__(self, norm: type[nn.Module], loss: FeatureMatchingLoss | None) -> None:
        torch.manual_seed(0)
        self.generator, self.discriminator, self.loss = ConvGenerator(norm=norm), ConvDiscriminator(), loss
        if norm is VirtualBatchNorm:
            set_reference(self.generator, torch.rand(BATCH, 100))
        self.real, self.labels = torch.rand(2 * BATCH, 3, 32, 32) * 2 - 1, torch.arange(BATCH) % 10
        self.discriminator.initialize(self.real)
        self.generator.initialize(torch.rand(BATCH, 100))
        self.trained = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.d_optimizer = ReleasedAdam(self.trained)
        self.g_optimizer = ReleasedAdam([p for p in self.generator.parameters() if p.requires_grad])

    def train(self) -> None:
        with torch.no_grad():
            fake = self.generator(torch.rand(BATCH, 100))
        labelled, unlabelled, generated = self.discriminator(torch.cat([self.real, fake])).logits.split(BATCH)
        self.d_optimizer.zero_grad()
        SemiSupervisedLoss()(labelled, self.labels, unlabelled, generated).total.backward()
        self.d_optimizer.step()
        self.discriminator.requires_grad_(False)
        on_fake = self.discriminator(self.generator(torch.rand(BATCH, 100)))
        self.g_optimizer.zero_grad()
        if self.loss is None:
            nn.functional.softplus(-on_fake.logits.logsumexp(1)).mean().backward()
        else:
            with torch.no_grad():
                on_real = self.discriminator(self.real[:BATCH])
            self.loss(on_fake, on_real).backward()
        self.g_optimizer.step()
        for p in self.trained:
            p.requires_grad_(True)

    def sample(self) -> None:
        self.generator.eval()
        with torch.no_grad():
            for _ in range(SAMPLED):
                self.generator(torch.rand(BATCH, 100))
        self.generator.train()


BATCH, SAMPLED = 100, 10


def steps(rounds: int) -> dict[str, Any]:
    """Median ratios of times, each within a round."""
    one, three = (
        FeatureMatchingLoss(names, distance=l1_distance) for names in (["pooled"], ["conv3", "conv6", "pooled"])
    )
    kinds = {
        "batch norm": Step(BatchNormWithoutGain, one),
        "virtual batch norm": Step(VirtualBatchNorm, one),
        "three layers matched": Step(BatchNormWithoutGain, three),
        "none matched": Step(BatchNormWithoutGain, None),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds} | {f"{name}, samples": [] for name in list(kinds)[:2]}
    for i in range(rounds + 1):
        for name, step in kinds.items():
            for key, run in ((name, step.train), (f"{name}, samples", step.sample)):
                if key in times:
                    start = time.perf_counter()
                    run()
                    if i:  # the first warms up
                        times[key].append(1e3 * (time.perf_counter() - start))
    pairs = {
        "step with virtual batch norm / with batch norm": ("virtual batch norm", "batch norm"),
        "samples with virtual batch norm / with batch norm": ("virtual batch norm, samples", "batch norm, samples"),
        "step matching three layers / matching none": ("three layers matched", "none matched"),
        "step matching three layers / matching one": ("three layers matched", "batch norm"),
    }
    ratios = {
        label: statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))
        for label, (a, b) in pairs.items()
    }
    for label, ratio in ratios.items():
        print(f"{label}: {ratio:.2f}")
    return {"ms": times, "ratios": ratios}


if __name__ == "__main__":
    main()
