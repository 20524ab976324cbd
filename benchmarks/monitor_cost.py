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


class Idle(Callback):
    """Does nothing: what is measured of it is the clock."""

    def on_before_optimizer_step(self, *args: Any) -> None: ...

    def on_train_batch_end(self, *args: Any) -> None: ...


class Watch:
    """Seconds of this process that pass inside a monitor, with those of the clock."""

    def __init__(self, monitor: Callback) -> None:
        self.seconds = 0.0
        for name in ("on_before_optimizer_step", "on_train_batch_end"):
            setattr(monitor, name, self.timed(getattr(monitor, name)))

    def timed(self, hook: Callable[..., Any]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            start = time.process_time()
            hook(*args)
            self.seconds += time.process_time() - start

        return call


def once(make: Callable[..., Any], monitors: list[Callback]) -> tuple[float, float]:
    """Milliseconds of a training batch, with what is logged, and those inside the monitors, spread over the batches."""
    seed_everything(0, verbose=False)
    module, data = make(0)
    clock, watches = Clock(), [Watch(monitor) for monitor in monitors]
    with tempfile.TemporaryDirectory() as folder:
        logger = [RunCSVLogger(Path(folder))]
        bare_trainer(WARM + BATCHES, [*monitors, clock], logger=logger).fit(module, data)
    return clock.ms, 1e3 * sum(watch.seconds for watch in watches) / (WARM + BATCHES)


def measure(path: Path) -> None:
    """Alternate between a run without, with BalanceMonitor, and with ModeCoverageMonitor; print and keep the ratios.

    BalanceMonitor is as it is by default. ModeCoverageMonitor looks too seldom for that: it looks once a run, and what
    that adds is spread over its default interval. Whole runs differ by more than a monitor takes, so ``inside`` is the
    time that passes inside the monitor's hooks, less that inside one that does nothing, as a share of that of a batch
    without it.
    """
    seldom = ModeCoverageMonitor().every_n_batches
    result: dict[str, Any] = {"command": "python benchmarks/monitors.py --cost", "rounds": ROUNDS, "batches": BATCHES}
    result["a batch between looks"] = {"balance": BalanceMonitor().every_n_batches, "coverage": seldom}
    for name, make, judge in [("ring", ring, None), ("digits", digits, ClassifiedModes(channels=1))]:
        times: dict[str, list[float]] = {"without": [], "balance": [], "coverage": []}
        inside: dict[str, list[float]] = {"without": [], "balance": [], "coverage": []}
        for _ in range(ROUNDS):
            for kind, found in times.items():
                monitors: dict[str, list[Callback]] = {
                    "without": [Idle()],
                    "balance": [BalanceMonitor()],
                    "coverage": [ModeCoverageMonitor(judge, every_n_batches=WARM + BATCHES)],
                }
                ms, own = once(make, monitors[kind])
                found.append(ms)
                inside[kind].append(own)
        per = {"balance": 1.0, "coverage": (WARM + BATCHES) / seldom}
        ratios = {
            kind: 1 + share * statistics.median(w / b - 1 for w, b in zip(times[kind], times["without"], strict=True))
            for kind, share in per.items()
        }
        batch = statistics.median(times["without"])
        own = {kind: statistics.median(found) for kind, found in inside.items()}
        shares = {kind: share * (own[kind] - own["without"]) / batch for kind, share in per.items()}
        result[name] = {"ms": times, "ms inside": inside, "ratios": ratios, "inside": shares}
        print(f"{name}: {batch:.2f} ms a batch, {ratios}, inside {shares}", flush=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
