"""Every shipped YAML runs."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers import ROOT
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback

EXPERIMENTS = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
OVERLAYS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("t*/*.yaml"))  # technique, trainer
BUDGETS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs/fast").glob("*.yaml"))
METRICS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs/metrics").glob("*.yaml"))
SHORT = ("--trainer.max_epochs=-1", "--trainer.max_steps=2", "--trainer.accelerator=cpu")


def test_there_are_experiments_and_overlays() -> None:
    assert "digits.yaml" in EXPERIMENTS
    assert "configs/technique/label_smoothing.yaml" in OVERLAYS
    assert "configs/metrics/fid768.yaml" in METRICS


SMALL_NETWORKS = (
    "--model.generator.channels=[8,8,8]",
    "--model.discriminator.channels=[8,8]",
)  # as full ones take minutes


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name.startswith("digits")])
def test_experiment_trains_and_tests(run, experiment: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", *SHORT)
    assert result.status == 0, result.err
    assert "test error: " in result.out or "classifier score: " in result.out


KNOWN_MODES = ["ring_gan.yaml", "grid_gan.yaml", "stacked_digits_gan.yaml"]


@pytest.mark.parametrize("experiment", KNOWN_MODES)
def test_experiment_with_known_modes(run, experiment: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", *SHORT)
    assert result.status == 0, result.err
    assert "test/modes " in result.out
    seeds = run("fit", "--config", f"configs/{experiment}", *SHORT, "--seeds", "[3,4]")
    assert seeds.status == 0, seeds.err
    assert "test/modes_seed4 " in seeds.out


def test_points_with_labels_side_by_side(run) -> None:
    overlay = ("--config", "configs/technique/semi_supervised.yaml", "--model.discriminator.num_outputs=8")
    result = run("fit", "--config", "configs/ring_gan.yaml", *overlay, *SHORT, "--seeds", "[3,4]")
    assert result.status == 0, result.err
    for said in ("test error: ", "  seed 4: ", "their ensemble: ", "test/modes_seed4 "):
        assert said in result.out


@pytest.mark.parametrize("experiment", KNOWN_MODES[:2])
def test_pictures_of_points(run, tmp_path, experiment: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", "--config", "configs/picture/points.yaml", *SHORT)
    assert result.status == 0, result.err
    for name in ("points.gif", "points.png"):
        assert (tmp_path / "runs" / experiment.removesuffix(".yaml") / "0" / name).is_file()


@pytest.mark.parametrize("experiment", KNOWN_MODES[1:])
@pytest.mark.parametrize("overlay", [path for path in OVERLAYS if path.startswith("configs/technique/")])
def test_technique_applies_where_modes_are_known(run, experiment: str, overlay: str) -> None:
    few, classes = ("num_points", 25) if experiment.startswith("grid") else ("num_test", 1000)
    options = [f"--data.{few}=300"] if "semi_supervised" not in overlay else []  # else each class has labels
    options += [f"--model.discriminator.num_outputs={classes}"] if not options else []
    result = run("fit", "--config", f"configs/{experiment}", "--config", overlay, *SHORT, *options)
    assert result.status == 0, result.err
    assert "test/quality " in result.out
    assert ("test error: " in result.out) == ("semi_supervised" in overlay)


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name.startswith("mnist")])
def test_experiment_on_the_real_mnist(run, real_data, experiment: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", *SHORT, f"--data.root={real_data}")
    assert result.status == 0, result.err
    assert ("test/d_real" if experiment.endswith("_gan.yaml") else "test error: ") in result.out


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name.startswith(("cifar10", "svhn"))])
def test_experiment_on_the_real_cifar10(run, real_cifar10, experiment: str) -> None:
    """SVHN's, too: images of the same shape in as many classes."""
    data = ("--data=lit_improved_gan.ArrayDataModule", f"--data.path={real_cifar10}")
    networks = SMALL_NETWORKS if "_ssl" in experiment else ()
    result = run("fit", "--config", f"configs/{experiment}", *SHORT, *networks, *data)
    assert result.status == 0, result.err
    unsupervised = experiment.endswith("_gan.yaml")
    assert ("test/d_real" if unsupervised else "test error: ") in result.out
    shown = run("fit", "--config", f"configs/{experiment}", *data, "--print_config").out
    assert "batch_size: 100" in shown
    assert ("labels_per_class: null" in shown) == unsupervised


