"""What makes a batch of the MNIST experiment fast on a CPU, one thing after the other.

    python benchmarks/mnist_step.py [--rounds 5] [--threads 2]

Times a training batch of the paper's MNIST networks (a D update on 100 labelled, unlabelled and generated images, a G
update by feature matching) as a bare loop. First straightforwardly: a pass of D for each kind of image, weights
normalised before the product. Then with each change added to those before it; the last row is bfloat16 by autocast,
which is not what the experiment uses. Each variant runs in a process of its own, in alternating rounds. Prints medians
and the ratio to the straightforward loop, and keeps them in benchmarks/results/mnist_step.json, by threads.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_improved_gan import FeatureMatchingLoss, MLPDiscriminator, MLPGenerator, ReleasedAdam, SemiSupervisedLoss
from lit_improved_gan.cli.machine import prepare_machine
from lit_improved_gan.layers import dense_product, weight_norm
from lit_improved_gan.networks import mlp

VARIANTS = [
    "straightforward", "one pass of D", "outputs scaled", "gradient of the length", "softplus", "oneDNN", "memory kept",
    "bfloat16",
]  # fmt: skip
BATCH, WARM_UP, STEPS = 100, 10, 60


def plain_scale(direction: Tensor, gain: Tensor, eps: float = 0.0) -> Tensor:
    """:func:`weight_scale` with torch's gradient of the length."""
    return gain * torch.rsqrt(torch.linalg.vector_norm(direction, dim=1).square() + eps)


def milliseconds(variant: str, threads: int) -> float:
    """A batch of one variant, in this process."""
    level = VARIANTS.index(variant)
    if level >= VARIANTS.index("memory kept"):
        prepare_machine(threads)
    torch.set_num_threads(threads)
    if level < VARIANTS.index("outputs scaled"):
        weight_norm.WeightNormLinear.forward = weight_norm.WeightNormLayer.forward  # type: ignore[method-assign]
    if level < VARIANTS.index("gradient of the length"):
        weight_norm.weight_scale = plain_scale
    if level < VARIANTS.index("oneDNN"):
        weight_norm.dense_product = F.linear  # type: ignore[attr-defined]
        mlp.Dense = nn.Linear  # type: ignore[attr-defined]
    if level < VARIANTS.index("softplus"):
        mlp._faster = lambda layer: layer
    generator, discriminator = MLPGenerator((1, 28, 28)), MLPDiscriminator((1, 28, 28))
    real, labels = torch.rand(3, BATCH, 1, 28, 28) * 2 - 1, torch.arange(BATCH) % 10
    discriminator.initialize(real[0])
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    d_optimizer = ReleasedAdam(trained, lr=3e-3)
    g_optimizer = ReleasedAdam([p for p in generator.parameters() if p.requires_grad], lr=3e-3)
    d_loss, g_loss = SemiSupervisedLoss(), FeatureMatchingLoss()

    def judged(groups: list[Tensor]) -> list[Tensor]:
        if level >= VARIANTS.index("one pass of D"):
            return list(discriminator(torch.cat(groups)).logits.split(BATCH))
        return [discriminator(group).logits for group in groups]

    start = 0.0
    for step in range(-WARM_UP, STEPS):
        if step == 0:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bfloat16", cache_enabled=False):
            with torch.no_grad():
                fake = generator(torch.rand(BATCH, 100))
            labelled, unlabelled, generated = judged([real[0], real[1], fake])
            loss = d_loss(labelled, labels, unlabelled, generated).total
        d_optimizer.zero_grad()
        loss.backward()
        d_optimizer.step()
        discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bfloat16", cache_enabled=False):
            with torch.no_grad():
                on_real = discriminator(real[2])
            loss = g_loss(discriminator(generator(torch.rand(BATCH, 100))), on_real)
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()
        for p in trained:
            p.requires_grad_(True)
    return 1e3 * (time.perf_counter() - start) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--variant", choices=VARIANTS, help="time this one alone")
    options = parser.parse_args()
    assert dense_product is weight_norm.dense_product
    if options.variant:
        print(milliseconds(options.variant, options.threads))
        return
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(options.rounds):
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--variant", variant, "--threads", str(options.threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            times[variant].append(float(done.stdout))
    ratios = {
        variant: statistics.median(a / b for a, b in zip(times[VARIANTS[0]], times[variant], strict=True))
        for variant in VARIANTS
    }
    print("| with | ms | times faster |\n|---|---|---|")
    for variant in VARIANTS:
        print(f"| {variant} | {statistics.median(times[variant]):.1f} | {ratios[variant]:.2f} |")
    path = Path(__file__).parent / "results" / "mnist_step.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results[f"{options.threads} threads"] = {
        "command": f"python benchmarks/mnist_step.py --rounds {options.rounds} --threads {options.threads}",
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "ms": times,
        "faster": ratios,
    }
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
