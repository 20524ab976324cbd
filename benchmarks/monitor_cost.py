"""What the monitors cost, as a ratio to a training batch without them."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from built_runs import bare_trainer, digits, ring
from lightning.pytorch import Callback, Trainer, seed_everything

from lit_improved_gan import BalanceMonitor, ClassifiedModes, ModeCoverageMonitor
from lit_improved_gan.cli.loggers import RunCSVLogger

__all__ = ["measure"]

ROUNDS, BATCHES, WARM = 9, 400, 20


class Clock(Callback):
    """Milliseconds of this process a training batch, after the first ones."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.batches == WARM:
            self.start = time.process_time()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.ms = 1e3 * (time.process_time() - self.start) / (pl_module.batches - WARM)


def once(make: Callable[..., Any], monitors: list[Callback]) -> float:
    """Milliseconds of a training batch, with what is logged."""
    seed_everything(0, verbose=False)
    module, data = make(0)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        logger = [RunCSVLogger(Path(folder))]
        bare_trainer(WARM + BATCHES, [*monitors, clock], logger=logger).fit(module, data)
    return clock.ms


def measure(path: Path) -> None:
    """Alternate between a run without, with BalanceMonitor, and with ModeCoverageMonitor; print and keep the ratios.

    BalanceMonitor is as it is by default. ModeCoverageMonitor looks too seldom for that: it looks once a run, and what
    that adds is spread over its default interval.
    """
    seldom = ModeCoverageMonitor().every_n_batches
    result: dict[str, Any] = {"command": "python benchmarks/monitors.py --cost", "rounds": ROUNDS, "batches": BATCHES}
    result["a batch between looks"] = {"balance": BalanceMonitor().every_n_batches, "coverage": seldom}
    for name, make, judge in [("ring", ring, None), ("digits", digits, ClassifiedModes(channels=1))]:
        times: dict[str, list[float]] = {"without": [], "balance": [], "coverage": []}
        for _ in range(ROUNDS):
            for kind, found in times.items():
                monitors: dict[str, list[Callback]] = {
                    "without": [],
                    "balance": [BalanceMonitor()],
                    "coverage": [ModeCoverageMonitor(judge, every_n_batches=WARM + BATCHES)],
                }
                found.append(once(make, monitors[kind]))
        per = {"balance": 1.0, "coverage": BATCHES / seldom}
        ratios = {
            kind: 1 + share * statistics.median(w / b - 1 for w, b in zip(times[kind], times["without"], strict=True))
            for kind, share in per.items()
        }
        result[name] = {"ms": times, "ratios": ratios}
        print(f"{name}: {statistics.median(times['without']):.2f} ms a batch, {ratios}", flush=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
