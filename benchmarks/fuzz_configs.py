"""Whether every mistake in a config file is said in one message that names it.

    python benchmarks/fuzz_configs.py [--count 600] [--seed 0] [--script 30]

Makes mistakes in the YAML files under configs/, one at a time (keys misspelt, missing, twice or surplus at every depth,
values of a wrong type or out of range, wrong class paths, empty sections, overlays in a wrong order), and runs ``fit``
on each: two batches with small networks, on the digits or on random images in place of MNIST, CIFAR-10 and SVHN, with
validation and test. Each has to run, or to end with exit status 2 and one message that names the key; a misspelt,
surplus or repeated key and a wrong class path may not run. All in one process; ``--script`` more through the console
script. Prints what is wrong and writes benchmarks/results/fuzz_configs.json.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from command import ROOT
from config_mutations import Case, mutations

from lit_improved_gan.callbacks import GracefulInterrupt
from lit_improved_gan.cli import app, main
from lit_improved_gan.data import DownloadedDataModule, Images

__all__ = ["experiments", "in_this_process", "judge", "overlays", "small_and_short"]

SECONDS = 20
_SMALL = {
    "channels": lambda old: [4] * len(old), "hidden": lambda old: [16] * len(old), "init_images": lambda old: 20,
    "every_n_epochs": lambda old: 1, "batch_size": lambda old: 20,
}  # fmt: skip


class Enough(BaseException):
    """A run that has shown what it is made to show."""


class Watch(GracefulInterrupt):
    """Ends a run after its third batch, whatever its limits have become."""

    def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step >= 3:
            raise Enough


def _shrink(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_shrink(value) for value in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _SMALL[key](value) if key in _SMALL else _shrink(value) for key, value in tree.items()}


def experiments() -> dict[str, Any]:
    """The shipped experiments, made small and short."""
    found = {}
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        tree = _shrink(yaml.safe_load(path.read_text()))
        tree["trainer"] |= {"max_epochs": 1, "accelerator": "cpu"}
        tree["trainer"] |= {f"limit_{part}_batches": 2 for part in ("train", "val", "test")}
        if "check_val_every_n_epoch" in tree["trainer"]:
            tree["trainer"]["check_val_every_n_epoch"] = 1
        found[path.stem] = tree
    return found


def overlays() -> dict[str, Any]:
    """The shipped techniques and loggers."""
    paths = sorted((ROOT / "configs").glob("t*/*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text()) for path in paths if path.stem != "wandb"}


@contextlib.contextmanager
def small_and_short() -> Iterator[None]:
    """Random images in place of downloaded ones, and runs that end soon."""

    def load(self: Any) -> tuple[Images, Images]:
        made = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (6200, *self.image_shape), dtype=torch.uint8, generator=made)
        labels = torch.arange(6200) % self.num_classes
        return Images(images[200:], labels[200:]), Images(images[:200], labels[:200])

    with (
        mock.patch.object(DownloadedDataModule, "load", load),
        mock.patch.object(DownloadedDataModule, "prepare_data", return_value=None),
        mock.patch.object(app, "GracefulInterrupt", Watch),
    ):
        yield


def _write(case: Case, folder: Path) -> list[str]:
    command = ["fit", "--runs", str(folder / "runs")]
    for i, text in enumerate(case.files):
        experiment = "class_path" in (yaml.safe_load(text).get("model") or {})
        path = folder / f"{i}-{'experiment' if experiment else 'overlay'}.yaml"
        path.write_text(text)
        command += ["--config", str(path)]
    return command


def in_this_process(case: Case) -> tuple[int | None, str]:
    """Run a case; its exit status, ``None`` where it got going and was ended, and what was said on standard error."""

    def too_long(*args: Any) -> None:
        raise Enough

    said = io.StringIO()
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(contextlib.chdir(name))
        stack.enter_context(warnings.catch_warnings())
        alarm = signal.signal(signal.SIGPROF, too_long)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of this process: others may use the machine
        status: int | None = None
        try:
            status = main(_write(case, Path(name)))
        except Enough:
            pass
        except BaseException as error:  # a traceback for a user
            said.write(f"Traceback: {type(error).__name__}: {error}")
            status = 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, alarm)
            os.environ.clear()
            os.environ.update(before)
            torch.set_num_threads(1)
    return status, said.getvalue()


def by_script(case: Case) -> tuple[int, str]:
    """The same through the console script."""
    script = shutil.which("lit-improved-gan") or sys.exit("lit-improved-gan is not installed: pip install -e .")
    with tempfile.TemporaryDirectory() as name:
        command = _write(case, Path(name))
        done = subprocess.run(
            [script, *command], cwd=name, capture_output=True, text=True, check=False, timeout=30 * SECONDS
        )
    return done.returncode, done.stderr


def judge(case: Case, status: int | None, said: str) -> tuple[str, str]:
    """What became of a case, ``runs``, ``refused`` or ``WRONG``, and why it is wrong."""
    if "Traceback" in said:
        return "WRONG", "a traceback"
    if status in (0, None):
        return ("WRONG", "it ran") if case.refused else ("runs", "")
    if status != 2:
        return "WRONG", f"exit status {status}"
    if said.count("error: ") != 1:
        return "WRONG", f"{said.count('error: ')} messages"
    message = said.split("error: ", 1)[1]
    if not any(name in message for name in case.names):
        return "WRONG", f"none of {case.names} is named"
    return "refused", ""


def main_() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--script", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.time()
    counts: dict[str, Counter[str]] = {}
    wrong: list[dict[str, str]] = []

    def note(case: Case, where: str, status: int | None, said: str) -> None:
        verdict, why = judge(case, status, said)
        counts.setdefault(where, Counter())[verdict] += 1
        counts.setdefault(case.kind, Counter())[verdict] += 1
        if verdict == "WRONG":
            wrong.append({"experiment": case.experiment, "kind": case.kind, "key": case.key, "why": why})
            print(f"{case.experiment}: {case.kind} at {case.key}: {why}\n    {said.strip()[-600:]}", flush=True)

    cases = list(mutations(experiments(), overlays(), options.count, options.seed))
    with small_and_short():
        for case in cases:
            note(case, "in one process", *in_this_process(case))
    digits = {name: tree for name, tree in experiments().items() if name.startswith("digits")}
    for case in mutations(digits, overlays(), options.script, options.seed + 1):
        note(case, "console script", *by_script(case))
    results = {
        "command": f"python benchmarks/fuzz_configs.py --count {options.count} --seed {options.seed} "
        f"--script {options.script}",
        "minutes": round((time.time() - start) / 60, 1),
        "counts": counts,
        "wrong": wrong,
    }
    (Path(__file__).parent / "results" / "fuzz_configs.json").write_text(json.dumps(results, indent=1) + "\n")
    print({where: dict(found) for where, found in counts.items()})


if __name__ == "__main__":
    random.seed(0)
    main_()
