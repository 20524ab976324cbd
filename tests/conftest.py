"""Shared fixtures. The tests run on all cores, so each process keeps to one thread."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning.pytorch  # noqa: F401  # first imported inside a test, its log would go to that test's closed stream
import pytest
import torch
from helpers import ROOT

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _restore_environment() -> Iterator[None]:
    """Seeds and run directories are passed on in the environment: no test sees another's."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def configs() -> Path:
    return ROOT / "configs"


class Result:
    """What a command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Result]]:
    """Run the command line in an empty folder; paths of configs are relative to the repository's."""
    from lit_improved_gan.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")

    def call(*args: object) -> Result:
        capfd.readouterr()
        status = main([str(arg) for arg in args])
        return Result(status, *capfd.readouterr())

    yield call
    if "wandb" in sys.modules:  # its service keeps to the environment of the test that started it
        sys.modules["wandb"].teardown()
