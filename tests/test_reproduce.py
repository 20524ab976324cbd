"""The benchmark that makes the paper's semi-supervised tables."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT

from lit_improved_gan import MNISTDataModule

sys.path.append(str(ROOT / "benchmarks"))

from labels_by_seed import LabelsBySeed, seed_with
from reproduce import main


def reproduce(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "reproduce.py"), *arguments]
    kept = ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "table.json")]
    return subprocess.run([*command, *kept], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("released", [True, False])
@pytest.mark.parametrize(("labels", "seed"), [(20, 3), (100, 3), (100, 999)])
def test_a_seed_stands_for_labels_and_a_subset(real_data: Path, released: bool, labels: int, seed: int) -> None:
    options: dict[str, Any] = {"root": str(real_data), "download": False, "released_labels": released}
    member = seed_with(labels, seed)
    found = LabelsBySeed(**options, seeds=[seed_with(200, 1), member]).labelled_rows(member)
    wanted = MNISTDataModule(**options, labels_per_class=labels // 10, label_seed=seed).labelled_rows()
    assert torch.equal(found, wanted)


def test_all_numbers_of_labels_train_at_once(real_data: Path, tmp_path: Path) -> None:
    arguments = [
        "table1", "--at_once", "--labels", "20", "200", "--seeds", "2", "1", "--epochs=1", f"--data={real_data}",
        "--every_n_epochs=1", "--device=cpu", "--options=--trainer.limit_train_batches=3",
    ]  # fmt: skip
    done = reproduce(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "table.json").read_text())
    assert (tmp_path / "table_curves.png").read_bytes().startswith(b"\x89PNG")
    runs = {(run["labels"], run["seed"]): run["wrong"] for run in kept["runs"]}
    assert list(runs) == [(20, 2), (20, 1), (200, 2), (200, 1)]
    assert len(set(runs.values())) == 4
    log = next((tmp_path / "runs/mnist_ssl/20-200").glob("*/log.txt")).read_text()
    for (labels, seed), wrong in runs.items():  # what the run itself says of its members
        assert f"seed {seed_with(labels, seed)}: {wrong / 100:.2f} %" in log
    ensembles = {each["labels"]: each["wrong"] for each in kept["ensembles"]}
    assert set(ensembles) == {20, 200}
    assert ensembles[20] != ensembles[200]
    assert "| 200 |" in done.stdout

    again = reproduce(tmp_path, *arguments)  # a complete run is not repeated
    assert again.stdout == done.stdout
    assert json.loads((tmp_path / "table.json").read_text())["runs"] == kept["runs"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["table1", "--labels", "25"], "--labels should be multiples of 10"),
        (["table1", "--labels", "0"], "--labels should be multiples of 10"),
        (["table1", "--seeds", "0", "1", "0"], "--seeds should be different from each other. Found [0, 1, 0]"),
        (["table1", "--labels", "20", "20"], "--labels should be different from each other"),
        (["table1", "--side_by_side"], "--side_by_side needs two --seeds"),
        (["table1", "--at_once", "--labels", "20"], "--at_once is for table1, with two --labels"),
        (["table1", "--device=cpu", "--options=--trainer.accelerator=cpu"], "say the same"),
        (["table2", "--at_once"], "--at_once is for table1"),
        (["table1", "--at_once", "--seeds", "1000"], "--at_once needs --seeds in 0..999"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert named in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_a_run_says_is_said(tmp_path: Path) -> None:
    """No data: the run's own message is shown, not that of an earlier one, and nothing is kept."""
    missing = tmp_path / "missing"
    for _ in range(2):
        done = reproduce(tmp_path, "table1", "--labels=20", f"--data={missing}", "--options=--data.download=false")
        assert done.returncode == 1
        assert done.stderr.count("error: ") == 1
        assert f"could not be read from {str(missing)!r}" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "table.json").exists()
