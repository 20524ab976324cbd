"""Semi-supervised training on digits against labels alone.

    python benchmarks/digits_ssl.py [--seeds 0 1 2 3 4]

Runs configs/digits.yaml and configs/digits_supervised.yaml as they are, with 5 and with 2 labels for each class, once
for each seed (of the labelled subset, the initialisation and all noise), each in a process of its own, and takes the
test error of the checkpoint that is best by validation. Prints the table and writes benchmarks/results/digits_ssl.json.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from command import ROOT, fit

CONFIGS = {"semi-supervised": "digits.yaml", "labels alone": "digits_supervised.yaml"}


def error_of(config: str, per_class: int, seed: int, folder: str) -> dict[str, Any]:
    """One run, through the command line."""
    start = time.perf_counter()
    arguments = [f"--seed_everything={seed}", f"--runs={folder}", f"--data.labels_per_class={per_class}"]
    arguments += [f"--name={config}-{per_class}-{seed}"]
    if config == "digits_supervised.yaml":
        arguments += [f"--data.batch_size={10 * per_class}"]  # every label in every batch
    error = fit(config, *arguments)["test"]
    return {"seed": seed, "test_error_percent": error, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 2], help="labels for each class")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "digits_ssl.json")
    options = parser.parse_args()
    cells = [(per_class, name) for per_class in options.labels for name in CONFIGS]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.processes) as pool:
        jobs = {
            (per_class, name): [pool.submit(error_of, CONFIGS[name], per_class, seed, folder) for seed in options.seeds]
            for per_class, name in cells
        }
        runs = {cell: [job.result() for job in jobs[cell]] for cell in cells}
    rows = []
    print(f"| labels | training | mean | std | {' | '.join(f'seed {seed}' for seed in options.seeds)} |")
    print("|---|---|---|---|" + "---|" * len(options.seeds))
    for (per_class, name), results in runs.items():
        errors = [result["test_error_percent"] for result in results]
        mean, std = statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else 0.0
        shown = " | ".join(f"{error:.2f}" for error in errors)
        print(f"| {10 * per_class} | {name} | {mean:.2f} | {std:.2f} | {shown} |")
        rows.append({"labels": 10 * per_class, "training": name, "mean": mean, "std": std, "runs": results})
    record = {"command": " ".join(["python benchmarks/digits_ssl.py", *sys.argv[1:]]), "unit": "test error, %"}
    options.output.write_text(json.dumps({**record, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
