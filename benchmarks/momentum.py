"""Modes of stacked digits by the momentum of Adam, without and with the paper's best three techniques.

    python benchmarks/momentum.py [--momentum 0 0.5 0.9] [--seeds 0 1 2 3 4] [--jobs 2]

Runs configs/stacked_digits_gan.yaml, whose momentum is 0.5, with others (the first of Adam's ``betas``; 0.9 is torch's
own) for both players, the seeds of a row side by side. What is done is kept in benchmarks/results/momentum.json and not
done again. Prints a table: means and standard deviations over the seeds, as benchmarks/mode_collapse.py.
"""

import argparse
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from command import ROOT, measure
from mode_collapse import MEASURES, ROWS, cell, overlay

CHOSEN = ["plain", "the paper's best three"]
OUTPUT = ROOT / "benchmarks" / "results" / "momentum.json"


def run(momentum: float, row: str, seeds: list[int]) -> dict[str, Any]:
    """One row: each measure by seed."""
    arguments = [part for name in ROWS[row] for part in ("--config", str(overlay(name)))]
    arguments += [f"--model.{p}_optimizer.init_args.betas=[{momentum}, 0.999]" for p in ("generator", "discriminator")]
    with tempfile.TemporaryDirectory() as folder:
        found = measure("stacked_digits_gan.yaml", *arguments, f"--seeds={seeds}", f"--runs={folder}")
    return {"momentum": momentum, "row": row, "seeds": seeds} | {
        name: [found[f"{name}_seed{seed}"] for seed in seeds] for name in MEASURES
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of the table."""
    lines = ["| momentum | training | modes | least | high quality | KL |", "|---|---|---|---|---|---|"]
    for one in sorted(rows, key=lambda one: (one["momentum"], CHOSEN.index(one["row"]))):
        cells = [f"{one['momentum']:g}", one["row"], cell(one["modes"], 1), f"{min(one['modes']):g}"]
        lines.append(f"| {' | '.join([*cells, cell(one['quality'], 3), cell(one['kl'], 3)])} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--momentum", type=float, nargs="+", default=[0.0, 0.5, 0.9])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    done: list[dict[str, Any]] = json.loads(options.output.read_text()) if options.output.is_file() else []
    known = [(one["momentum"], one["row"], one["seeds"]) for one in done]
    wanted = [(momentum, row, options.seeds) for row in CHOSEN[::-1] for momentum in options.momentum]
    pool = ThreadPoolExecutor(options.jobs)
    try:
        for future in as_completed([pool.submit(run, *one) for one in wanted if one not in known]):
            done.append(future.result())
            options.output.write_text(json.dumps(done, indent=1) + "\n")
    finally:
        pool.shutdown(cancel_futures=True)  # where a run fails, those that wait are not begun
    print("\n".join(table(done)))


if __name__ == "__main__":
    main()
