"""Runs that are killed and resumed end as those that were not; benchmarks/kill_and_resume.py kills more of them."""

import json
import os
import subprocess
import sys

from helpers import ROOT


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path) -> None:
    """Few labels and unsupervised, plain and with every technique, both limits, no and two workers."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/kill_and_resume.py", "--every=5", "--kills=2", f"--folder={tmp_path}",
         f"--results={tmp_path / 'results.json'}"],
        capture_output=True, text=True, timeout=1200, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["runs"] == 4
    assert results["kills"] >= 6
    assert results["runs that differ"] == 0, results["trials"]
    assert all(trial["compared"] > 50 for trial in results["trials"])
