"""Several processes that run one test file, each with its rank."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from helpers import ROOT


def run_processes(script: str, world: int, folder: Path, timeout: float) -> list[Any]:
    """Run ``python script RANK FOLDER`` for each rank at once, and load what each left in ``FOLDER/RANK.pt``."""
    found = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": found}
    processes = [
        subprocess.Popen([sys.executable, script, str(rank), str(folder)], env=environment, stderr=subprocess.PIPE)
        for rank in range(world)
    ]
    try:
        errors = [one.communicate(timeout=timeout)[1].decode() for one in processes]
    finally:
        for one in processes:
            one.kill()
    assert [one.returncode for one in processes] == [0] * world, errors
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]
