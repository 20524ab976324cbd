"""The command line in a process of its own, which saves its state where it is interrupted, to go on later."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from command import ROOT

__all__ = ["Terminated", "call", "terminate"]


def call(command: list[str], folder: Path) -> None:
    """Run the command line, whose output is appended to ``log.txt``."""
    whole = [sys.executable, "-m", "lit_improved_gan", *command]
    print(f"{command[0]}: see {folder / 'log.txt'}", file=sys.stderr, flush=True)
    with open(folder / "log.txt", "a+") as log:
        start = log.tell()
        done = subprocess.Popen(whole, stdout=log, stderr=subprocess.STDOUT, env={**environ(), "PYTHONUNBUFFERED": "1"})
        try:
            done.wait()
        except KeyboardInterrupt as stop:  # the run saves its state, and ends
            if isinstance(stop, Terminated):
                done.terminate()
            done.wait()
            raise
        log.seek(start)
        _, error, why = log.read().rpartition("error: ")
    if done.returncode in (130, 143):  # it alone got the signal
        raise KeyboardInterrupt
    if done.returncode:
        said = f"\n{error}{why.strip()}" if error else ""
        raise SystemExit(f"{shlex.join(whole)}\nended with {done.returncode}: see {folder / 'log.txt'}{said}")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which the run below has not got, unlike a Ctrl-C."""


def terminate(*_: Any) -> None:
    """Raise it."""
    raise Terminated


def environ() -> dict[str, str]:
    """The environment of a run, which finds the callback of this folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])}
