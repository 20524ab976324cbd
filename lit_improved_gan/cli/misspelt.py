"""Where an option stands that nothing accepts, and how it may have been meant."""

import inspect
import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from lit_improved_gan.cli.config_files import config_files
from lit_improved_gan.cli.read_config import read_config

__all__ = ["where"]

_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOT_OPTIONS = ("self", "params", "defaults")  # the last two are an optimizer's


def where(message: str, args: list[str]) -> str:
    """What to add to a parser's message.

    Args:
        message: what the parser says.
        args: the command line.

    Returns:
        the config file and line of the option, and the names like it that its class accepts; empty where the message is
        not of an option, and with no file where that is on the command line.
    """
    found = re.search(r"(?:Option '|not accept option '|unrecognized arguments: --)([\w.]+)", message)
    if found is None:
        return ""
    name = found[1].rsplit(".", 1)[-1]
    for path in config_files(args):
        for owner in _owners(read_config(path), name):
            lines = [
                i for i, line in enumerate(path.read_text().splitlines(), 1) if re.search(rf"\b{name}\b\+?:", line)
            ]
            place = f" in {path}, line {lines[0]}" if len(lines) == 1 else f" in {path}"
            names = _arguments(owner)
            return f":{place}, of {owner}." + (_close(name, names) or f" It accepts {', '.join(names)}." * bool(names))
    owners = [owner for path in config_files(args) for owner in _owners(read_config(path), None)]
    return _close(name, [argument for owner in owners for argument in _arguments(owner)])


def _owners(tree: Any, name: str | None, key: str = "") -> Iterator[str]:
    """The class paths of a config that are given an argument of this name, or any."""
    if isinstance(tree, list):
        for value in tree:
            yield from _owners(value, name)
    if not isinstance(tree, dict):
        return
    if key == "trainer" and (name is None or name in tree):
        yield "lightning.pytorch.Trainer"
    arguments = tree.get("init_args")
    if "class_path" in tree and (name is None or name in (arguments or {})):
        yield str(tree["class_path"])
    for below, value in tree.items():
        yield from _owners(value, name, str(below))


def _arguments(owner: str) -> list[str]:
    """The names that a class accepts, those of its bases too where it passes them on; empty where there is no such."""
    module, _, attribute = owner.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
        makers = [vars(base).get("__init__", object.__init__) for base in getattr(found, "__mro__", ())] or [found]
        parameters = [p for maker in makers for p in inspect.signature(maker).parameters.values()]
    except (ImportError, AttributeError, ValueError, TypeError):
        return []
    return list(dict.fromkeys(p.name for p in parameters if p.kind not in _STARRED and p.name not in _NOT_OPTIONS))


def _close(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""