def test_stacked_mnist_is_judged_by_a_classifier_trained_before(run, real_data, tmp_path) -> None:
    judge = run("fit", "--config", "configs/mnist_classifier.yaml", *SHORT, f"--data.root={real_data}")
    assert judge.status == 0, judge.err
    wanted, made = (f"runs/mnist_classifier/0/checkpoints/{name}.ckpt" for name in ("best", "last"))
    few = ("--data.num_images=2000", "--data.num_test=500", "--model.generator.channels=[8,8]", SMALL_NETWORKS[1])
    short = ("fit", "--config", "configs/stacked_mnist_gan.yaml", *SHORT, *few, f"--data.root={real_data}")
    early = run(*short)
    assert early.status == 2
    assert f"there is no file {wanted}" in early.err.replace("\n", " ")
    experiment = tmp_path / "stacked.yaml"
    text = (ROOT / "configs" / "stacked_mnist_gan.yaml").read_text()
    text = text.replace(wanted, str(tmp_path / made))  # there is no best one after two batches
    experiment.write_text(text.replace("num_samples: 26000", "num_samples: 500"))
    budget = ("--config", "configs/fast/stacked_mnist_gan.yaml")
    for overlay, options in (
        ((), short[3:]),
        (budget, [option for option in short[3:] if "discriminator" not in option]),
    ):
        result = run("fit", "--config", str(experiment), *overlay, *options)
        assert result.status == 0, result.err
        assert "test/modes " in result.out


AFTER = {"configs/fast/ring_collapse.yaml": "configs/ring_gan.yaml"}


@pytest.mark.parametrize("overlay", BUDGETS)
def test_budget_applies_to_its_experiment(run, overlay: str) -> None:
    experiment = AFTER.get(overlay, overlay.replace("fast/", ""))
    result = run("fit", "--config", experiment, "--config", overlay, "--print_config")
    assert result.status == 0, result.err
    assert "max_epochs: 300" not in result.out
    assert "max_epochs: 1200" not in result.out
    assert "LastCheckpoint" in result.out


@pytest.mark.parametrize("overlay", METRICS)
@pytest.mark.parametrize("experiment", ["cifar10_gan.yaml", "digits_gan.yaml"])
def test_metrics_apply_to_an_experiment_and_can_be_built(
    run, monkeypatch, inception_weights, experiment: str, overlay: str
) -> None:
    """A run of them takes too long here; that of fewer samples is in ``tests/cli/test_metrics.py``."""
    result = run("fit", "--config", f"configs/{experiment}", "--config", overlay, "--print_config")
    assert result.status == 0, result.err
    callbacks = yaml.safe_load(result.out)["trainer"]["callbacks"]
    names = [callback["class_path"].rsplit(".")[-1] for callback in callbacks]
    assert names.count("GenerativeMetrics") == 1
    assert {"LastCheckpoint", "SampleGrid", "Curves"} <= set(names)
    if experiment != "cifar10_gan.yaml":
        return
    monkeypatch.setenv("LIT_IMPROVED_GAN_INCEPTION", str(inception_weights))
    parser = ArgumentParser()
    parser.add_argument("--made", type=Callback)
    with pytest.warns(UserWarning, match="compares with no paper"):
        made = parser.instantiate(parser.parse_object({"made": callbacks[names.index("GenerativeMetrics")]})).made
    assert [metric.key(metric.measure)[:3] for metric in made.metrics] == ["inc", "fid"]
    assert made.num_samples >= 2000


def test_every_experiment_is_run() -> None:
    run_above = ("digits", "mnist", "cifar10", "svhn", "stacked_mnist", *KNOWN_MODES)
    assert all(name.startswith(run_above) for name in EXPERIMENTS)


UNSUPERVISED_ONLY = {  # and what an experiment with labels says of them
    "hinge": "`discriminator_loss` is called with (labelled, labels, unlabelled, fake)",
    "least_squares": "`discriminator_loss` is called with (labelled, labels, unlabelled, fake)",
    "packing": "a pack of examples has no class",
}


@pytest.mark.parametrize("experiment", ["digits.yaml", "digits_gan.yaml"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_applies_and_keeps_the_callbacks(run, tmp_path, experiment: str, overlay: str) -> None:
    result = run("fit", "--config", f"configs/{experiment}", "--config", overlay, *SHORT)
    if experiment == "digits.yaml" and overlay.endswith(tuple(f"{name}.yaml" for name in UNSUPERVISED_ONLY)):
        assert result.status == 2
        assert UNSUPERVISED_ONLY[Path(overlay).stem] in result.err
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
    if path.startswith("configs/technique/")
    and "_points" not in path  # another form of the same technique
    and not path.endswith(tuple(f"{name}.yaml" for name in UNSUPERVISED_ONLY))
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
