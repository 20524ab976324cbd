"""Modes of stacked digits by the momentum of Adam, without and with the paper's best three techniques.

    python benchmarks/momentum.py [--momentum 0 0.5 0.9] [--seeds 0 1 2 3 4] [--jobs 2]

Runs configs/stacked_digits_gan.yaml, whose momentum is 0.5, with others (the first of Adam's ``betas``; 0.9 is torch's
own) for both players, the seeds of a row side by side. What is done is kept in benchmarks/results/momentum.json and not
done again. Prints a table: means and standard deviations over the seeds, as benchmarks/mode_collapse.py.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mode_collapse
from command import ROOT, as_they_end

CHOSEN = ["plain", "the paper's best three"]
OUTPUT = ROOT / "benchmarks" / "results" / "momentum.json"


def run(momentum: float, row: str, seeds: list[int]) -> dict[str, Any]:
    """One row: each measure by seed."""
    betas = [f"--model.{p}_optimizer.init_args.betas=[{momentum}, 0.999]" for p in ("generator", "discriminator")]
    found = mode_collapse.run("stacked_digits", row, seeds, None, *betas)
    by_seed = {name: [one[name] for one in found] for name in mode_collapse.MEASURES}
    return {"momentum": momentum, "row": row, "seeds": seeds} | by_seed


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of the table."""
    lines = ["| momentum | training | modes | least | high quality | KL |", "|---|---|---|---|---|---|"]
    for one in sorted(rows, key=lambda one: (one["momentum"], CHOSEN.index(one["row"]))):
        cells = mode_collapse.summary(*(one[name] for name in mode_collapse.MEASURES))
        lines.append(f"| {one['momentum']:g} | {one['row']} | {cells} |")
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
    for found in as_they_end(run, [one for one in wanted if one not in known], options.jobs):
        done.append(found)
        options.output.write_text(json.dumps(done, indent=1) + "\n")
    print("\n".join(table(done)))


if __name__ == "__main__":
    main()
