"""What a run that goes on is given otherwise than it had."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lit_improved_gan.cli.config_files import is_given
from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.cli.run_directory import run_directory_of

__all__ = ["changes"]


def changes(options: dict[str, Any], checkpoint: dict[str, Any], path: Path, args: list[str]) -> Iterator[str]:
    """A line for each option that is not what the run had.

    Args:
        options: those of ``fit``.
        checkpoint: the run's.
        path: where it is.
        args: the command line.

    Raises:
        UserError: an option that stands in a config file only would change the data of the run.
    """
    yield from _changed_data(options, checkpoint, path, args)
    yield from _changed_trainer(options, path, args)


def _changed_data(options: dict[str, Any], checkpoint: dict[str, Any], path: Path, args: list[str]) -> Iterator[str]:
    given, saved = options["data"].get("init_args", {}), checkpoint.get("datamodule_hyper_parameters", {})
    changed = [name for name in given if saved.get(name, given[name]) != given[name]]
    unmeant = [name for name in changed if not is_given(args, f"--data.{name}", f"--data.init_args.{name}")]
    if unmeant:
        lines = [f"--data.{name} {given[name]}, was {saved[name]}" for name in unmeant]
        again = " ".join(f"--data.{name}={saved[name]}" for name in unmeant)
        raise UserError(
            f"The run of {path} would go on with other data:\n  " + "\n  ".join(lines) + f"\nGive {again} to go on as "
            "it was, or the other values on the command line if they are meant."
        )
    for name in changed:
        yield f"The run goes on with other data: --data.{name} {given[name]}, was {saved[name]}."


def _changed_trainer(options: dict[str, Any], path: Path, args: list[str]) -> Iterator[str]:
    """Those that a config file has otherwise than the run's, as ``max_epochs``."""
    run = run_directory_of(path)
    if run is None:
        return
    newest = max(run.glob("config*.yaml"), key=lambda config: config.stat().st_mtime)
    had = yaml.safe_load(newest.read_text()).get("trainer", {})
    for name, value in options["trainer"].items():
        plain = not isinstance(value, (dict, list)) and not isinstance(had.get(name), (dict, list))
        if plain and had.get(name, value) != value and not is_given(args, f"--trainer.{name}"):
            yield f"The run goes on with --trainer.{name} {value}, was {had[name]}."
