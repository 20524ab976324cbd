"""Reading one config file, more strictly than YAML is read."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lit_improved_gan.cli.errors import UserError

__all__ = ["read_config"]

_KEYS = {
    "seed_everything",
    "seeds",
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
_OF_A_CLASS = {"class_path", "init_args", "dict_kwargs"}


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping; YAML lets the second win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping."""
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen and isinstance(key.value, str):
                raise UserError(
                    f"Config file {self.name}: `{key.value}` stands twice, in line {seen[key.value]} and in line "
                    f"{line}, and only the second would count. Leave one of them out."
                )
            seen[str(key.value)] = line
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> dict[str, Any]:
    """Read a config file.

    Raises:
        UserError: it is missing, no mapping, or has a key that is unknown or stands twice.
    """
    try:
        with path.open() as file:
            content = yaml.load(file, _Loader)
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
        if not isinstance(content.get(key, {}), dict):
            found = "nothing" if content[key] is None else repr(content[key])
            raise UserError(f"Option `{key}` in {path} should hold options. Found {found}.")
    _check_classes(content, "", path)
    return content


def _check_classes(tree: Any, key: str, path: Path) -> None:
    """Check that an entry with a ``class_path`` has nothing beside its arguments."""
    if isinstance(tree, list):
        for i, value in enumerate(tree):
            _check_classes(value, f"{key}[{i}]", path)
    if not isinstance(tree, dict):
        return
    unknown = sorted(map(str, tree.keys() - _OF_A_CLASS))
    if unknown and not _OF_A_CLASS.isdisjoint(tree):
        raise UserError(
            f"Option `{key}.{unknown[0]}` in {path} stands beside {' and '.join(sorted(_OF_A_CLASS & tree.keys()))}: "
            "arguments of a class stand below its init_args. Put it there, or correct its name."
        )
    for name, value in tree.items():
        if name != "dict_kwargs":
            _check_classes(value, f"{key}.{name}".lstrip("."), path)
