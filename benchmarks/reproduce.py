"""The semi-supervised tables of the paper.

    python benchmarks/reproduce.py table1 [--labels 20 50 100 200] [--seeds 0 1 2] [--data data] [--options ...]
    python benchmarks/reproduce.py table2 [--labels 1000 2000 4000 8000] ...
    python benchmarks/reproduce.py svhn   [--labels 500 1000 2000] ...

Trains configs/mnist_ssl.yaml, cifar10_ssl.yaml or svhn_ssl.yaml once for each number of labels and each seed, which
chooses the labelled subset and the initialisation. A run that was stopped goes on where it was. Prints the wrong test
images (in percent for table2 and svhn) of the averaged discriminator after the last epoch, mean and standard deviation
over the seeds beside the paper's, and keeps the raw numbers, with the error over the epochs, in
benchmarks/results/TABLE.json. Nothing is chosen by the test set. `--options` goes to the command line of `fit`, for
example `--options="--trainer.precision=bf16-mixed --threads=1"`.
"""

import argparse
import csv
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from command import ROOT
from error_curve import read_curve


class Table(NamedTuple):
    """An experiment, its number of test images, and the paper's mean and standard deviation by number of labels."""

    config: str
    test_images: int
    percent: bool
    paper: dict[int, tuple[float, float]]


TABLES = {
    "table1": Table("mnist_ssl", 10_000, False, {20: (1677, 452), 50: (221, 136), 100: (93, 6.5), 200: (90, 4.2)}),
    "table2": Table(
        "cifar10_ssl",
        10_000,
        True,
        {1000: (21.83, 2.01), 2000: (19.61, 2.09), 4000: (18.63, 2.32), 8000: (17.72, 1.82)},
    ),
    "svhn": Table("svhn_ssl", 26_032, True, {500: (18.44, 4.8), 1000: (8.11, 1.3), 2000: (6.16, 0.58)}),
}


def train(table: Table, labels: int, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train, or go on, and return the raw results."""
    folder = options.runs / table.config / str(labels) / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "overlay.yaml"
    curve = {"class_path": "error_curve.ErrorCurve", "init_args": {"every_n_epochs": options.every_n_epochs}}
    overlay.write_text(yaml.safe_dump({"trainer": {"callbacks+": [curve]}}))
    checkpoint = folder / "run" / "0" / "checkpoints" / "last.ckpt"
    command = [
        sys.executable, "-m", "lit_improved_gan", "fit", "-c", str(ROOT / "configs" / f"{table.config}.yaml"),
        "-c", str(overlay), f"--data.root={options.data}", f"--data.labels_per_class={labels // 10}",
        f"--seed_everything={seed}", f"--runs={folder}", "--name=run", *shlex.split(options.options),
    ]  # fmt: skip
    if options.epochs is not None:
        command.append(f"--trainer.max_epochs={options.epochs}")
    if checkpoint.is_file():
        command.append(f"--ckpt_path={checkpoint}")
    start = time.perf_counter()
    with open(folder / "log.txt", "a") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, check=False, env={**environ(), "PYTHONUNBUFFERED": "1"}
        )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}\nended with {done.returncode}: see {folder / 'log.txt'}")
    with open(folder / "seconds.csv", "a", newline="") as file:
        csv.writer(file).writerow([round(time.perf_counter() - start)])
    errors = read_curve(folder / "run" / "0")
    return {
        "labels": labels,
        "seed": seed,
        "epochs": errors[-1][0],
        "wrong": errors[-1][1],
        "seconds": [int(row[0]) for row in csv.reader((folder / "seconds.csv").open())],
        "options": options.options,
        "torch": torch.__version__,
        "epoch, wrong with averaged weights, with the last weights": errors,
    }


def environ() -> dict[str, str]:
    """The environment of a run, which finds the callback of this folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--labels", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="by default those of the paper")
    parser.add_argument("--every_n_epochs", type=int, default=5, help="epochs between two points of the curve")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--options", default="", help="further options of `fit`")
    parser.add_argument("--output", type=Path, help="by default benchmarks/results/TABLE.json")
    options = parser.parse_args()
    table = TABLES[options.table]
    output = options.output or ROOT / "benchmarks" / "results" / f"{options.table}.json"
    done: dict[str, Any] = {"runs": []}
    if output.is_file():
        done = json.loads(output.read_text())
    done["command"] = shlex.join(["python", "benchmarks/reproduce.py", *sys.argv[1:]])
    for labels in options.labels or table.paper:
        for seed in options.seeds:
            found = train(table, labels, seed, options)
            same = [r for r in done["runs"] if (r["labels"], r["seed"]) == (labels, seed)]
            done["runs"] = [r for r in done["runs"] if r not in same] + [found]
            output.write_text(json.dumps(done) + "\n")
    unit = 100 / table.test_images if table.percent else 1
    print("| labels | seeds | epochs | ours | the paper |\n|---|---|---|---|---|")
    for labels in sorted({r["labels"] for r in done["runs"]}):
        runs = [r for r in done["runs"] if r["labels"] == labels]
        wrong = [r["wrong"] * unit for r in runs]
        spread = f" +- {statistics.stdev(wrong):.2f}" if len(wrong) > 1 else ""
        paper = table.paper.get(labels)
        beside = f"{paper[0]} +- {paper[1]}" if paper else ""
        epochs = sorted({r["epochs"] for r in runs})
        print(f"| {labels} | {len(runs)} | {epochs} | {statistics.mean(wrong):.2f}{spread} | {beside} |")


if __name__ == "__main__":
    main()
