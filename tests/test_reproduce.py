"""The benchmark that makes the paper's semi-supervised tables."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT

from lit_improved_gan import MNISTDataModule

sys.path.append(str(ROOT / "benchmarks"))

from labels_by_seed import LabelsBySeed, seed_with
from paper_tables import TABLES
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
        (["table1", "--labels", "60000"], "--labels should be multiples of 10 up to 54210"),
        (["table1", "--epochs", "0"], "--epochs should be 1 or more. Found 0"),
        (["table1", "--every_n_epochs", "0"], "--every_n_epochs should be 1 or more. Found 0"),
        (["table1", "--seeds", "-1"], "--seeds should be 0 or more. Found [-1]"),
        (["table1", "--output", "."], "--output . cannot be written"),
        (["table1", "--output", "/dev/null/below/table.json"], "its folder cannot be made"),
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


def test_the_sizes_of_classes(real_data: Path) -> None:
    data = MNISTDataModule(root=str(real_data), download=False)
    data.setup()
    assert data.training_set is not None
    assert data.training_set.labels.bincount().min() == TABLES["table1"].smallest_class


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_saves_its_state_and_goes_on(real_data: Path, tmp_path: Path, number: int) -> None:
    arguments = [
        "table1", "--labels=20", "--seeds=1", "--epochs=2", f"--data={real_data}", "--every_n_epochs=1", "--device=cpu",
        "--options=--threads=1 --trainer.limit_train_batches=100 --trainer.log_every_n_steps=5",
        "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "new" / "table.json"),
    ]  # fmt: skip
    command = [sys.executable, str(ROOT / "benchmarks" / "reproduce.py"), *arguments]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for _ in range(600):
        if list((tmp_path / "runs").rglob("metrics.csv")):
            break
        time.sleep(0.1)
    if number == signal.SIGINT:  # as a terminal sends it
        os.killpg(first.pid, number)
    else:
        os.kill(first.pid, number)
    said = first.communicate(timeout=60)[1]
    assert first.returncode == 1
    assert "interrupted: the same command goes on where it was" in said
    assert "Traceback" not in said
    (checkpoint,) = (tmp_path / "runs").rglob("last.ckpt")
    done = torch.load(checkpoint, weights_only=True)["global_step"]
    assert 0 < done < 200
    if number == signal.SIGINT:  # one of the two will do for the rest
        return

    (log,) = (tmp_path / "runs").rglob("log.txt")
    (log.parent / "seconds.csv").unlink(missing_ok=True)  # as where this process was killed
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    kept = json.loads((tmp_path / "new" / "table.json").read_text())["runs"]
    assert [(run["labels"], run["seed"], run["epochs"]) for run in kept] == [(20, 1, 2)]
    (log.parent / "seconds.csv").unlink()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    shorter = [argument.replace("--seeds=1", "--seeds=2").replace("--epochs=2", "--epochs=1") for argument in command]
    table = subprocess.run(shorter, capture_output=True, text=True, check=False).stdout
    rows = [line.split(" | ")[2:4] for line in table.splitlines()[2:]]
    assert rows == [["1", "1"], ["1", "2"]]  # no mean of runs of other lengths
