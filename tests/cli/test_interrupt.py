"""Ctrl-C, and the end that a cluster puts to a job, in a real process."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers import ROOT


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_last_state_and_says_where(tmp_path, number: int, status: int) -> None:
    command = [sys.executable, "-u", "-m", "lit_improved_gan", "fit", "-c", str(ROOT / "configs" / "digits.yaml")]
    process = subprocess.Popen(
        [*command, "--trainer.max_epochs=1000", "--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    metrics = tmp_path / "runs/digits/0/metrics.csv"
    deadline = time.time() + 120
    while not (metrics.is_file() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None, process.communicate()[0]
        assert time.time() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == status, out
    assert "Traceback" not in out
    said = re.search(r"The state after (\d+) training batches is in (runs/digits/0/checkpoints/last\.ckpt)", out)
    assert said is not None, out
    state = torch.load(tmp_path / said[2], weights_only=True)
    assert state["improved_gan"]["batches"] == state["global_step"] == int(said[1]) > 0
    assert state["improved_gan"]["mid_batch"] is False
    assert state["improved_gan"]["d_updates"] == state["improved_gan"]["g_updates"]
