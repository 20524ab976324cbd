"""GenerativeMetrics through the command line: alone, in two processes, and with the Inception network on CIFAR-10."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT, SMALL

from lit_improved_gan import InceptionFeatures
from lit_improved_gan.metrics import load_classifier

OVERLAY = """
trainer:
  callbacks+:
    - class_path: lit_improved_gan.GenerativeMetrics
      init_args:
        extractor:
          class_path: lit_improved_gan.NetworkFeatures
          init_args:
            network: lit_improved_gan.metrics.load_classifier
            name: digits
            layers: ["", layers.4]
        metrics:
          - class_path: lit_improved_gan.InceptionScore
            init_args: {layer: "", splits: 4}
          - class_path: lit_improved_gan.FrechetInceptionDistance
            init_args: {layer: ""}
          - class_path: lit_improved_gan.KernelInceptionDistance
            init_args: {layer: layers.4, subsets: 3, subset_size: 30, max_samples: 150}
          - class_path: lit_improved_gan.PrecisionRecall
            init_args: {layer: layers.4, max_samples: 150}
        num_samples: 101
        every_n_epochs: 1
        val_samples: 77
        num_real: 133
        batch_size: 20
        cache: cache
"""
WATCH = '''
"""Writes down what each process has logged."""

import json
import os

from lightning.pytorch import Callback


class Watch(Callback):
    def _write(self, trainer, stage):
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(stage)}
        assert found
        with open(f"{os.environ['WATCHED']}-{stage}-{trainer.global_rank}.json", "w") as file:
            json.dump(found, file)

    def on_train_end(self, trainer, pl_module):
        self._write(trainer, "val")

    def on_test_end(self, trainer, pl_module):
        self._write(trainer, "test")
'''
TWO = (
    "--trainer.devices=2",
    "--trainer.strategy=ddp_find_unused_parameters_true",
    "--trainer.callbacks+=watch.Watch",
)


def records(folder: Path, run: str = "runs/digits_gan/0") -> list[dict]:
    return json.loads((folder / run / "metrics.json").read_text())


def values(record: dict) -> dict[str, float]:
    return {name: value for name, value in record.items() if name.startswith(("val/", "test/"))}


def weights(folder: Path, number: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"runs/digits_gan/{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"]


# --- one process ---


def test_an_overlay_adds_measures_and_leaves_the_run_as_it_is(run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text(OVERLAY)
    command = ("fit", "-c", "configs/digits_gan.yaml", *SMALL, "--trainer.max_steps=15")
    assert run(*command).status == 0
    result = run(*command, "-c", "overlay.yaml")
    assert result.status == 0, result.err
    assert_same(weights(tmp_path, 0), weights(tmp_path, 1))
    kept = records(tmp_path, "runs/digits_gan/1")
    assert [record["batches"] for record in kept] == [12, 15, 15]  # the second epoch was cut off by max_steps
    header = (tmp_path / "runs/digits_gan/1/metrics.csv").read_text().splitlines()[0]
    assert {"val/fid_digits", "test/kid_digits_layers_4", "test/classifier_score_digits"} <= set(header.split(","))
    assert kept[-1]["checkpoint"] == "runs/digits_gan/1/checkpoints/last.ckpt"

    assert run("test", "--ckpt_path", kept[-1]["checkpoint"]).status == 0  # options come from the run's config.yaml
    again = records(tmp_path, "runs/digits_gan/1")
    assert again[:-1] == kept
    assert again[-1] == kept[-1]


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_what_is_loaded_draws_from_no_generator(inception_weights) -> None:
    before = torch.get_rng_state()
    load_classifier()
    assert torch.equal(torch.get_rng_state(), before)
    for mode in ("tf1", "torchmetrics"):
        with pytest.warns(UserWarning, match="compares with no paper"):
            InceptionFeatures(inception_weights, mode)
        assert torch.equal(torch.get_rng_state(), before), mode


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("num_samples: 1", ["`num_samples` of GenerativeMetrics", "Found 1"]),
        ("num_sample: 100", ["'num_sample'"]),
        ("num_samples: 20", ["`subset_size` of KernelInceptionDistance", "20"]),
        ("num_real: 5000", ["`num_real` of GenerativeMetrics", "1297", "5000"]),
        ("real: trian", ["real", "trian"]),
        ("real: val", ["`real` of GenerativeMetrics", "no images in 'val'"]),
        ("extractor: lit_improved_gan.InceptionFeature", ["InceptionFeature"]),
        ("metrics: []", ["`metrics` of GenerativeMetrics"]),
        ("metrics: [lit_improved_gan.FrechetInceptionDistance]", ["`layer`", "'layers.4'", "'2048'"]),
    ],
)
def test_bad_options_are_said_before_training(run, tmp_path, options: str, words: list[str]) -> None:
    name = options.split(":", 1)[0]
    lines = OVERLAY.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith(f"        {name}:")), len(lines))
    deeper = (i for i in range(first + 1, len(lines)) if not lines[i].startswith("          "))
    lines[first : next(deeper, len(lines))] = [f"        {options}"]
    if options == "real: val":
        lines.remove("        num_real: 133")
    (tmp_path / "overlay.yaml").write_text("\n".join(lines))
    result = run("fit", "-c", "configs/digits_gan.yaml", "-c", "overlay.yaml", *SMALL)
    assert result.status == 2, result.out + result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err.split("error: ", 1)[1]
    assert not list((tmp_path / "runs").glob("*/*"))


# --- two processes ---


def in_two(folder: Path, name: str, *args: object, environment: dict[str, str] | None = None) -> str:
    """Run a command in two processes; what they logged is in files that begin with ``name``."""
    (folder / "watch.py").write_text(WATCH)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "WATCHED": str(folder / name)}
    done = subprocess.run(
        [sys.executable, "-m", "lit_improved_gan", *map(str, args)],
        cwd=folder, capture_output=True, text=True, timeout=500, check=False,
        env={**os.environ, **threads, **(environment or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def watched(folder: Path, name: str, stage: str) -> dict[str, float]:
    """What both processes logged, the same."""
    both = [json.loads((folder / f"{name}-{stage}-{rank}.json").read_text()) for rank in range(2)]
    assert both[0] == both[1]
    return both[0]


def agrees(logged: dict[str, float], record: dict) -> None:
    """Lightning logs in float32."""
    for name, value in values(record).items():
        assert logged[name] == pytest.approx(value, rel=1e-6), name


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> Path:
    """A run of two epochs in two processes, with measures of the digits' classifier."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "overlay.yaml").write_text(OVERLAY)
    config = ("-c", ROOT / "configs" / "digits_gan.yaml", "-c", "overlay.yaml")
    short = ("--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--data.batch_size=50")
    said = in_two(folder, "fit", "fit", *config, *short, *TWO)
    assert "sync_dist" not in said
    assert "non-contiguous" not in said
    return folder


