"""What each technique does to the digits experiments, alone and with the paper's others.

    python benchmarks/digits_techniques.py [--seeds 0 1 2 3 4]

Runs configs/digits.yaml (50 labels; test error) and configs/digits_gan.yaml (classifier score and share of confidently
classified samples of 5,000) as they are, with each overlay of configs/technique/ alone, and with all of the paper's
that the experiment does not have already, once for each seed. Semi-supervised training of the latter has ten labels for
each class; its other rows have none. No setting is tuned for a row, but for the weights of historical averaging and of
R1. What is done is kept in benchmarks/results/digits_techniques.json, and not done again. Prints the table.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from command import ROOT, as_they_end, fit

PAPER = ["minibatch_discrimination", "historical_averaging", "label_smoothing", "virtual_batch_norm"]
LATER = ["r1", "spectral_norm"]
ROWS: dict[str, dict[str, list[str]]] = {
    "digits.yaml": {"as it is": [], **{name: [name] for name in PAPER + LATER}, "all of the paper's": PAPER},
    "digits_gan.yaml": {
        "as it is": [],
        **{name: [name] for name in ["feature_matching", *PAPER, "semi_supervised", *LATER, "hinge", "least_squares"]},
        "all without labels": ["feature_matching", *PAPER],
        "all without labels or feature matching": PAPER,
        "all but feature matching": ["semi_supervised", *PAPER],
    },
}


def run(experiment: str, row: str, seed: int) -> dict[str, Any]:
    overlays = [part for name in ROWS[experiment][row] for part in ("-c", str(ROOT / f"configs/technique/{name}.yaml"))]
    with tempfile.TemporaryDirectory() as folder:
        found = fit(experiment, *overlays, f"--seed_everything={seed}", f"--runs={folder}")
    return {"experiment": experiment, "row": row, "seed": seed, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "digits_techniques.json")
    options = parser.parse_args()
    done: dict[str, Any] = {"command": " ".join(["python benchmarks/digits_techniques.py", *sys.argv[1:]]), "runs": []}
    if options.output.is_file():
        done = json.loads(options.output.read_text())
    known = {(run["experiment"], run["row"], run["seed"]) for run in done["runs"]}
    missing = [
        (experiment, row, seed)
        for seed in options.seeds for experiment, rows in ROWS.items() for row in rows
        if (experiment, row, seed) not in known
    ]  # fmt: skip
    for found in as_they_end(run, missing, options.processes):
        done["runs"].append(found)
        options.output.write_text(json.dumps(done, indent=1) + "\n")
    for experiment, rows in ROWS.items():
        metrics = ["test"] if experiment == "digits.yaml" else ["score", "confident"]
        print(f"\n| {experiment} | " + " | ".join(metrics) + " |\n|---" + "|---" * len(metrics) + "|")
        for row in rows:
            runs = [r for r in done["runs"] if (r["experiment"], r["row"]) == (experiment, row)]
            cells = [[r[metric] for r in runs] for metric in metrics]
            shown = [f"{statistics.mean(c):.2f} +- {statistics.stdev(c) if len(c) > 1 else 0:.2f}" for c in cells]
            print(f"| {row} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
