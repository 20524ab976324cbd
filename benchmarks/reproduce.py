"""The semi-supervised tables of the paper.

    python benchmarks/reproduce.py table1 [--labels 20 50 100 200] [--seeds 0 1 2] [--data data] [--options ...]
    python benchmarks/reproduce.py table2 [--labels 1000 2000 4000 8000] [--epochs 10] [--device cpu] ...
    python benchmarks/reproduce.py svhn   [--labels 500 1000 2000] ...

Trains configs/mnist_ssl.yaml, cifar10_ssl.yaml or svhn_ssl.yaml once for each number of labels and each seed, which
chooses the labelled subset and the initialisation; with `--side_by_side` all seeds of a number of labels as one batched
model, and with `--at_once` (table1) those of all numbers of labels. A run that was stopped goes on where it was, and a
complete one is not repeated. Prints the wrong test images (in percent for table2 and svhn) of the averaged
discriminator after the last epoch, mean and standard deviation over the seeds, and those of the ensemble of all
`--seeds` (the mean of their class probabilities), beside the paper's, and keeps the raw numbers, with the error over
the epochs, in benchmarks/results/TABLE.json, with a picture of it in TABLE_curves.png. Nothing is chosen by the
test set.
`--options` goes to the command line of `fit`, for example `--options="--trainer.precision=bf16-mixed --threads=1"`;
with other options it is another run.
"""

import argparse
import csv
import hashlib
import json
import os
import shlex
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from command import ROOT
from draw_errors import draw_errors
from error_curve import PROBABILITIES, ensemble_wrong, read_curve
from interruptible import call, terminate
from labels_by_seed import seed_with
from paper_tables import TABLES, Table


class Member(NamedTuple):
    """One of the runs that make a cell of the table."""

    labels: int
    seed: int


def groups_of(labels: list[int], options: argparse.Namespace) -> list[list[Member]]:
    """The members by the model that trains them."""
    members = [[Member(number, seed) for seed in options.seeds] for number in labels]
    if options.at_once:
        return [[member for cell in members for member in cell]]
    return members if options.side_by_side else [[member] for cell in members for member in cell]


def seeds_of(group: list[Member]) -> list[int]:
    """The seeds that the command line gets."""
    if len({member.labels for member in group}) == 1:
        return [member.seed for member in group]
    return [seed_with(*member) for member in group]


def folder_of(table: Table, group: list[Member], options: argparse.Namespace) -> Path:
    """Where a run of one member, or of several side by side, is kept; its run directory is ``run/0`` below."""
    labels, seeds = ("-".join(str(value) for value in dict.fromkeys(values)) for values in zip(*group, strict=True))
    if options.options:
        seeds += "_" + hashlib.sha256(options.options.encode()).hexdigest()[:8]
    folder: Path = options.runs / table.config / labels / seeds
    return folder


