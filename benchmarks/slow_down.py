"""What BalanceMonitor(slow_down=0.1) changes where D is too strong.

    python benchmarks/slow_down.py [--seeds 100 ... 109]

Trains a GAN on scikit-learn's digits whose D wins: it sees no noise and has three updates in each batch, for 1,000
batches, with each seed, with the learning rates left alone and with those of D times 0.1 while it is too strong. Counts
the digits that the generator makes at the end, by the bundled classifier, and the share of the looks at which D was too
strong. The factor and the run were chosen on seed 0. Writes benchmarks/results/slow_down.json.
"""

import argparse
import json
import statistics
import sys
import warnings
from functools import partial
from typing import Any

from built_runs import Measured, bare_trainer
from command import ROOT
from lightning.pytorch import Callback, Trainer, seed_everything

from lit_improved_gan import GAN, BalanceMonitor, DigitsDataModule, MLPDiscriminator, MLPGenerator, ReleasedAdam

BATCHES, FACTOR = 1000, 0.1


class States(Callback):
    """Whether D was too strong, at each look."""

    def __init__(self, monitor: BalanceMonitor) -> None:
        self.monitor = monitor
        self.strong: list[bool] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.batches % self.monitor.every_n_batches == 0:
            self.strong.append(self.monitor.watches[0].window.state == "too strong")


def run(seed: int, slow_down: float | None) -> dict[str, Any]:
    """One run."""
    seed_everything(seed, verbose=False)
    networks = MLPGenerator(hidden=(250, 250)), MLPDiscriminator((1, 8, 8), 1, (250, 250), 0.0, 0.0)
    g_adam, d_adam = partial(ReleasedAdam, lr=1e-3), partial(ReleasedAdam, lr=2e-3)
    module = GAN(
        *networks, seed=seed, d_updates_per_batch=3, generator_optimizer=g_adam, discriminator_optimizer=d_adam
    )
    data, monitor = DigitsDataModule(batch_size=100), BalanceMonitor(slow_down=slow_down)
    measured, states = Measured(data), States(monitor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare_trainer(BATCHES, [monitor, measured, states]).fit(module, data)
    return {
        "seed": seed,
        "slow_down": slow_down,
        "modes": measured.modes[-1][1],
        "too strong": statistics.mean(states.strong),
        "events": monitor.events,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 110)))
    options = parser.parse_args()
    runs = [run(seed, slow_down) for seed in options.seeds for slow_down in (None, FACTOR)]
    command = " ".join(["python benchmarks/slow_down.py", *sys.argv[1:]])
    rows = ",\n".join(json.dumps(one) for one in runs)
    path = ROOT / "benchmarks" / "results" / "slow_down.json"
    path.write_text(json.dumps({"command": command, "batches": BATCHES})[:-1] + ', "runs": [\n' + rows + "\n]}\n")
    print("| slow_down | modes of 10 | each | looks at which D is too strong |\n|---|---|---|---|")
    for slow_down in (None, FACTOR):
        own = [one for one in runs if one["slow_down"] == slow_down]
        modes, strong = ([one[name] for one in own] for name in ("modes", "too strong"))
        cells = f"{statistics.mean(modes):.1f} +- {statistics.stdev(modes):.1f} | {', '.join(map(str, sorted(modes)))}"
        print(f"| {slow_down} | {cells} | {statistics.mean(strong):.0%} |")


if __name__ == "__main__":
    main()
