"""Two processes through the command line."""

import os
import subprocess
import sys

import torch
from helpers import ROOT


def test_two_processes_share_a_run_directory_and_see_every_image_once(tmp_path) -> None:
    command = [sys.executable, "-m", "lit_improved_gan", "fit", "-c", str(ROOT / "configs" / "digits.yaml")]
    options = {
        "trainer.accelerator": "cpu", "trainer.devices": 2, "trainer.strategy": "ddp_find_unused_parameters_true",
        "trainer.max_epochs": 2, "trainer.check_val_every_n_epoch": 1, "data.batch_size": 50, "data.val_size": 299,
    }  # fmt: skip
    done = subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "runs" / "digits").iterdir()] == ["0"]
    assert done.stdout.count("test error: ") == done.stdout.count("run directory: ") == 1
    error = float(done.stdout.split("test error: ")[1].split(" %")[0])
    assert error == round(error * 5) / 5  # of 500 images: none is counted twice
    state = torch.load(tmp_path / "runs/digits/0/checkpoints/last.ckpt", weights_only=True)
    assert state["improved_gan"]["batches"] == state["global_step"] == 18
