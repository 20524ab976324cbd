"""How the settings of configs/digits.yaml were chosen: one changed at a time, judged on validation images.

    python benchmarks/digits_settings.py [--seeds 10 11 12 13 14]

Each row changes one setting of configs/digits.yaml (50 labels) and gives the error on the 300 held-out training images,
in percent, of the checkpoint that is best on them. The seeds are not those of the results, and the test images are not
looked at. Prints the table and writes benchmarks/results/digits_settings.json.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from command import ROOT, fit

D = "model.init_args.discriminator.init_args"
CHANGES: list[tuple[str, float]] = [
    ("model.init_args.discriminator_loss.init_args.unlabelled_weight", 1.0),
    ("model.init_args.discriminator_loss.init_args.unlabelled_weight", 2.0),
    ("model.init_args.discriminator_loss.init_args.unlabelled_weight", 8.0),
    (f"{D}.input_noise", 0.0),
    (f"{D}.input_noise", 0.3),
    (f"{D}.hidden_noise", 0.25),
    (f"{D}.hidden_noise", 0.75),
    ("model.init_args.discriminator_average", 1.0),
    ("model.init_args.discriminator_average", 0.05),
    ("model.init_args.discriminator_average", 0.001),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--settings", nargs="+", help="only those changes; by default all")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "digits_settings.json")
    options = parser.parse_args()

    def errors(change: tuple[str, float] | None, seed: int) -> float:
        arguments = [f"--seed_everything={seed}", f"--runs={folder}", f"--name={change}-{seed}"]
        arguments += [f"--{change[0]}={change[1]}"] if change else []
        return fit("digits.yaml", *arguments)["validation"]

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.processes) as pool:
        changes = [c for c in CHANGES if not options.settings or c[0].rsplit(".", 1)[1] in options.settings]
        jobs = [(change, [pool.submit(errors, change, seed) for seed in options.seeds]) for change in (None, *changes)]
        results = [(change, [job.result() for job in row]) for change, row in jobs]
    rows = []
    print("| changed | to | validation error: mean | std |\n|---|---|---|---|")
    for change, found in results:
        name, value = (change[0].rsplit(".", 1)[1], change[1]) if change else ("nothing", "")
        mean, std = statistics.mean(found), statistics.stdev(found) if len(found) > 1 else 0.0
        print(f"| {name} | {value} | {mean:.2f} | {std:.2f} |")
        rows.append({"changed": name, "to": value, "mean": mean, "std": std, "errors": found})
    record = {"command": " ".join(["python benchmarks/digits_settings.py", *sys.argv[1:]]), "seeds": options.seeds}
    options.output.write_text(json.dumps({**record, "unit": "validation error, %", "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
