"""The main job and what it leaves behind."""

import csv
import re
import warnings

import pytest
import torch
import yaml
from helpers import SMALL

from lit_improved_gan import SemiSupervisedGAN

FIT = ("fit", "--config", "configs/digits.yaml", "--trainer.accelerator=cpu", "--trainer.max_epochs=40")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One short run of the main job, shared by the tests that only look at it."""
    import contextlib
    import io
    import os

    from helpers import ROOT

    from lit_improved_gan.cli import main

    folder = tmp_path_factory.mktemp("finished")
    (folder / "configs").symlink_to(ROOT / "configs")
    before, environment, out = os.getcwd(), dict(os.environ), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out):
            assert main(list(FIT)) == 0
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)
    return folder, out.getvalue()


def test_the_last_lines_are_the_result_the_directory_and_how_to_sample(finished) -> None:
    lines = finished[1].splitlines()
    tested, result, directory, sample = lines[-4:]
    assert re.fullmatch(r"testing runs/digits/0/checkpoints/best\.ckpt \(best val/error_percent: [\d.]+\)", tested)
    assert re.fullmatch(r"test error: \d+\.\d\d %", result)
    assert directory == "run directory: runs/digits/0"
    assert sample == "sample from it: lit-improved-gan predict --ckpt_path runs/digits/0/checkpoints/best.ckpt"


def test_progress_shows_losses_and_validation_error(finished) -> None:
    assert re.search(r"batch \d+/360  d_loss [\d.]+ .*g_loss [\d.e-]+ .*val error % \d+\.\d\d", finished[1])


def test_the_run_directory_is_complete(finished) -> None:
    run = finished[0] / "runs" / "digits" / "0"
    assert {path.name for path in run.iterdir()} == {
        "config.yaml",
        "metrics.csv",
        "checkpoints",
        "samples",
        "curves.png",
    }
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert (run / "samples" / "batch-000360.png").is_file()


def test_the_reported_error_is_that_of_the_best_checkpoint(finished, run) -> None:
    """``test`` repeats the number, and recounting by hand gives it, too."""
    folder, out = finished
    path = folder / "runs" / "digits" / "0" / "checkpoints" / "best.ckpt"
    result = run("test", "--ckpt_path", path)
    assert result.status == 0, result.err
    line = next(line for line in out.splitlines() if line.startswith("test error"))
    assert line in result.out

    from lit_improved_gan import DigitsDataModule

    data = DigitsDataModule(val_size=300)
    data.setup()
    module = SemiSupervisedGAN.load_from_checkpoint(path)
    with torch.no_grad():
        logits = module.discriminator_average(data.test.images.float() / 127.5 - 1).logits
    wrong = int((logits.argmax(1) != data.test.labels).sum())
    assert line == f"test error: {100 * wrong / len(data.test.labels):.2f} %"


def test_the_best_checkpoint_is_the_best_by_validation(finished) -> None:
    run = finished[0] / "runs" / "digits" / "0"
    with (run / "metrics.csv").open() as file:
        errors = {
            int(row["step"]): float(row["val/error_percent"])
            for row in csv.DictReader(file)
            if row["val/error_percent"]
        }
    assert errors.keys() == {180, 360}
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert errors[checkpoint["global_step"]] == min(errors.values())


def test_load_from_checkpoint_needs_no_other_argument(finished) -> None:
    path = finished[0] / "runs" / "digits" / "0" / "checkpoints" / "last.ckpt"
    module = SemiSupervisedGAN.load_from_checkpoint(path)
    images = module.sample(7, seed=3)
    assert images.shape == (7, 1, 8, 8)
    assert -1 <= float(images.min()) < float(images.max()) <= 1
    assert torch.equal(images, module.sample(7, seed=3))
    assert not torch.equal(images, module.sample(7, seed=4))
    assert torch.allclose(images[:3], module.sample(3, seed=3), atol=1e-5)


def test_other_samples_come_from_another_seed(finished, run, tmp_path) -> None:
    import shutil

    import numpy as np

    shutil.copytree(finished[0] / "runs" / "digits" / "0", tmp_path / "copy")
    path = tmp_path / "copy" / "checkpoints" / "last.ckpt"
    drawn = []
    for i, seed in enumerate((0, 0, 7)):
        assert run("predict", "--ckpt_path", path, "--data.num_samples=9", f"--seed_everything={seed}").status == 0
        drawn.append(np.load(path.parents[1] / f"predict-{i}" / "predictions" / "samples.npz")["images"])
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_validate_repeats_the_best_error(finished, run) -> None:
    result = run("validate", "--ckpt_path", finished[0] / "runs" / "digits" / "0" / "checkpoints" / "best.ckpt")
    assert result.status == 0, result.err
    best = float(re.search(r"best val/error_percent: ([\d.]+)", finished[1])[1])
    assert f"validation error: {best:.2f} %" in result.out


def test_without_a_hold_out_the_last_checkpoint_is_tested(run, tmp_path) -> None:
    result = run("fit", "-c", "configs/digits.yaml", "--data.val_size=0", *SMALL)
    assert result.status == 0, result.err
    assert "testing runs/digits/0/checkpoints/last.ckpt (the last)" in result.out
    assert not (tmp_path / "runs/digits/0/checkpoints/best.ckpt").exists()


def test_the_saved_config_reproduces_the_run(run, tmp_path) -> None:
    first = run("fit", "-c", "configs/digits.yaml", "--seed_everything=5", "--data.labels_per_class=3", *SMALL)
    again = run("fit", "--config", "runs/digits/0/config.yaml")
    other = run("fit", "--config", "runs/digits/0/config.yaml", "--seed_everything=6")
    assert first.status == again.status == other.status == 0, again.err
    states = [
        torch.load(tmp_path / f"runs/digits/{i}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for i in range(3)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["discriminator.head.1.direction"], states[2]["discriminator.head.1.direction"])
    configs = [yaml.safe_load((tmp_path / f"runs/digits/{i}/config.yaml").read_text()) for i in range(2)]
    assert configs[0] == configs[1]


def test_a_run_directory_is_never_overwritten(run, tmp_path) -> None:
    for _ in range(2):
        assert run("fit", "-c", "configs/digits.yaml", *SMALL).status == 0
    folders = sorted(path.name for path in (tmp_path / "runs" / "digits").iterdir())
    assert folders == ["0", "1"]


def test_python_dash_m_is_the_console_script(tmp_path) -> None:
    import subprocess
    import sys
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="lit-improved-gan")
    from lit_improved_gan.cli import main

    assert script.load() is main
    done = subprocess.run([sys.executable, "-m", "lit_improved_gan"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: lit-improved-gan" in done.stdout


def test_predict_writes_pngs_and_an_archive(finished, run, tmp_path) -> None:
    import numpy as np
    from torchvision.io import read_image

    path = finished[0] / "runs" / "digits" / "0" / "checkpoints" / "best.ckpt"
    result = run("predict", "--ckpt_path", path, "--data.num_samples=130")
    assert result.status == 0, result.err
    folder = finished[0] / "runs" / "digits" / "0" / "predict-0" / "predictions"
    assert len(list(folder.glob("*.png"))) == 130
    images = np.load(folder / "samples.npz")["images"]
    assert images.shape == (130, 1, 8, 8)
    assert (read_image(str(folder / "000129.png")).numpy() == images[129]).all()
    expected = SemiSupervisedGAN.load_from_checkpoint(path).sample(130, seed=0)
    assert (((expected + 1) * 127.5).round().byte().numpy() == images).all()


def test_validate_repeats_the_validation_error(finished, run) -> None:
    folder = finished[0]
    result = run("validate", "--ckpt_path", folder / "runs/digits/0/checkpoints/best.ckpt")
    assert result.status == 0, result.err
    best = re.search(r"best val/error_percent: ([\d.]+)", finished[1])
    shown = re.search(r"val/error_percent\D+([\d.]+)", result.out)
    assert best is not None
    assert shown is not None
    assert float(shown[1]) == pytest.approx(float(best[1]), rel=1e-3)


@pytest.mark.parametrize(("experiment", "times"), [("digits_gan", 1), ("digits", 0)])
def test_labels_that_nothing_takes_are_pointed_out(run, experiment: str, times: int) -> None:
    short = (
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=-1",
        "--trainer.max_steps=2",
        "--data.labels_per_class=5",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run("fit", "-c", f"configs/{experiment}.yaml", *short).status == 0
    words = [
        str(one.message) for one in caught if "`labels_per_class` of DigitsDataModule does nothing" in str(one.message)
    ]
    assert len(words) == times
    assert all("GAN takes no labels. Found labels_per_class=5: leave it out" in one for one in words)
