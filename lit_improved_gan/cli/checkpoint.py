"""Reading a checkpoint before anything is built from it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.cli.signatures import is_default

__all__ = ["check_left_to_do", "check_overridden", "read_checkpoint"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Raises:
        UserError: there is none, or it is damaged, or not a checkpoint; the newest sound one beside it is offered.
    """
    if not path.is_file():
        raise UserError(f"--ckpt_path: there is no file {path}.")
    try:
        return _load(path)
    except UserError as error:
        raise UserError(f"--ckpt_path: {error}{_another(path)}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise UserError(f"{path} is damaged, or no checkpoint ({_reason(error)}).") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step"} <= checkpoint.keys():
        raise UserError(f"{path} is no checkpoint of Lightning.")
    return checkpoint


def _reason(error: Exception) -> str:
    """The first sentence of what the reader says; what follows is of files that it wrote itself."""
    return (str(error) or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")


def _another(path: Path) -> str:
    """What to do without a damaged checkpoint: go on from that which is furthest of the others of its run."""
    found: list[tuple[int, Path]] = []
    for other in path.parent.glob("*.ckpt"):
        with suppress(UserError):
            found.append((_load(other)["global_step"], other))
    if not found:
        return "\nThere is no other state of this run: start anew without --ckpt_path."
    step, other = max(found)
    return f"\nGive --ckpt_path {other}, the state after {step} training batches, or start anew without --ckpt_path."


def check_overridden(options: dict[str, Any], checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse options of the model and the data that the checkpoint would silently override.

    Raises:
        UserError: there are such options; each is named with both values.
    """
    saved = {key: value for key, value in checkpoint.get("hyper_parameters", {}).items() if key != "_instantiator"}
    model, data = options["model"], options["data"].get("init_args", {})
    given = {"_class_path": model["class_path"], **model.get("init_args", {}), **model.get("dict_kwargs", {})}
    # a module that was built in Python has no class path in its checkpoint: then there is nothing to compare
    differences = list(_differing(given, saved)) if "_class_path" in saved else []
    kept = checkpoint.get(options["data"]["class_path"].rsplit(".", 1)[-1], {})  # what the datamodule saved
    seed = data.get("label_seed")
    if seed is not None and kept.get("label_seed", seed) != seed:
        differences.append(f"--data.label_seed: given {seed}, the checkpoint has {kept['label_seed']}")
    if differences:
        raise UserError(
            f"{path} was made with other options than those given; the checkpoint's would win:\n  "
            + "\n  ".join(differences)
            + "\nLeave these out to go on with the checkpoint, or leave out --ckpt_path to start anew."
        )


def check_left_to_do(trainer: dict[str, Any], checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse to go on from a checkpoint that is at or past the limits.

    Raises:
        UserError: there would be nothing to train.
    """
    done = checkpoint["global_step"]
    epochs = done / checkpoint.get("improved_gan", {}).get("batches_per_epoch", float("inf"))
    steps_left = trainer["max_steps"] == -1 or done < trainer["max_steps"]
    epochs_left = trainer["max_epochs"] in (None, -1) or epochs < trainer["max_epochs"]
    if not (steps_left and epochs_left):
        raise UserError(
            f"{path} is after {done} training batches, {epochs:g} epochs: nothing would be left to do. Give a higher "
            f"limit than --trainer.max_epochs {trainer['max_epochs']} and --trainer.max_steps {trainer['max_steps']}."
        )


def _differing(given: Any, saved: Any, key: str = "--model", owner: str = "") -> Iterator[str]:
    """A line for each option that differs between the two; one that is newer than the checkpoint was at its default."""
    if isinstance(given, dict) and isinstance(saved, dict):
        owner = str(given.get("class_path", given.get("_class_path", owner)))
        for name in sorted(given.keys() | saved.keys()):
            if name not in saved and is_default(owner, name, given[name]):
                continue
            shown = key if name in ("init_args", "dict_kwargs") else f"{key}.{name.removeprefix('_')}"
            yield from _differing(given.get(name), saved.get(name), shown, owner)
    elif given != saved:
        yield f"{key}: given {given}, the checkpoint has {saved}"
