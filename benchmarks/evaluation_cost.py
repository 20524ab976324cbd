"""What an evaluation costs beside the bare network: time, memory, and the distance itself.

    python benchmarks/evaluation_cost.py --data cifar10.npz [--weights FILE] [--images 200] [--rounds 3]

In alternating rounds: the Inception network alone on batches of 50 images, and the same images through the four
measures at 2048 features. Then the size of the measures' states after 10 and after 1,000 updates, and the time of the
Fréchet distance at 2048 dimensions of 5,000 samples. Raw numbers go to benchmarks/results/evaluation_cost.json.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from command import ROOT

from lit_improved_gan.metrics import (
    FeatureMetric,
    FrechetInceptionDistance,
    InceptionFeatures,
    InceptionScore,
    KernelInceptionDistance,
    PrecisionRecall,
)


def seconds(run: Callable[[], object]) -> float:
    """The time that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def state_mb(metrics: list[FeatureMetric]) -> float:
    """The size of the measures' states."""
    return sum(getattr(m, name).nbytes for m in metrics for name in m._defaults) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with np.load(options.data) as archive:
        batches = torch.from_numpy(archive["test_x"][: options.images]).split(50)
    extractor = InceptionFeatures(options.weights)
    n = options.images
    metrics = [
        InceptionScore(extractor, num_samples=n),
        FrechetInceptionDistance(extractor),
        KernelInceptionDistance(extractor, max_samples=1000),
        PrecisionRecall(extractor, max_samples=1000),
    ]

    def bare() -> None:
        for batch in batches:
            extractor.extract(batch)

    def measured() -> None:
        for metric in metrics:
            metric.reset()
        for batch in batches:
            for metric in metrics:
                metric.update(batch)

    rounds = []
    with torch.no_grad():
        bare()
        for _ in range(options.rounds):
            rounds.append((seconds(bare), seconds(measured)))
        sizes = {}
        given = [FrechetInceptionDistance(num_features=64), KernelInceptionDistance(num_features=64, max_samples=1000)]
        given += [
            InceptionScore(num_features=64, num_samples=10**6),
            PrecisionRecall(num_features=64, max_samples=1000),
        ]
        for updates in (10, 1000):
            for metric in given:
                metric.reset()
            for i in range(updates):
                for metric in given:
                    numbers = torch.arange(50 * i, 50 * i + 50)
                    metric.update(torch.rand(50, 64, dtype=torch.float64), real=False, numbers=numbers)
            sizes[f"{50 * updates} images"] = state_mb(given)
        distance = FrechetInceptionDistance(num_features=2048)
        for real in (True, False):
            distance.update(torch.randn(5000, 2048), real=real)
        computing = seconds(distance.compute)
    ratio = statistics.median(b / a for a, b in rounds)
    result = {
        "command": f"python benchmarks/evaluation_cost.py --images {n} --rounds {options.rounds}",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds for the network alone, with the measures": rounds,
        "ratio": ratio,
        "state MB": sizes,
        "seconds of the distance at 2048 dimensions": computing,
    }
    print(f"with the measures: {ratio:.3f}x the network alone ({rounds[0][0] / n:.3f} s an image)")
    print(f"size of the states: {sizes}")
    print(f"Fréchet distance at 2048 dimensions: {computing:.2f} s")
    (ROOT / "benchmarks" / "results" / "evaluation_cost.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