def settings_of(table: Table, group: list[Member], options: argparse.Namespace) -> dict[str, Any]:
    """The table's config, with the labels of the members, and a curve of their errors."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "configs" / f"{table.config}.yaml").read_text())
    callbacks = settings["trainer"]["callbacks"]
    for callback in callbacks:
        if callback["class_path"] == "lit_improved_gan.LastCheckpoint":
            callback["init_args"]["every_n_epochs"] = options.save_every_n_epochs
    callbacks += [{"class_path": "error_curve.ErrorCurve", "init_args": {"every_n_epochs": options.every_n_epochs}}]
    if len({member.labels for member in group}) == 1:
        settings["data"]["init_args"]["labels_per_class"] = group[0].labels // 10
    else:
        settings["data"]["class_path"] = "labels_by_seed.LabelsBySeed"
        del settings["data"]["init_args"]["labels_per_class"]
    return settings


def train(table: Table, group: list[Member], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train one member, or several side by side, or go on, and return the raw results of each."""
    folder, seeds = folder_of(table, group, options), seeds_of(group)
    folder.mkdir(parents=True, exist_ok=True)
    config, run = folder / "config.yaml", folder / "run" / "0"
    config.write_text(yaml.safe_dump(settings_of(table, group, options)))
    checkpoint = run / "checkpoints" / "last.ckpt"
    where = [f"--data.root={options.data}", *([f"--trainer.accelerator={options.device}"] if options.device else [])]
    if not is_complete(run, options.epochs):
        command = [
            "fit", "-c", str(config),
            *where, f"--runs={folder}", "--name=run",
            f"--seeds={seeds}" if len(seeds) > 1 else f"--seed_everything={seeds[0]}", *shlex.split(options.options),
        ]  # fmt: skip
        if options.epochs is not None:
            command.append(f"--trainer.max_epochs={options.epochs}")
        if checkpoint.is_file():
            command.append(f"--ckpt_path={checkpoint}")
        start = time.perf_counter()
        call(command, folder)
        with open(folder / "seconds.csv", "a", newline="") as file:
            csv.writer(file).writerow([round(time.perf_counter() - start)])
    elif not is_newer(run / PROBABILITIES, checkpoint):  # cut off between training and test
        call(["test", f"--ckpt_path={checkpoint}", *where], folder)
    kept = folder / "seconds.csv"  # none where this process was killed before its run ended
    seconds = [int(row[0]) for row in csv.reader(kept.open())] if kept.is_file() else []
    results = []
    for i, member in enumerate(group):
        errors = read_curve(run, i)
        result = {
            "labels": member.labels,
            "seed": member.seed,
            "epochs": errors[-1][0],
            "wrong": errors[-1][1],
            "seconds": seconds,
            "options": options.options,
            "torch": torch.__version__,
            "epoch, wrong with averaged weights, with the last weights": errors,
        }
        results.append({**result, **({"side_by_side": seeds} if len(seeds) > 1 else {})})
    return results


def is_complete(run: Path, epochs: int | None) -> bool:
    """Whether a run has all its epochs, by default those of its config."""
    curve, config = read_curve(run), run / "config.yaml"
    if epochs is None and config.is_file():
        epochs = yaml.safe_load(config.read_text())["trainer"]["max_epochs"]
    return bool(curve) and 0 < (epochs or 0) <= curve[-1][0]


def is_newer(path: Path, than: Path) -> bool:
    """Whether a file is there, and was written after another."""
    return path.is_file() and path.stat().st_mtime >= than.stat().st_mtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--labels", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="by default those of the paper")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="by default a GPU if there is one")
    parser.add_argument("--every_n_epochs", type=int, default=5, help="epochs between two points of the curve")
    parser.add_argument("--save_every_n_epochs", type=int, default=1, help="epochs that a run cut off may lose")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--options", default="", help="further options of `fit`")
    parser.add_argument("--output", type=Path, help="by default benchmarks/results/TABLE.json")
    together = parser.add_mutually_exclusive_group()
    together.add_argument("--side_by_side", action="store_true", help="train the seeds as one batched model")
    together.add_argument("--at_once", action="store_true", help="and those of all numbers of labels (table1)")
    options = parser.parse_args()
    table = TABLES[options.table]
    labels = options.labels or list(table.paper)
    most = 10 * table.smallest_class
    if any(not 10 <= number <= most or number % 10 for number in labels):
        parser.error(
            f"--labels should be multiples of 10 up to {most}, as many for each of ten classes. Found {labels}."
        )
    for name in "epochs", "every_n_epochs", "save_every_n_epochs":
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name} should be 1 or more. Found {value}.")
    if min(options.seeds) < 0:
        parser.error(f"--seeds should be 0 or more. Found {options.seeds}.")
    for name, values in ("labels", labels), ("seeds", options.seeds):
        if len(set(values)) < len(values):
            parser.error(f"--{name} should be different from each other. Found {values}.")
    if options.device and "--trainer.accelerator" in options.options:
        parser.error(f"--device {options.device} and --trainer.accelerator in --options say the same: leave one out.")
    if options.side_by_side and len(options.seeds) < 2:
        parser.error(f"--side_by_side needs two --seeds or more. Found {options.seeds}.")
    if options.at_once and (options.table != "table1" or len(labels) < 2):
        parser.error(f"--at_once is for table1, with two --labels or more. Found {options.table}, {labels}.")
    if options.at_once and not all(0 <= seed < 1000 for seed in options.seeds):
        parser.error(f"--at_once needs --seeds in 0..999. Found {options.seeds}.")
    output = options.output or ROOT / "benchmarks" / "results" / f"{options.table}.json"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output {output}: its folder cannot be made: {error.strerror}.")
    if output.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK):
        parser.error(f"--output {output} cannot be written.")
    done: dict[str, Any] = {"runs": []}
    if output.is_file():
        done = json.loads(output.read_text())
    done["command"] = shlex.join(["python", "benchmarks/reproduce.py", *sys.argv[1:]])

    def keep(kind: str, found: list[dict[str, Any]], *names: str) -> None:
        """Put results in the place of those that are equal in ``names``."""
        keys = [[each[name] for name in names] for each in found]
        done[kind] = [r for r in done.get(kind, []) if [r[name] for name in names] not in keys] + found
        output.write_text(json.dumps(done) + "\n")

    found: dict[Member, tuple[dict[str, Any], Path, int]] = {}
    for group in groups_of(labels, options):
        runs, folder = train(table, group, options), folder_of(table, group, options) / "run" / "0"
        keep("runs", runs, "labels", "seed", "options")
        found |= {member: (run, folder, i) for i, (member, run) in enumerate(zip(group, runs, strict=True))}
        for number in {member.labels for member in group}:
            cell = [found[member] for seed in options.seeds if (member := Member(number, seed)) in found]
            if len(cell) == len(options.seeds) and (epochs := same_epochs([run for run, _, _ in cell])):
                wrong = ensemble_wrong([(folder, i) for _, folder, i in cell])
                kept = {"labels": number, "seeds": sorted(options.seeds), "options": options.options}
                keep("ensembles", [kept | {"epochs": epochs, "wrong": wrong}], "labels", "seeds", "options")
    draw(table, done, output.with_name(f"{output.stem}_curves.png"))
    print_table(table, done)


