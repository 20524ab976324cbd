"""Run the command line in a process of its own, as a user would."""

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "fit"]

ROOT = Path(__file__).parents[1]


def fit(config: str, *arguments: str) -> dict[str, float]:
    """Train ``configs/CONFIG`` and read what ``fit`` says: ``test`` error and ``validation`` error, in percent."""
    done = subprocess.run(
        [sys.executable, "-m", "lit_improved_gan", "fit", "--config", str(ROOT / "configs" / config), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    test = re.search(r"^test error: ([\d.]+) %$", done.stdout, re.MULTILINE)
    validation = re.search(r"\(best val/error_percent: ([\d.]+)\)$", done.stdout, re.MULTILINE)
    if done.returncode or test is None or validation is None:
        raise SystemExit(done.stdout + done.stderr)
    return {"test": float(test[1]), "validation": float(validation[1])}
