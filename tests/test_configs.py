"""Every shipped YAML runs."""

from itertools import permutations

import pytest
from helpers import ROOT

EXPERIMENTS = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
OVERLAYS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("*/*.yaml"))
SHORT = ("--trainer.max_epochs=-1", "--trainer.max_steps=2", "--trainer.accelerator=cpu")


def test_there_are_experiments_and_overlays() -> None:
    assert "digits.yaml" in EXPERIMENTS
    assert "configs/technique/label_smoothing.yaml" in OVERLAYS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_trains_and_tests(run, experiment: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", *SHORT)
    assert result.status == 0, result.err
    assert "test error: " in result.out or "classifier score: " in result.out


@pytest.mark.parametrize("experiment", ["digits.yaml", "digits_gan.yaml"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_applies_and_keeps_the_callbacks(run, tmp_path, experiment: str, overlay: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", "--config", overlay, *SHORT)
    assert result.status == 0, result.err
    name = experiment.removesuffix(".yaml")
    assert (tmp_path / "runs" / name / "0" / "checkpoints" / "last.ckpt").is_file()
    assert list((tmp_path / "runs" / name / "0" / "samples").glob("*.png"))
    assert (tmp_path / "runs" / name / "0" / "metrics.csv").is_file()


TECHNIQUES = [path for path in OVERLAYS if path.startswith("configs/technique/")]


@pytest.mark.parametrize("order", list(permutations(TECHNIQUES)), ids=lambda order: "-".join(p[18:-5] for p in order))
def test_techniques_combine_in_any_order(run, order: tuple[str, ...]) -> None:
    overlays = [part for path in order for part in ("--config", path)]
    result = run("fit", "--config", "configs/digits_gan.yaml", *overlays, "--print_config")
    assert result.status == 0, result.err
    for expected in ("LabelSmoothing", "ReferenceBatch", "FeatureMatchingLoss", "SampleGrid", "target: 0.9"):
        assert expected in result.out
