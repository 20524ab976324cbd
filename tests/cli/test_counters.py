"""Training batches are what every count, file and axis means."""

import csv

import pytest
import torch
from helpers import SMALL

DIGITS = ("fit", "-c", "configs/digits.yaml", "--trainer.accelerator=cpu", "--trainer.max_epochs=-1")


@pytest.mark.parametrize(("d", "g"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_max_steps_counts_batches_whatever_the_ratio(run, tmp_path, d: int, g: int) -> None:
    result = run(
        *DIGITS, "--trainer.max_steps=20", f"--model.d_updates_per_batch={d}", f"--model.g_updates_per_batch={g}",
        "--data.batch_size=30", "--trainer.log_every_n_steps=5",
    )  # fmt: skip
    assert result.status == 0, result.err
    state = torch.load(tmp_path / "runs/digits/0/checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == 20
    assert state["improved_gan"] | {"seed": 0, "_mid_batch": False} == {
        "batches": 20, "d_updates": 20 * d, "g_updates": 20 * g, "seed": 0, "_mid_batch": False,
    }  # fmt: skip
    steps = [group["state"][0]["step"].item() for group in state["optimizer_states"]]
    assert steps == [20 * d, 20 * g]
    with (tmp_path / "runs/digits/0/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["d_updates"]]
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20]
    assert [float(row["d_updates"]) for row in rows] == [d * k for k in (5, 10, 15, 20)]
    assert [float(row["g_updates"]) for row in rows] == [g * k for k in (5, 10, 15, 20)]
    assert (tmp_path / "runs/digits/0/samples/batch-000020.png").is_file()


def test_every_n_train_steps_saves_at_multiples(run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text(
        "trainer: {callbacks+: [{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: "
        "{every_n_train_steps: 7, save_top_k: -1, filename: '{step}'}}]}"
    )
    assert run(*DIGITS, "-c", "overlay.yaml", "--trainer.max_steps=22").status == 0
    names = sorted(path.name for path in (tmp_path / "runs/digits/0/checkpoints").glob("step=*"))
    assert names == ["step=14.ckpt", "step=21.ckpt", "step=7.ckpt"]
    for name in names:
        saved = torch.load(tmp_path / "runs/digits/0/checkpoints" / name, weights_only=True)
        assert saved["improved_gan"]["batches"] == int(name[5:-5])


def test_schedules_follow_the_batches(run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text(
        "model: {init_args: {generator_scheduler: "
        "{class_path: lit_improved_gan.LinearDecay, init_args: {start: 4, end: 8}}}}"
    )
    result = run(*DIGITS, "-c", "overlay.yaml", "--trainer.max_steps=10", "--trainer.log_every_n_steps=1",
                 "--model.d_updates_per_batch=2", "--data.batch_size=30")  # fmt: skip
    assert result.status == 0, result.err
    with (tmp_path / "runs/digits/0/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["lr/generator"]]
    rates = [float(row["lr/generator"]) for row in rows]
    assert rates == pytest.approx([0.003 * f for f in (1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0)], abs=1e-9)
    assert [float(row["lr/discriminator"]) for row in rows] == pytest.approx([0.003] * 10)


def test_resuming_goes_on_in_the_directory_and_appends(run, tmp_path) -> None:
    assert run("fit", "-c", "configs/digits.yaml", *SMALL).status == 0
    before = (tmp_path / "runs/digits/0/metrics.csv").read_text().splitlines()
    result = run("fit", "-c", "configs/digits.yaml", *SMALL, "--ckpt_path=last", "--trainer.max_steps=8")
    assert result.status == 0, result.err
    assert "run directory: runs/digits/0" in result.out
    with (tmp_path / "runs/digits/0/metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/d_loss"]]
    assert steps == [2, 4, 6, 8]
    assert len(before) < len((tmp_path / "runs/digits/0/metrics.csv").read_text().splitlines())


@pytest.mark.parametrize("config", ["digits", "digits_gan", "digits_supervised"])
@pytest.mark.parametrize("stop", [4, 9, 13])  # within an epoch, at its end, within the next
def test_a_resumed_run_equals_an_uninterrupted_one(run, tmp_path, config: str, stop: int) -> None:
    options = ("-c", f"configs/{config}.yaml", "--trainer.max_epochs=-1", "--trainer.accelerator=cpu")
    assert run("fit", *options, "--trainer.max_steps=15").status == 0
    assert run("fit", *options, f"--trainer.max_steps={stop}").status == 0
    result = run("fit", *options, "--ckpt_path=last", "--trainer.max_steps=15", "--seed_everything=99")
    assert result.status == 0, result.err
    whole, resumed = (
        torch.load(tmp_path / f"runs/{config}/{i}/checkpoints/last.ckpt", weights_only=True) for i in range(2)
    )
    assert resumed["global_step"] == 15
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][key]), key
    for a, b in zip(whole["optimizer_states"], resumed["optimizer_states"], strict=True):
        for number, state in a["state"].items():
            for name, value in state.items():
                assert torch.equal(value, b["state"][number][name]), (number, name)
