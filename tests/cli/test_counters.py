"""Training batches are what every count, file and axis means."""

import csv
import sys

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
    counts = {"batches": 20, "d_updates": 20 * d, "g_updates": 20 * g, "seed": 0, "mid_batch": False}
    assert counts.items() <= state["improved_gan"].items()
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


def steps(n: int) -> tuple[str, str]:
    return "--trainer.max_epochs=-1", f"--trainer.max_steps={n}"


def epochs(n: int) -> tuple[str, str]:
    return f"--trainer.max_epochs={n}", "--trainer.max_steps=-1"


def same(a: object, b: object) -> bool:
    """Equal, bit for bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b


@pytest.mark.parametrize(
    ("config", "stops", "end"),
    [
        ("digits", [steps(14)], steps(22)),  # within an epoch
        ("digits", [steps(18)], steps(22)),  # at its end, where it validates
        ("digits", [steps(9)], epochs(3)),  # at its end, where it does not
        ("digits", [epochs(2)], steps(22)),
        ("digits", [epochs(1), steps(18), steps(20)], epochs(3)),  # more than once
        ("digits_gan", [steps(5)], steps(14)),
        ("digits_supervised", [steps(5)], steps(22)),
        ("digits_supervised", [epochs(2)], epochs(3)),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(run, tmp_path, config: str, stops: list, end: tuple) -> None:
    """In every tensor, every logged value, the best checkpoint and the result."""
    options = ["-c", f"configs/{config}.yaml", "--trainer.accelerator=cpu", "--trainer.log_every_n_steps=4"]
    if config != "digits_gan":
        options.append("--trainer.check_val_every_n_epoch=2")
    if config == "digits_supervised":
        options.append("--data.batch_size=5")  # 10 batches an epoch
    results = [run("fit", *options, *end)]
    for i, limit in enumerate([*stops, end]):
        results.append(run("fit", *options, *limit, *(["--ckpt_path=last", "--seed_everything=99"] if i else [])))
    assert all(result.status == 0 for result in results), results[-1].err
    whole, resumed = (result.out.splitlines() for result in (results[0], results[-1]))
    assert [line for line in whole if "error: " in line] == [line for line in resumed if "error: " in line]
    folders = [tmp_path / "runs" / config / str(i) for i in range(2)]
    for name in ("last", *(["best"] if config != "digits_gan" else [])):
        a, b = (torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True) for folder in folders)
        for part in ("global_step", "epoch", "state_dict", "optimizer_states", "lr_schedulers", "improved_gan"):
            assert same(a[part], b[part]), (name, part)
    logged = []
    for folder in folders:
        with (folder / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        tests = {name for name in rows[0] if name.startswith("test/")}  # each part of the run ends with one
        logged.append([row for row in rows if not any(row[name] for name in tests)])
    assert logged[0] == logged[1]


def test_rows_after_the_checkpoint_of_a_killed_run_are_dropped(run, tmp_path) -> None:
    folder = tmp_path / "runs/digits/0"
    assert run("fit", "-c", "configs/digits.yaml", *SMALL).status == 0
    last = (folder / "checkpoints/last.ckpt").read_bytes()
    assert run("fit", "-c", "configs/digits.yaml", *SMALL, "--ckpt_path=last", "--trainer.max_steps=8").status == 0
    (folder / "checkpoints/last.ckpt").write_bytes(last)  # as if it had been killed before the next save
    assert run("fit", "-c", "configs/digits.yaml", *SMALL, "--ckpt_path=last", "--trainer.max_steps=6").status == 0
    with (folder / "metrics.csv").open() as file:
        rows = [int(row["step"]) for row in csv.DictReader(file) if row["train/d_loss"]]
    assert rows == [2, 4, 6]
    assert (folder / "config-from-000004.yaml").is_file()


def test_what_is_logged_is_on_disk_at_once(run, tmp_path) -> None:
    (tmp_path / "watch.py").write_text(
        "from lightning.pytorch import Callback\n"
        "class Watch(Callback):\n"
        "    def on_train_batch_start(self, trainer, module, batch, batch_idx):\n"
        "        lines = open('runs/digits_gan/0/metrics.csv').read().splitlines() if trainer.global_step > 1 else []\n"
        "        open('seen', 'a').write(f'{len(lines)} ')\n"
    )
    (tmp_path / "overlay.yaml").write_text("trainer: {callbacks+: [{class_path: watch.Watch}]}")
    sys.path.insert(0, str(tmp_path))
    try:
        result = run("fit", "-c", "configs/digits_gan.yaml", "-c", "overlay.yaml", *SMALL)
    finally:
        sys.path.remove(str(tmp_path))
    assert result.status == 0, result.err
    assert (tmp_path / "seen").read_text() == "0 0 2 2 "  # a head and a row, after the second of four batches
    assert (tmp_path / "runs/digits_gan/0/curves.png").is_file()


VALIDATED = ("--trainer.accelerator=cpu", "--trainer.check_val_every_n_epoch=1", "--trainer.limit_val_batches=2")


@pytest.mark.parametrize("absolute", [False, True])
def test_a_moved_run_keeps_its_own_best(run, tmp_path, absolute: bool) -> None:
    """Where it was, a run with another best checkpoint lies now."""
    assert run("fit", "-c", "configs/digits.yaml", *VALIDATED, "--trainer.max_epochs=6").status == 0
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert run("fit", "-c", "configs/digits.yaml", *VALIDATED, "--trainer.max_epochs=1").status == 0
    best = (tmp_path / "moved/digits/0/checkpoints/best.ckpt").read_bytes()
    other = (tmp_path / "runs/digits/0/checkpoints/best.ckpt").read_bytes()
    last = "moved/digits/0/checkpoints/last.ckpt"
    # one batch more, and no validation after it: the best stays
    result = run("fit", "--ckpt_path", tmp_path / last if absolute else last, *steps(55))
    assert result.status == 0, result.err
    assert "moved/digits/0/checkpoints/best.ckpt (best val/error_percent: " in result.out
    assert "(best val/error_percent: 0)" not in result.out
    assert (tmp_path / "moved/digits/0/checkpoints/best.ckpt").read_bytes() == best
    assert (tmp_path / "runs/digits/0/checkpoints/best.ckpt").read_bytes() == other


def test_going_on_from_an_earlier_state_keeps_the_later_one(run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text(
        "trainer: {callbacks+: [{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: "
        "{every_n_train_steps: 3, save_top_k: -1, filename: '{step}'}}]}"
    )
    assert run("fit", "-c", "configs/digits.yaml", "-c", "overlay.yaml", *SMALL, "--trainer.max_steps=7").status == 0
    folder = tmp_path / "runs/digits/0"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = run("fit", "--ckpt_path", "runs/digits/0/checkpoints/step=3.ckpt", "--trainer.max_steps=5")
    assert result.status == 0, result.err
    assert "runs/digits/0 has gone on since" in result.out
    assert "run directory: runs/digits/1" in result.out
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