def same_epochs(runs: list[dict[str, Any]]) -> int | None:
    """The epochs of several runs, if they are equal: an ensemble has members of one age."""
    epochs = {r["epochs"] for r in runs}
    return epochs.pop() if len(runs) > 1 and len(epochs) == 1 else None


def draw(table: Table, done: dict[str, Any], path: Path) -> None:
    """The averaged weights' error of every run over the epochs; runs are named by what tells them apart."""
    unit = 100 / table.test_images if table.percent else 1
    curves: dict[int, dict[str, list[tuple[int, float]]]] = {}
    for run in done["runs"]:
        beside = [set(shlex.split(other["options"])) for other in done["runs"] if other["labels"] == run["labels"]]
        shared = set.intersection(*beside)
        own = [option for option in shlex.split(run["options"]) if option not in shared]
        points = run["epoch, wrong with averaged weights, with the last weights"]
        name = " ".join([f"seed {run['seed']}", *own])
        curves.setdefault(run["labels"], {})[name] = [(epoch, wrong * unit) for epoch, wrong, _ in points]
    draw_errors(path, curves, "% wrong" if table.percent else f"wrong of {table.test_images:,}", table.paper)


def print_table(table: Table, done: dict[str, Any]) -> None:
    """Print ours beside the paper's: single models, and the largest ensemble."""
    unit = 100 / table.test_images if table.percent else 1
    print("| labels | options | seeds | epochs | ours | the paper | ensemble of | ours | the paper, of 10 |")
    print("|---|---|---|---|---|---|---|---|---|")
    names = "labels", "options", "epochs"
    for row in sorted({tuple(r[name] for name in names) for r in done["runs"]}):
        runs, ensembles = (
            [r for r in done.get(kind, []) if tuple(r[name] for name in names) == row] for kind in ("runs", "ensembles")
        )
        labels, with_options, epochs = row
        wrong = [r["wrong"] * unit for r in runs]
        spread = f" +- {statistics.stdev(wrong):.2f}" if len(wrong) > 1 else ""
        largest = max(ensembles, key=lambda r: len(r["seeds"]), default=None)
        size, error = (len(largest["seeds"]), f"{largest['wrong'] * unit:.2f}") if largest else ("", "")
        single, ten = (
            f"{found[0]} +- {found[1]}" if found else ""
            for found in (table.paper.get(labels), table.ensemble.get(labels))
        )
        ours = f"{statistics.mean(wrong):.2f}{spread}"
        print(f"| {labels} | {with_options} | {len(runs)} | {epochs} | {ours} | {single} | {size} | {error} | {ten} |")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted: the same command goes on where it was") from None
