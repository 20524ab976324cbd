"""Run the command line in a process of its own, as a user would."""

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "fit", "measure"]

ROOT = Path(__file__).parents[1]


def fit(config: str, *arguments: str) -> dict[str, float]:
    """Train ``configs/CONFIG`` and read what ``fit`` says.

    Returns:
        ``test`` and ``validation`` error in percent, or the classifier's ``score`` and the percentage of ``confident``
        samples.
    """
    text = _said(config, *arguments)
    said = {
        "test": r"^test error: ([\d.]+) %$",
        "validation": r"\(best val/error_percent: ([\d.]+)\)$",
        "score": r"^classifier score: ([\d.]+) ",
        "confident": r", ([\d.]+)% of them classified confidently:$",
    }
    found = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in said.items()}
    if not any(found.values()):
        raise SystemExit(text)
    return {name: float(match[1]) for name, match in found.items() if match}


def measure(config: str, *arguments: str) -> dict[str, float]:
    """Train ``configs/CONFIG`` and read every ``test/NAME`` of the line that ``fit`` ends with, by NAME."""
    text = _said(config, *arguments)
    found = re.findall(r"\btest/(\w+) (-?[\d.]+(?:e[+-]\d+)?)(?=\s)", text)
    if not found:
        raise SystemExit(text)
    return {name: float(value) for name, value in found}


def _said(config: str, *arguments: str) -> str:
    """What ``fit`` prints; if it fails, the end."""
    done = subprocess.run(
        [sys.executable, "-m", "lit_improved_gan", "fit", "--config", str(ROOT / "configs" / config), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout + done.stderr
