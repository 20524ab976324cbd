"""``--seeds``: several seeds of one experiment as one batched model."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers import SMALL, expect

FIT = ("fit", "-c", "configs/digits.yaml", *SMALL)
# in float64, and without the noise inside the networks, which is drawn for all members at once
EXACT = (
    "--trainer.accelerator=cpu",
    "--trainer.precision=64-true",
    "--trainer.max_epochs=-1",
    "--trainer.max_steps=15",
    "--model.generator.hidden=[30,20]",
    "--model.discriminator.hidden=[30,20]",
    "--model.discriminator.input_noise=0",
    "--model.discriminator.hidden_noise=0",
)
SEEDS = (7, 2, 5)
LAST = "checkpoints/last.ckpt"


def states(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def of_member(state: dict[str, torch.Tensor], key: str, i: int) -> torch.Tensor:
    """Member i's part of what a module alone has as ``key``; a reference batch is all members'."""
    if "reference_input" in key:
        return state[key]
    network, name = re.fullmatch(r"(\w+_average\.network|generator|discriminator)\.(.+)", key).groups()
    plain = name.replace(".", "/")
    stacked = state.get(f"{network}.weights.{plain}", state.get(f"{network}.{plain}"))
    return stacked[i]


@pytest.mark.parametrize(
    ("experiment", "techniques"),
    [
        ("digits", ()),
        ("digits_gan", ()),
        ("digits_gan", ("virtual_batch_norm", "historical_averaging", "r1", "spectral_norm")),
    ],
)
def test_members_are_what_each_seed_alone_becomes(run, tmp_path, experiment: str, techniques: tuple[str, ...]) -> None:
    overlays = [part for name in techniques for part in ("-c", f"configs/technique/{name}.yaml")]
    fit = ("fit", "-c", f"configs/{experiment}.yaml", *overlays, *EXACT)
    together = run(*fit, f"--seeds={list(SEEDS)}", "--name=together")
    assert together.status == 0, together.err
    state = states(tmp_path / "runs/together/0" / LAST)
    samples = run("predict", "--ckpt_path", f"runs/together/0/{LAST}", "--data.num_samples=7", "--seed_everything=1")
    assert samples.status == 0, samples.err
    drawn = np.load(tmp_path / "runs/together/0/predict-0/predictions/samples.npz")["images"]
    for i, seed in enumerate(SEEDS):
        alone = run(*fit, f"--seed_everything={seed}", f"--name=alone{seed}")
        assert alone.status == 0, alone.err
        expected = states(tmp_path / f"runs/alone{seed}/0" / LAST)
        compared = [key for key in expected if re.match(r"(generator|discriminator)(_average\.network)?\.", key)]
        assert len(compared) > 30
        for key in compared:
            found, value = of_member(state, key, i).double(), expected[key].double()
            assert (found - value).abs().max() <= 1e-9 * value.abs().max().clamp(min=1), key
        run("predict", "--ckpt_path", f"runs/alone{seed}/0/{LAST}", "--data.num_samples=7", "--seed_everything=1")
        own = np.load(tmp_path / f"runs/alone{seed}/0/predict-0/predictions/samples.npz")["images"]
        assert np.array_equal(drawn[i::3], own[i::3])
        if experiment == "digits":
            error = re.search(r"^test error: (\d+\.\d\d %)$", alone.out, re.MULTILINE)[1]
            assert f"\n  seed {seed}: {error}\n" in together.out


def test_the_result_is_said_and_test_and_validate_repeat_it(run, tmp_path, caplog) -> None:
    result = run(*FIT, "--seeds=[3,1]")
    assert result.status == 0, result.err
    pattern = r"test error: ([\d.]+) %\n  seed 3: ([\d.]+) %\n  seed 1: ([\d.]+) %\n  their ensemble: ([\d.]+) %\n"
    assert "50 of 997 training images have labels, for each of 2 seeds." in caplog.text
    said = re.search(pattern, result.out)
    mean, *each, _ = map(float, said.groups())
    assert mean == pytest.approx(sum(each) / 2, abs=0.006)
    again = run("test", "--ckpt_path", f"runs/digits/0/{LAST}")
    assert again.status == 0, again.err
    assert said[0] in again.out
    validated = run("validate", "--ckpt_path", f"runs/digits/0/{LAST}")
    assert validated.status == 0, validated.err
    assert re.search(pattern.replace("test", "validation"), validated.out)


def test_seeds_stand_in_a_file_too_and_are_kept(run, tmp_path) -> None:
    (tmp_path / "seeds.yaml").write_text("seeds: [4, 6]\n")
    assert run(*FIT, "-c", "seeds.yaml").status == 0
    assert run(*FIT, "--seeds", "[4,6]").status == 0
    assert run("fit", "-c", "runs/digits/1/config.yaml").status == 0
    kept = yaml.safe_load((tmp_path / "runs/digits/0/config.yaml").read_text())
    assert kept["seeds"] == [4, 6]
    assert kept["seed_everything"] == 4
    first, *others = (states(tmp_path / f"runs/digits/{i}" / LAST) for i in range(3))
    for other in others:
        assert all(torch.equal(first[key], other[key]) for key in first)
    again = run("fit", "-c", "runs/digits/0/config.yaml", "--seeds=[6,4]")
    assert again.status == 0, again.err
    assert torch.load(tmp_path / "runs/digits/3" / LAST, weights_only=True)["improved_gan"]["seeds"] == [6, 4]


def test_a_resumed_run_equals_an_uninterrupted_one(run, tmp_path) -> None:
    assert run(*FIT, "--seeds=[3,1]").status == 0
    resumed = run("fit", "--ckpt_path", f"runs/digits/0/{LAST}", "--trainer.max_steps=12")
    assert resumed.status == 0, resumed.err
    assert "run directory: runs/digits/0" in resumed.out
    whole = run(*FIT, "--seeds=[3,1]", "--trainer.max_steps=12")
    assert whole.status == 0, whole.err
    ours, theirs = (states(tmp_path / f"runs/digits/{i}" / LAST) for i in range(2))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    logged = [list(csv.DictReader((tmp_path / f"runs/digits/{i}/metrics.csv").open())) for i in range(2)]
    losses = [[(row["step"], row["train/d_loss"]) for row in rows if row["train/d_loss"]] for rows in logged]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


LIST = "--seeds should be a list of two seeds or more"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds=[]"], [LIST, "Found []"]),
        (["--seeds=[3]"], [LIST, "Found [3]", "--seed_everything"]),
        (["--seeds=3"], [LIST, "Found 3"]),
        (["--seeds=3,4"], [LIST, "Found 3,4"]),
        (["--seeds=[3,4.5]"], [LIST, "Found [3, 4.5]"]),
        (["--seeds=[true,false]"], [LIST, "Found [True, False]"]),
        (["--seeds=[3,4,3]"], ["--seeds", "different", "Found [3, 4, 3]", "repeated"]),
        (["--seeds=[3,-1]"], ["--seeds", "0..4294967295", "Found [3, -1]"]),
        (["--seeds=[3,4294967296]"], ["--seeds", "0..4294967295"]),
        (["--seeds=[3,4]", "--seed_everything=5"], ["--seeds [3, 4]", "--seed_everything 5", "leave out one"]),
        (["--seeds=[3,4]", "--seed_everything", "4"], ["--seeds [3, 4]", "--seed_everything 4"]),
        (["--seeds=[3,4]", "--model.seed=5"], ["--seeds [3, 4]", "--model.seed 5", "ignored", "leave it out"]),
        (["--seeds=[3,4]", "--data.label_seed=0"], ["--seeds [3, 4]", "--data.label_seed 0", "ignored"]),
        (["--seeds=[3,4]", "--data.seeds=[3,4]"], ["--seeds [3, 4]", "--data.seeds [3, 4]", "ignored"]),
        (["--data.seeds=[3,4]"], ["--data.seeds", "Found [3, 4]", "give it as --seeds"]),
        (["--seeds=[3,4]", "--model.generator.norm=lit_improved_gan.VirtualBatchNorm"],
         ["no reference batch", "ReferenceBatch callback"]),
        (["--seeds=[3,4]", "--data.labels_per_class=500"], ["labels_per_class=500"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("-") else "",
)  # fmt: skip
def test_what_cannot_be_is_refused(run, tmp_path, arguments: list[str], words: list[str]) -> None:
    expect(run(*FIT, *arguments), *words)
    assert not list((tmp_path / "runs").glob("*/*"))


def test_the_first_seed_may_be_named_twice(run) -> None:
    assert run(*FIT, "--seeds=[3,4]", "--seed_everything=3").status == 0


def test_other_modules_and_data_are_refused(run, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_seeds.py").write_text(
        "from lightning.pytorch import LightningDataModule\n"
        "from lit_improved_gan import MLPDiscriminator, SemiSupervisedGAN\n"
        "class Mine(SemiSupervisedGAN): pass\n"
        "class Other(LightningDataModule): pass\n"
        "class Peeks(MLPDiscriminator):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x + float(x.mean()))\n"
    )
    for fit in (("fit", "-c", "configs/digits_classifier.yaml", *SMALL), (*FIT, "--model=own_seeds.Mine")):
        kind = "Mine" if "--model=own_seeds.Mine" in fit else "Classifier"
        expect(run(*fit, "--seeds=[3,4]"), "--seeds works with GAN and SemiSupervisedGAN", f"--model {kind}", "one by")
    expect(run(*FIT, "--data=own_seeds.Other", "--seeds=[3,4]"), "--seeds needs an ImageDataModule", "--data Other")
    result = run(*FIT, "--model.discriminator=own_seeds.Peeks", "--seeds=[3,4]")
    expect(result, "side by side", "cannot run Peeks", ".item()", "one by one")
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_checkpoint_goes_with_its_seeds_alone(run, tmp_path) -> None:
    assert run(*FIT, "--seeds=[3,1]").status == 0
    assert run(*FIT, "--name=one").status == 0
    side, one = f"runs/digits/0/{LAST}", f"runs/one/0/{LAST}"
    more = ("--trainer.max_steps=8", "--ckpt_path")
    for seeds in ("[1,3]", "[3,1,2]"):
        expect(run("fit", *more, side, f"--seeds={seeds}"), "the seeds [3, 1]", "Give --seeds [3, 1]")
    expect(run("test", "-c", "configs/digits.yaml", "--ckpt_path", side), "no --seeds", "Give --seeds [3, 1]")
    expect(run("fit", *more, one, "--seeds=[3,1]"), "one seed", "Found --seeds [3, 1]", "Leave --seeds out")
    expect(run("fit", *more, side, "--seed_everything=1"), "--seeds [3, 1]", "--seed_everything 1")
    option = "--model.discriminator_loss.unlabelled_weight=0.33"
    expect(run("fit", *more, side, option), "--model.discriminator_loss.unlabelled_weight: given 0.33", "has 4.0")
