"""What is checked in the config files before they are merged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lit_improved_gan.cli.errors import UserError

__all__ = ["check_config_files", "config_files", "option"]

_KEYS = {
    "seed_everything",
    "threads",
    "name",
    "runs",
    "model",
    "data",
    "trainer",
    "ckpt_path",
    "weights_only",
    "verbose",
    "return_predictions",
}


def option(args: list[str], *names: str) -> Iterator[str]:
    """The values given to an option, in order: ``--name value`` and ``--name=value``."""
    for i, arg in enumerate(args):
        for name in names:
            if arg == name and i + 1 < len(args):
                yield args[i + 1]
            elif arg.startswith(f"{name}="):
                yield arg[len(name) + 1 :]


def config_files(args: list[str]) -> list[Path]:
    """The config files on a command line, in order."""
    return [Path(value) for value in option(args, "-c", "--config")]


def check_config_files(args: list[str]) -> None:
    """Refuse what the merging of config files would do silently.

    A list in a later file replaces the list of an earlier one, and ``callbacks+:`` before the list it adds to leaks its
    arguments into other callbacks.

    Raises:
        UserError: a file is missing or no mapping, an overlay stands before the experiment, or callbacks are replaced.
    """
    experiment: Path | None = None
    owner: Path | None = None
    files = [(path, _read(path)) for path in config_files(args)]
    for path, content in files:
        trainer = content.get("trainer") or {}
        if experiment is None and _is_experiment(content):
            experiment = path
        elif experiment is None and any(_is_experiment(later) for _, later in files):
            raise UserError(
                f"The overlay {path} stands before the experiment. Give the experiment's config file first."
            )
        if "callbacks" in trainer:
            if owner is not None:
                raise UserError(
                    f"`trainer.callbacks` in {path} would replace the callbacks of {owner}. Write `callbacks+:` to add "
                    "to them."
                )
            owner = path
        elif "callbacks+" in trainer and owner is None:
            raise UserError(
                f"`trainer.callbacks+` in {path} adds to a list that no file before it has. Give the experiment's "
                "config file first."
            )
    if owner is not None and any(True for _ in option(args, "--trainer.callbacks")):
        raise UserError(
            f"`--trainer.callbacks` would replace the callbacks of {owner}. Write `--trainer.callbacks+=...` to add."
        )


def _is_experiment(content: dict[str, Any]) -> bool:
    return "class_path" in (content.get("model") or {})


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"Config file {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"Config file {path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"Config file {path} should hold options. Found {type(content).__name__}.")
    unknown = sorted(map(str, content.keys() - _KEYS))
    if unknown:
        raise UserError(f"Option `{unknown[0]}` in {path} is not one of {', '.join(sorted(_KEYS))}.")
    for key in ("model", "data", "trainer"):
        if not isinstance(content.get(key, {}), (dict, type(None))):
            raise UserError(f"Option `{key}` in {path} should hold options. Found {content[key]!r}.")
    return content
