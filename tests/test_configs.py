"""Every shipped YAML runs."""

import pytest
import torch
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


UNSUPERVISED_ONLY = ("hinge", "least_squares")  # their losses of D take no labels


@pytest.mark.parametrize("experiment", ["digits.yaml", "digits_gan.yaml"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_applies_and_keeps_the_callbacks(run, tmp_path, experiment: str, overlay: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", "--config", overlay, *SHORT)
    if experiment == "digits.yaml" and overlay.endswith(tuple(f"{name}.yaml" for name in UNSUPERVISED_ONLY)):
        assert result.status == 2
        assert "`discriminator_loss` is called with (labelled, labels, unlabelled, fake)" in result.err
        return
    assert result.status == 0, result.err
    folder = tmp_path / "runs" / experiment.removesuffix(".yaml") / "0"
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert list((folder / "samples").glob("*.png"))
    assert (folder / "metrics.csv").is_file()
    assert run("test", "--ckpt_path", folder / "checkpoints" / "last.ckpt").status == 0


TOGETHER = [
    path
    for path in OVERLAYS
    if path.startswith("configs/technique/") and not path.endswith(tuple(f"{name}.yaml" for name in UNSUPERVISED_ONLY))
]


@pytest.mark.parametrize("experiment", ["digits.yaml", "digits_gan.yaml"])
def test_techniques_combine_in_any_order(run, tmp_path, experiment: str) -> None:
    trained = []
    for i, order in enumerate([TOGETHER, TOGETHER[::-1], TOGETHER[3:] + TOGETHER[:3]]):
        overlays = [part for path in order for part in ("--config", path)]
        result = run("fit", "--config", f"configs/{experiment}", *overlays, *SHORT, f"--name=order{i}")
        assert result.status == 0, result.err
        state = torch.load(tmp_path / f"runs/order{i}/0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        trained.append({key: value for key, value in state.items() if "penalties" not in key})  # in the order given
    for other in trained[1:]:
        assert trained[0].keys() == other.keys()
        assert all(torch.allclose(value, other[key], rtol=1e-4, atol=1e-6) for key, value in trained[0].items())
    shown = run("fit", "--config", f"configs/{experiment}", *overlays, "--print_config").out
    names = "LabelSmoothing ReferenceBatch FeatureMatchingLoss SampleGrid R1Penalty HistoricalAveraging"
    for expected in (names + " MinibatchDiscrimination VirtualBatchNorm SpectralNormLinear").split():
        assert expected in shown
