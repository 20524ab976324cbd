"""Run the command line in a process of its own, as a user would."""

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "fit"]

ROOT = Path(__file__).parents[1]


def fit(config: str, *arguments: str) -> dict[str, float]:
    """Train ``configs/CONFIG`` and read what ``fit`` says.

    Returns:
        ``test`` and ``validation`` error in percent, or the classifier's ``score`` and the percentage of ``confident``
        samples.
    """
    done = subprocess.run(
        [sys.executable, "-m", "lit_improved_gan", "fit", "--config", str(ROOT / "configs" / config), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = {
        "test": r"^test error: ([\d.]+) %$",
        "validation": r"\(best val/error_percent: ([\d.]+)\)$",
        "score": r"^classifier score: ([\d.]+) ",
        "confident": r", ([\d.]+)% of them classified confidently:$",
    }
    found = {name: re.search(pattern, done.stdout + done.stderr, re.MULTILINE) for name, pattern in said.items()}
    if done.returncode or not any(found.values()):
        raise SystemExit(done.stdout + done.stderr)
    return {name: float(match[1]) for name, match in found.items() if match}
