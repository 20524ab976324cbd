"""Runs that are killed and resumed end as those that were not; benchmarks/kill_and_resume.py kills more of them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers import ROOT

from lit_improved_gan.cli import main

sys.path.append(str(ROOT / "benchmarks"))

from kill_and_resume import differences


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


@pytest.mark.parametrize(("every", "step"), [(9, 18), (3, 12)], ids=["at an epoch's end", "within an epoch"])
def test_what_follows_the_batch_of_a_checkpoint_is_made_up_for(tmp_path, monkeypatch, every: int, step: int) -> None:
    """A state saved by a batch's own hooks, before the validation and the end of the epoch that were still to come."""
    monkeypatch.chdir(tmp_path)
    callbacks = [
        {
            "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
            "init_args": {"every_n_train_steps": every, "save_top_k": -1, "filename": "{step}"},
        },
        {"class_path": "lit_improved_gan.LastCheckpoint"},
    ]
    Path("often.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks+": callbacks}}))
    arguments = ["fit", f"--config={ROOT}/configs/digits.yaml", "--config=often.yaml", "--trainer.max_epochs=3"]
    arguments += ["--data.val_size=300", "--trainer.check_val_every_n_epoch=1", "--trainer.enable_progress_bar=false"]
    arguments += [f"--trainer.val_check_interval={every}"]
    assert main(arguments) == 0
    whole = Path("runs/digits/0")
    early = whole / "checkpoints" / f"step={step}.ckpt"
    assert torch.load(early, weights_only=True)["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] == 1
    assert main([*arguments, f"--ckpt_path={early}"]) == 0
    resumed = Path("runs/digits/1")
    compared, wrong = differences(whole, resumed)
    assert compared > 100
    assert not wrong
    found, expected = (
        [(row["step"], row["val/error_percent"]) for row in rows if row["val/error_percent"]]
        for rows in (list(csv.DictReader((run / "metrics.csv").open())) for run in (resumed, whole))
    )
    assert found == expected[step // every - 1 :]
    assert found[0][0] == str(step)
