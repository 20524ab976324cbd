"""Two processes through the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
    assert "unused" not in done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "runs" / "digits").iterdir()] == ["0"]
    assert done.stdout.count("test error: ") == done.stdout.count("run directory: ") == 1
    error = float(done.stdout.split("test error: ")[1].split(" %")[0])
    assert error == round(error * 5) / 5  # of 500 images: none is counted twice
    state = torch.load(tmp_path / "runs/digits/0/checkpoints/last.ckpt", weights_only=True)
    assert state["improved_gan"]["batches"] == state["global_step"] == 18


def test_plain_ddp_is_refused_with_the_strategy_to_choose(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lit_improved_gan", "fit", "-c", str(ROOT / "configs" / "digits.yaml"),
         "--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "strategy='ddp_find_unused_parameters_true'" in done.stderr


def test_when_one_process_dies_the_other_ends_and_says_so(tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lit_improved_gan", "fit", "-c", str(ROOT / "configs" / "digits.yaml"),
         "--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp_find_unused_parameters_true",
         "--trainer.max_epochs=100000", "--trainer.check_val_every_n_epoch=1000", "--data.batch_size=50",
         "--trainer.callbacks+=lit_improved_gan.LastCheckpoint"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    last = tmp_path / "runs/digits/0/checkpoints/last.ckpt"
    try:
        deadline = time.time() + 300
        while not last.is_file():
            assert process.poll() is None, process.communicate()[0]
            assert time.time() < deadline
            time.sleep(0.1)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1, out
    assert "Traceback" not in out
    assert out.count("error: ") == 1
    assert "error: Another process of this run has ended, or cannot be reached" in out
    assert "What was saved before is in runs/digits/0" in out
    assert torch.load(last, weights_only=True)["global_step"] > 0
