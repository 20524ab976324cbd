"""Two and four processes train as one does, by benchmarks/ranks.py, which trains more of them."""

import json
import subprocess
import sys
from typing import Any

import pytest
from helpers import ROOT

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[Row]:
    results = tmp_path_factory.mktemp("processes") / "ranks.json"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/ranks.py", "--quick", f"--results={results}"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(results.read_text())["rows"]


def split(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """With techniques that make several processes one, with batch norm, and with something left out on purpose."""
    local = [row for row in rows if row["case"].startswith("local")]
    batch_norm = [row for row in rows if row["case"] == "batch norm"]
    return [row for row in rows if row not in local + batch_norm], batch_norm, local


def check_equal(rows: list[Row]) -> None:
    """Several processes have the weights, averages, buffers and moments of one."""
    for row in rows:
        for kind in ("weights", "averages", "buffers", "moments"):
            assert row[kind] <= 1e-12, row


def test_several_processes_train_as_one(rows) -> None:
    equal, _, _ = split(rows)
    assert len(equal) > 12
    check_equal(equal)
    assert {row["processes"] for row in equal} == {2, 4}


def test_what_is_left_out_is_seen(rows) -> None:
    _, _, local = split(rows)
    assert len(local) == 3
    assert all(row["weights"] > 1e-4 for row in local), local


def test_processes_are_equal_at_validation_and_in_the_checkpoint(rows) -> None:
    """With batch norm each has statistics of its own batch, which differ from those of the whole."""
    for row in rows:
        for what in ("between processes", "between processes, at validation", "from the checkpoint"):
            assert row[what] == 0, row
    _, batch_norm, _ = split(rows)
    assert len(batch_norm) >= 3
    assert all(row["weights"] > 1e-4 and row["buffers"] > 1e-4 for row in batch_norm)


def test_noise_differs_between_processes_and_is_that_of_one(rows) -> None:
    for row in rows:
        shared = row["case"] == "local: noise"
        assert row["noise is that of one process"] == (not shared)
        assert row["rows of noise that differ"] == (16 if shared else 32)
        assert row["processes whose noise inside differs"] == row["processes"]
