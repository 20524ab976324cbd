"""Run the command line in a process of its own, as a user would."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "as_they_end", "fit", "measure", "run"]

ROOT = Path(__file__).parents[1]


def fit(config: str, *arguments: str) -> dict[str, float]:
    """Train ``configs/CONFIG`` and read what ``fit`` says.

    Returns:
        ``test`` and ``validation`` error in percent, or the classifier's ``score`` and the percentage of ``confident``
        samples.
    """
    text, _ = run(config, *arguments)
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
    """Train ``configs/CONFIG`` and read every ``test/NAME`` of the line that ``fit`` ends with, by NAME.

    Beside them are ``processor_seconds``, which do not count what else the machine does.
    """
    text, seconds = run(config, *arguments)
    found = re.findall(r"\btest/(\w+) (-?[\d.]+(?:e[+-]\d+)?)(?=\s)", text)
    if not found:
        raise SystemExit(text)
    return {name: float(value) for name, value in found} | {"processor_seconds": seconds}


def run(config: str, *arguments: str) -> tuple[str, float]:
    """Train ``configs/CONFIG``: what ``fit`` prints, errors last, and the seconds that processors worked for it.

    If it fails, that is the end.
    """
    command = [sys.executable, "-m", "lit_improved_gan", "fit", "--config", str(ROOT / "configs" / config), *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None  # it is a pipe
        try:
            text = process.stdout.read()
        except BaseException:
            process.kill()
            raise
        _, status, used = os.wait4(process.pid, 0)
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text += errors.read()
    if process.returncode:
        raise SystemExit(text)
    return text, used.ru_utime + used.ru_stime


def as_they_end(function: Callable[..., Any], wanted: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """What ``function`` returns of each tuple of arguments, ``jobs`` at a time; if one fails, the rest is not begun."""
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([pool.submit(function, *arguments) for arguments in wanted]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