def test_both_processes_log_the_same(two_processes) -> None:
    kept = records(two_processes)
    assert [next(iter(values(record))).split("/")[0] for record in kept] == ["val", "val", "test"]
    assert [record["samples"] for record in kept] == [77, 77, 101]
    assert {record["processes"] for record in kept} == {2}
    agrees(watched(two_processes, "fit", "val"), kept[1])
    agrees(watched(two_processes, "fit", "test"), kept[2])
    assert len(values(kept[2])) == 9


def test_two_processes_equal_one(two_processes, run, monkeypatch) -> None:
    """The same checkpoint, what was measured of the real images too."""
    kept = records(two_processes)[2]
    monkeypatch.chdir(two_processes)
    monkeypatch.syspath_prepend(two_processes)
    monkeypatch.setenv("WATCHED", str(two_processes / "one"))
    alone = ("--trainer.devices=1", "--trainer.strategy=auto")
    for cache in ("cache", "another"):
        config = Path("runs/digits_gan/0/config.yaml").read_text()
        assert config.count("cache: cache") == 1
        Path("one.yaml").write_text(config.replace("cache: cache", f"cache: {cache}"))
        result = run("test", "-c", "one.yaml", "--ckpt_path", kept["checkpoint"], *alone)
        assert result.status == 0, result.err
        found = records(two_processes)[-1]
        assert found["processes"] == 1
        assert found["checkpoint"] == kept["checkpoint"]
        assert found["real images"] == kept["real images"]
        for name, value in values(kept).items():
            assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-9), name


def test_test_repeats_the_value_of_the_end_of_fit_exactly(two_processes) -> None:
    kept = records(two_processes)
    fit = next(record for record in kept if record["processes"] == 2 and "test/fid_digits" in record)
    in_two(two_processes, "test", "test", "--ckpt_path", fit["checkpoint"])
    assert records(two_processes)[-1] == fit
    assert watched(two_processes, "test", "test") == watched(two_processes, "fit", "test")


def test_inception_score_and_fid_on_cifar10_in_two_processes(real_cifar10, inception_weights, tmp_path) -> None:
    configs = ROOT / "configs"
    few = {
        "num_samples: 2000": "num_samples: 15",
        "val_samples: 1000": "val_samples: 11",
        "num_real: 10000": "num_real: 15",
    }
    overlay = (configs / "metrics" / "fid768.yaml").read_text()
    for old, new in few.items():
        assert old in overlay
        overlay = overlay.replace(old, new)
    (tmp_path / "fid768.yaml").write_text(overlay)
    small = (
        "--model.generator.channels=[8,8,8]", "--model.discriminator.channels=[8,8]", "--model.init_images=20",
        "--data=lit_improved_gan.ArrayDataModule", f"--data.path={real_cifar10}", "--data.batch_size=10",
        "--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_test_batches=2",
        "--trainer.accelerator=cpu",
    )  # fmt: skip
    environment = {"LIT_IMPROVED_GAN_INCEPTION": str(inception_weights), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    config = ("-c", configs / "cifar10_gan.yaml", "-c", "fid768.yaml")
    in_two(tmp_path, "fit", "fit", *config, *small, *TWO, environment=environment)
    kept = records(tmp_path, "runs/cifar10_gan/0")
    assert [set(values(record)) for record in kept] == [
        {f"{stage}/{name}" for name in ("inception_score", "inception_score_std", "fid768")}
        for stage in ("val", "test")
    ]
    agrees(watched(tmp_path, "fit", "val"), kept[0])
    agrees(watched(tmp_path, "fit", "test"), kept[1])
    assert len(list((tmp_path / "cache" / "lit_improved_gan").iterdir())) == 1
    in_two(tmp_path, "test", "test", "--ckpt_path", kept[1]["checkpoint"], environment=environment)
    assert records(tmp_path, "runs/cifar10_gan/0")[-1] == kept[1]
    assert watched(tmp_path, "test", "test") == watched(tmp_path, "fit", "test")
