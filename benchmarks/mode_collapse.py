"""Modes covered where they are known: without and with each technique.

    python benchmarks/mode_collapse.py [--seeds 0 1 2 3 4] [--experiments ring grid stacked_digits] [--rows plain ...]
        [--jobs 2]

Runs configs/ring_gan.yaml, configs/grid_gan.yaml and configs/stacked_digits_gan.yaml as they are, with each technique
alone, with the paper's together, and with later remedies, for each seed; the seeds of a row side by side as one batched
model. The techniques are those of configs/technique/, minibatch discrimination as for points, semi-supervised training
with ten labelled samples of each mode; rows without it use no labels. ``--jobs`` rows train at a time, each on one
thread. What is done is kept in benchmarks/results/mode_collapse.json and not done again. Prints a table: means and
standard deviations over the seeds of the modes captured by samples of high quality, of their share, and of the
divergence of their histogram from the even one, with real samples and noise as a scale; and draws
docs/mode_collapse.png, each seed a dot.

``--steps`` shortens every run, with its learning-rate schedule, to try it out.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
from command import ROOT, as_they_end, measure

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EXPERIMENTS = ["ring", "grid", "stacked_digits"]
FILES = {  # of the rest, configs/technique/NAME.yaml
    "minimax": "benchmarks/mode_collapse/minimax.yaml",
    "minibatch_discrimination": "configs/technique/minibatch_discrimination_points.yaml",
}
BEST = ["minibatch_discrimination", "label_smoothing"]
ROWS: dict[str, list[str]] = {
    "plain": [],
    **{
        name: [name]
        for name in [
            "minimax", "feature_matching", "minibatch_discrimination", "historical_averaging", "label_smoothing",
            "virtual_batch_norm", "semi_supervised",
        ]
    },
    "the paper's best two": BEST,
    "the paper's best three": [*BEST, "virtual_batch_norm"],
    "the paper's best with labels": ["semi_supervised", "virtual_batch_norm"],
    **{name: [name] for name in ["spectral_norm", "r1", "hinge", "packing"]},
}  # fmt: skip
ONLY = {  # the points of ring and grid are less good
    "the paper's best three": ["stacked_digits"],
    "the paper's best with labels": ["stacked_digits"],
}
CLASSES = {"ring": 8, "grid": 25, "stacked_digits": 1000}
MEASURES = ["modes", "quality", "kl"]


def overlay(name: str) -> Path:
    return ROOT / FILES.get(name, f"configs/technique/{name}.yaml")


def run(experiment: str, row: str, seeds: list[int], steps: int | None, *options: str) -> list[dict[str, Any]]:
    """The runs of these seeds, side by side where there are several."""
    arguments = [part for name in ROWS[row] for part in ("--config", str(overlay(name)))]
    if "semi_supervised" in ROWS[row]:
        arguments += [f"--model.discriminator.num_outputs={CLASSES[experiment]}"]
    arguments += options
    arguments += ["--seeds", str(seeds)] if len(seeds) > 1 else ["--seed_everything", str(seeds[0])]
    if steps is not None:
        arguments += [f"--trainer.max_steps={steps}"]
        for player in ("generator", "discriminator"):
            arguments += [f"--model.{player}_scheduler.start={steps // 2}", f"--model.{player}_scheduler.end={steps}"]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(f"{experiment}_gan.yaml", *arguments, f"--runs={folder}")
    seconds = round(found["processor_seconds"] / len(seeds), 1)
    nulls = {name: value for name, value in found.items() if name.startswith(("real_", "noise_"))}
    names = [*MEASURES, "modes_ungated", "kl_ungated"]
    return [
        {"experiment": experiment, "row": row, "seed": seed, "processor_seconds": seconds, "null": nulls}
        | {name: found[f"{name}_seed{seed}" if len(seeds) > 1 else name] for name in names}
        for seed in seeds
    ]


def cell(values: list[float], places: int) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{places}f} +- {spread:.{places}f}"


def summary(modes: list[float], quality: list[float], kl: list[float]) -> str:
    """The cells of a row, by the values of its seeds."""
    return " | ".join([cell(modes, 1), f"{min(modes):g}", cell(quality, 3), cell(kl, 3)])


def table(runs: list[dict[str, Any]], experiment: str) -> list[str]:
    """The lines of an experiment's table."""
    own = [run for run in runs if run["experiment"] == experiment]
    lines = [f"| {experiment} | modes | least | high quality | KL | seeds |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        chosen = [run for run in own if run["row"] == row]
        if chosen:
            cells = summary(*([run[name] for run in chosen] for name in MEASURES))
            lines.append(f"| {row} | {cells} | {len(chosen)} |")
    for null in ("real", "noise"):
        modes, quality, kl = (own[0]["null"][f"{null}_{name}"] for name in MEASURES)
        lines.append(f"| {null} samples | {modes:g} | | {quality:.3f} | {kl:.3f} | |")
    return lines


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Modes and divergence of every run."""
    experiments = [name for name in EXPERIMENTS if any(run["experiment"] == name for run in runs)]
    figure, axes = plt.subplots(2, len(experiments), figsize=(4.2 * len(experiments), 7.5), sharey=True, squeeze=False)
    for column, experiment in zip(axes.T, experiments, strict=True):
        own = [run for run in runs if run["experiment"] == experiment]
        for axis, name in zip(column, ("modes", "kl"), strict=True):
            for null in ("real", "noise"):
                axis.axvline(own[0]["null"][f"{null}_{name}"], color="grey", ls="-" if null == "real" else ":", lw=1)
            axis.plot([run[name] for run in own], [list(ROWS).index(run["row"]) for run in own], "o", ms=5, alpha=0.5)
            axis.set_yticks(range(len(ROWS)), list(ROWS))
            axis.set_xlabel({"modes": "modes captured", "kl": "KL divergence"}[name])
            axis.grid(axis="y", alpha=0.3)
        column[0].set_title(experiment.replace("_", " "))
    axes[0, 0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "mode_collapse.png")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "mode_collapse.json")
    options = parser.parse_args()
    done: dict[str, Any] = {"command": " ".join(["python benchmarks/mode_collapse.py", *sys.argv[1:]]), "runs": []}
    if options.output.is_file():
        done = json.loads(options.output.read_text())
    missing: list[tuple[str, str, list[int]]] = []
    for experiment in options.experiments:
        for row in [row for row in options.rows if experiment in ONLY.get(row, EXPERIMENTS)]:
            known = {run["seed"] for run in done["runs"] if (run["experiment"], run["row"]) == (experiment, row)}
            seeds = [seed for seed in options.seeds if seed not in known]
            missing += [(experiment, row, seeds)] if seeds else []
    for found in as_they_end(run, [(*one, options.steps) for one in missing], options.jobs):
        done["runs"] += found
        options.output.write_text(json.dumps(done, indent=1) + "\n")
    for experiment in EXPERIMENTS:
        if any(run["experiment"] == experiment for run in done["runs"]):
            print("\n" + "\n".join(table(done["runs"], experiment)))
    draw(done["runs"], options.picture)


if __name__ == "__main__":
    main()
