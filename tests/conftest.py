"""Shared fixtures. The tests run on all cores, so each process keeps to one thread."""

import os
import shutil
import subprocess
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


def unpacked(folder: Path, name: str) -> Path:
    script = ROOT.parent / "shared" / "data" / "unpack.py"
    if not script.is_file():
        pytest.skip(f"no real {name} here: {script} is missing")
    subprocess.run([sys.executable, script, folder, name], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the real MNIST in torchvision's layout; with ``real_cifar10``, that too."""
    folder = tmp_path_factory.mktemp("real")
    yield unpacked(folder, "mnist")
    shutil.rmtree(folder)  # pytest keeps the folders of three sessions


@pytest.fixture(scope="session")
def real_cifar10(real_data: Path) -> Path:
    """The real CIFAR-10, ``cifar10.npz`` of ArrayDataModule."""
    return unpacked(real_data, "cifar10") / "cifar10.npz"


@pytest.fixture(scope="session")
def inception_weights(real_data: Path) -> Path:
    """Weights of the Inception network: the real ones up to the layer "768", noise after it."""
    return unpacked(real_data, "inception") / "inception-768.pth"


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
