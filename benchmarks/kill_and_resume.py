"""Whether a run that is killed and resumed ends as one that was not.

    python benchmarks/kill_and_resume.py [--kills 4] [--seed 0] [--folder runs/kill_and_resume]

Trains the digits through the command line: with few labels and unsupervised, plainly and with every technique on, to a
``max_epochs`` or a ``max_steps``, with no or two worker processes. Each experiment runs once to its end. Then it is run
again and killed (SIGKILL) at a random batch within an epoch, at an epoch's end or after a validation, or some
milliseconds later, when it may be saving; resumed from its newest checkpoint under another global seed; killed again,
``--kills`` times in a row, and resumed to its end. That has to equal the uninterrupted run's (without workers) in every
tensor of the last checkpoint and of the best, bit for bit, and in all counts. One process at a time, about ten minutes.
What is done is kept in the folder, so the script may itself be killed and started again. Writes
benchmarks/results/kill_and_resume.json.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from command import ROOT

import lit_improved_gan.cli.launch  # noqa: F401  # all that takes seconds, before the forks
from lit_improved_gan.cli import main

TECHNIQUES = ["feature_matching", "minibatch_discrimination", "virtual_batch_norm", "historical_averaging"]
TECHNIQUES += ["label_smoothing", "r1", "spectral_norm"]
PER_EPOCH, VALIDATE = 9, 3
ENDS = {"max_epochs": ("--trainer.max_epochs=8", 72), "max_steps": ("--trainer.max_steps=67", 67)}
MOMENTS = ["batch", "epoch", "validation"]
SAVE = "{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {every_n_train_steps: 3, save_top_k: -1, "
SAVE += "filename: '{step}'}}"


def command(experiment: str, techniques: bool, end: str, workers: int, overlay: Path, runs: Path) -> list[str]:
    files = [f"{experiment}.yaml", *([f"technique/{name}.yaml" for name in TECHNIQUES] if techniques else [])]
    other = "max_steps" if end == "max_epochs" else "max_epochs"
    return [
        "fit", *(f"--config={ROOT / 'configs' / name}" for name in files), f"--config={overlay}", f"--runs={runs}",
        "--name=run", "--trainer.accelerator=cpu", f"--trainer.check_val_every_n_epoch={VALIDATE}", "--threads=1",
        "--data.val_size=300", f"--data.num_workers={workers}", f"--trainer.{other}=-1", ENDS[end][0],
        "--trainer.enable_progress_bar=false",
    ]  # fmt: skip


def run(arguments: list[str], log: Path) -> int:
    """The command in a process of its own, forked from this one, which saves the time of the imports.

    Returns:
        its exit status; -9 where it was killed.
    """
    child = os.fork()
    if child == 0:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        status = 99
        try:
            status = main(arguments)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def overlay(folder: Path, kill: dict[str, Any] | None) -> Path:
    """Checkpoints every few batches and at each epoch's end, and what kills the run."""
    callbacks: list[Any] = [yaml.safe_load(SAVE)]
    if kill:
        callbacks.append({"class_path": "killed.Kill", "init_args": kill})
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"callbacks+": callbacks}}))
    return path


