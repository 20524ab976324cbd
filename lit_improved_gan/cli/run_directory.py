"""Where a run's files are: every fit has a directory of its own."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lit_improved_gan.cli.errors import UserError

__all__ = ["RunDirectory", "is_first_process", "new_directory", "newest_last_checkpoint", "run_directory_of"]

_VARIABLE = "LIT_IMPROVED_GAN_RUN_DIRECTORY"


def is_first_process() -> bool:
    """Whether this is the first of a distributed run's processes, or the only one."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


def new_directory(parent: Path, prefix: str = "") -> Path:
    """Make ``parent/prefix0``, or the first number that is free.

    The processes of one distributed run share the one that the first of them made.

    Raises:
        UserError: it cannot be made.
    """
    if not is_first_process():
        return Path(os.environ.get(_VARIABLE, parent / "pending"))  # RunDirectory puts the right one in its place
    number = 0
    while True:
        path = parent / f"{prefix}{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(f"The run directory {path} cannot be made: {error.strerror}.") from error
        else:
            os.environ[_VARIABLE] = str(path)
            return path


def run_directory_of(checkpoint: Path) -> Path | None:
    """The run directory that a checkpoint lies in: the nearest folder above it with a ``config.yaml``."""
    above = [*checkpoint.parents[:3], *checkpoint.absolute().parents[:3]]
    return next((folder for folder in above if (folder / "config.yaml").is_file()), None)


def newest_last_checkpoint(experiment: Path) -> Path:
    """The newest ``last.ckpt`` of the runs in ``experiment``.

    Raises:
        UserError: there is none.
    """
    found = sorted(experiment.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(
            f"--ckpt_path last: there is no checkpoint {experiment}/*/checkpoints/last.ckpt. Give the path of one, or "
            "leave --ckpt_path out to start a new run."
        )
    return found[-1]


class RunDirectory(Callback):
    """Keep the run in one directory, wherever that is now.

    Attributes:
        used: whether a batch is done, so that there may be something worth keeping in it.
    """

    def __init__(self) -> None:
        self.used = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell every process the directory that the first one made."""
        shared: Any = trainer  # its property has no setter
        shared._default_root_dir = trainer.strategy.broadcast(trainer.default_root_dir)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let ModelCheckpoint find its files where they are now: it remembers where they were saved.

        Were the run moved, or named by another path, it would forget the best score, and the file of that name at the
        old place would be taken for its best.
        """
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # a connector sets it
        for callback in callbacks:
            state = checkpoint.get("callbacks", {}).get(callback.state_key, {})
            if not isinstance(callback, ModelCheckpoint) or callback.dirpath is None or "dirpath" not in state:
                continue
            folder, before = Path(callback.dirpath), state["dirpath"]

            def moved(path: str, before: str = before, folder: Path = folder) -> str:
                return str(folder / os.path.relpath(path, before)) if path else path

            if not Path(moved(state["best_model_path"])).is_file():  # a new run begins with no best
                del checkpoint["callbacks"][callback.state_key]
                continue
            for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
                state[name] = moved(state[name])
            state["best_k_models"] = {moved(path): score for path, score in state["best_k_models"].items()}
            state["dirpath"] = callback.dirpath
            callback.current_score = state["current_score"]  # Lightning saves it and forgets to load it

    def _use(self, *args: Any, **kwargs: Any) -> None:
        self.used = True

    on_train_batch_end = on_validation_batch_end = on_test_batch_end = on_predict_batch_end = _use
