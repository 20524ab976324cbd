"""What is checked in the config files before they are merged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.cli.read_config import read_config

__all__ = ["check_config_files", "config_files", "files_first", "is_given", "option"]


def option(args: list[str], *names: str) -> Iterator[str]:
    """The values given to an option, in order: ``--name value``, ``--name=value`` and ``-nvalue``."""
    for i, arg in enumerate(args):
        for name in names:
            short = not name.startswith("--")
            if arg == name and i + 1 < len(args):
                yield args[i + 1]
            elif arg.startswith(f"{name}="):
                yield arg[len(name) + 1 :]
            elif short and arg.startswith(name):
                yield arg[len(name) :]


def is_given(args: list[str], *names: str) -> bool:
    """Whether an option stands on the command line."""
    return any(True for _ in option(args, *names))


def config_files(args: list[str]) -> list[Path]:
    """The config files on a command line, in order."""
    return [Path(value) for value in option(args, "-c", "--config")]


def files_first(args: list[str]) -> list[str]:
    """The same command line with its config files before its options: a later file would override an option.

    >>> files_first(["fit", "--data.val_size=3", "-c", "a.yaml", "--name", "x", "--config=b.yaml"])
    ['fit', '-c', 'a.yaml', '--config=b.yaml', '--data.val_size=3', '--name', 'x']
    """
    files: list[str] = []
    options: list[str] = []
    rest = iter(args[1:])
    for arg in rest:
        if arg in ("-c", "--config"):
            files += [arg, *([value] if (value := next(rest, None)) is not None else [])]
        elif arg.startswith("--config=") or (arg.startswith("-c") and not arg.startswith("--")):
            files.append(arg)
        else:
            options.append(arg)
    return [*args[:1], *files, *options]


def check_config_files(args: list[str]) -> None:
    """Refuse what the merging of config files would do silently.

    A list in a later file replaces the list of an earlier one, and ``callbacks+:`` before the list it adds to leaks its
    arguments into other callbacks.

    Raises:
        UserError: a file is missing, no mapping, or given twice, an overlay stands before the experiment, or callbacks
            or loggers are replaced.
    """
    experiment: Path | None = None
    owner: dict[str, Path] = {}
    paths = config_files(args)
    for i, path in enumerate(paths):
        if path.resolve() in [earlier.resolve() for earlier in paths[:i]]:
            raise UserError(f"{path} is given twice, and what it adds would be added twice. Give it once.")
    files = [(path, read_config(path)) for path in paths]
    experiments = _experiments(files)
    for path, content in files:
        trainer = content.get("trainer", {})
        if experiment is None and path in experiments:
            experiment = path
        elif experiment is None and experiments:
            raise UserError(
                f"The overlay {path} stands before the experiment. Give the experiment's config file first."
            )
        for key in ("callbacks", "logger"):
            if key in trainer and key in owner:
                raise UserError(
                    f"`trainer.{key}` in {path} would replace the one in {owner[key]}. Write `{key}+:` to add to it."
                )
            if key in trainer or f"{key}+" in trainer:
                owner.setdefault(key, path)
        if "callbacks+" in trainer and owner["callbacks"] == path:
            raise UserError(
                f"`trainer.callbacks+` in {path} adds to a list that no file before it has. Give the experiment's "
                "config file first."
            )
    _check_options(args, owner)


def _check_options(args: list[str], owner: dict[str, Path]) -> None:
    if "callbacks" in owner and is_given(args, "--trainer.callbacks"):
        raise UserError(
            f"`--trainer.callbacks` would replace the callbacks of {owner['callbacks']}. Write "
            "`--trainer.callbacks+=...` to add to them."
        )
    if is_given(args, "--trainer"):
        raise UserError("`--trainer` would replace all of the trainer's options. Give them as `--trainer.OPTION`.")


def _experiments(files: list[tuple[Path, dict[str, Any]]]) -> list[Path]:
    """Those that say what the model and its data are; where no file does, what the model is."""
    models = [(path, content) for path, content in files if "class_path" in content.get("model", {})]
    whole = [(path, content) for path, content in models if "class_path" in content.get("data", {})]
    return [path for path, _ in whole or models]