def newest(folder: Path) -> tuple[Path | None, int]:
    """The newest checkpoint of a run, and after how many batches it was saved."""
    found = sorted((folder / "checkpoints").glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    steps = [(torch.load(path, weights_only=True)["global_step"], path) for path in found if path.stem != "best"]
    return (max(steps)[1], max(steps)[0]) if steps else (None, 0)


def tensors(tree: Any, folder: str, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and count of a checkpoint by its place, wherever the run lies."""
    if isinstance(tree, dict | list | tuple):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from tensors(value, folder, f"{key}/{str(name).replace(folder, '')}")
    elif isinstance(tree, torch.Tensor) or key.startswith(("/improved_gan", "/global_step", "/epoch", "/loops")):
        yield key, tree


def differences(a: Path, b: Path) -> tuple[int, list[str]]:
    """How many tensors and counts the last and the best checkpoints of two runs hold, and those that differ."""
    compared, wrong = 0, []
    for name in ("last.ckpt", "best.ckpt"):
        files = [folder / "checkpoints" / name for folder in (a, b)]
        if not any(file.is_file() for file in files):
            continue
        found = [
            dict(tensors(torch.load(file, weights_only=True), str(folder)))
            for file, folder in zip(files, (a, b), strict=True)
        ]
        compared += len(found[0])
        for key in found[0].keys() | found[1].keys():
            x, y = found[0].get(key), found[1].get(key)
            same = torch.equal(x, y) if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) else x == y
            wrong += [] if same else [f"{name}{key}"]
    return compared, wrong


def trial(folder: Path, setting: tuple[str, bool, str, int], kills: int, seed: str) -> dict[str, Any]:
    """Kill one run and resume it, ``kills`` times, and compare its end."""
    experiment, techniques, end, workers = setting
    rng = random.Random(seed)
    reference = folder / f"{experiment}-{'all' if techniques else 'plain'}-{end}"
    if not (reference / "done").exists():
        shutil.rmtree(reference, ignore_errors=True)
        reference.mkdir(parents=True)
        arguments = command(experiment, techniques, end, 0, overlay(reference, None), reference)
        if run(arguments, reference / "log"):
            sys.exit((reference / "log").read_text())
        (reference / "done").touch()
    own = folder / "trial"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    run_folder, last = own / "run" / "0", ENDS[end][1]
    made: list[dict[str, Any]] = []
    for i in range(kills + 1):
        path, done = newest(run_folder)
        moment, kill = rng.choice(MOMENTS), None
        if i < kills:
            first = {"batch": done + 1, "epoch": done + 1, "validation": done + 1}[moment]
            whole = {"batch": last - 2, "epoch": last - PER_EPOCH, "validation": last - VALIDATE * PER_EPOCH}[moment]
            moment, whole = (moment, whole) if whole >= first else ("batch", last - 2)
            batch = rng.randint(min(first, whole), min(whole, first + 20))
            kill = {"batch": batch, "moment": moment, "delay": rng.choice([0.0, 0.003, 0.01, 0.03])}
        arguments = command(experiment, techniques, end, workers, overlay(own, kill), own)
        if path:
            arguments += ["--ckpt_path", str(path), f"--seed_everything={rng.randint(1, 10**6)}"]
        elif i:  # killed before the first checkpoint: there is nothing to resume
            shutil.rmtree(own / "run", ignore_errors=True)
        status = run(arguments, own / "log")
        if kill:
            made.append({**kill, "from": done, "by": path.name if path else "the start", "killed": status == -9})
        if status not in ((-9, 0) if kill else (0,)):
            sys.exit((own / "log").read_text())
        if status == 0:
            break
    compared, wrong = differences(reference / "run" / "0", run_folder)
    return {"setting": setting, "kills": made, "compared": compared, "differ": sorted(wrong)}


def main_() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take every n-th kind of run alone")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/kill_and_resume.json")
    parser.add_argument("--folder", type=Path, default=Path("runs/kill_and_resume"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder.resolve() / "trials.jsonl"
    trials = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    settings = list(itertools.product(["digits", "digits_gan"], [False, True], ENDS, [0, 2]))
    for i, setting in enumerate(settings):
        if i % options.every or any(one["setting"] == list(setting) for one in trials):
            continue
        start = time.time()
        one = trial(options.folder.resolve(), setting, options.kills, f"{options.seed}-{i}")
        one |= {"setting": list(setting), "seconds": round(time.time() - start, 1)}
        trials.append(one)
        with kept.open("a") as file:
            file.write(json.dumps(one) + "\n")
        print(
            setting,
            [f"{k['moment']} {k['batch']} from {k['from']}" for k in one["kills"]],
            one["differ"][:3] or "equal",
        )
    kills = [kill for one in trials for kill in one["kills"] if kill["killed"]]
    results = {
        "command": f"python benchmarks/kill_and_resume.py --kills {options.kills} --seed {options.seed}",
        "minutes": round(sum(one["seconds"] for one in trials) / 60, 1),
        "runs": len(trials),
        "kills": len(kills),
        "kills by moment": Counter(kill["moment"] for kill in kills),
        "kills within an epoch of the state resumed": sum(kill["from"] % PER_EPOCH > 0 for kill in kills),
        "runs that differ": sum(bool(one["differ"]) for one in trials),
        "trials": trials,
    }
    options.results.write_text(json.dumps(results, indent=1) + "\n")
    print({name: value for name, value in results.items() if name != "trials"})


if __name__ == "__main__":
    main_()
