"""What a reproduction keeps of each run: errors over the epochs, and class probabilities for an ensemble."""

import csv
import re
import sys

import numpy as np
import pytest
from helpers import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from error_curve import PROBABILITIES, ensemble_wrong, read_curve

OVERLAY = "trainer: {callbacks+: [{class_path: error_curve.ErrorCurve, init_args: {every_n_epochs: 1}}]}"
TWO_EPOCHS = ("--trainer.max_epochs=2", "--trainer.limit_train_batches=3", "--trainer.accelerator=cpu")
TEST_IMAGES = 500


@pytest.fixture
def fit(run, tmp_path):
    (tmp_path / "overlay.yaml").write_text(OVERLAY)

    def call(*options: str) -> str:
        result = run("fit", "-c", "configs/digits.yaml", "-c", "overlay.yaml", *TWO_EPOCHS, *options)
        assert result.status == 0, result.err
        return result.out

    return call


def said(out: str, name: str) -> int:
    """A percentage of the result, as wrong images."""
    return round(float(re.search(rf"{name}: ([\d.]+) %", out)[1]) * TEST_IMAGES / 100)


def test_seeds_side_by_side_have_a_curve_each_and_an_ensemble(fit, tmp_path) -> None:
    out, folder = fit("--seeds=[3,1]"), tmp_path / "runs/digits/0"
    for i, seed in enumerate((3, 1)):
        curve = read_curve(folder, i)
        assert [epoch for epoch, _, _ in curve] == [1, 2]
        assert curve[-1][1] == said(out, f"seed {seed}")
    assert read_curve(folder, 0) != read_curve(folder, 1)
    assert ensemble_wrong([(folder, 0), (folder, 1)]) == said(out, "their ensemble")
    assert ensemble_wrong([(folder, 1)]) == said(out, "seed 1")


def test_seeds_one_after_the_other_have_an_ensemble(fit, tmp_path) -> None:
    folders = [tmp_path / "runs" / "digits" / str(i) for i in range(2)]
    for folder, seed in zip(folders, (3, 1), strict=True):
        assert read_curve(folder) == []
        assert said(fit(f"--seed_everything={seed}"), "test error") == read_curve(folder)[-1][1]
    kept = [np.load(folder / PROBABILITIES) for folder in folders]
    probabilities = np.concatenate([each["probabilities"] for each in kept])
    assert probabilities.shape == (2, TEST_IMAGES, 10)
    assert np.allclose(probabilities.sum(2), 1, atol=1e-5)
    wrong = (probabilities.mean(0).argmax(1) != kept[0]["labels"]).sum()
    assert ensemble_wrong([(folder, 0) for folder in folders]) == wrong
    assert wrong != read_curve(folders[0])[-1][1]


def test_an_epoch_that_a_resumed_run_repeated_counts_once(tmp_path) -> None:
    with open(tmp_path / "test_errors.csv", "w", newline="") as file:
        csv.writer(file).writerows([[1, 9, 8], [2, 7, 7], [2, 6, 5]])
    assert read_curve(tmp_path) == [[1, 9, 8], [2, 6, 5]]
