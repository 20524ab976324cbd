"""Where an option stands that nothing accepts, and how it may have been meant."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from lit_improved_gan.cli.config_files import config_files
from lit_improved_gan.cli.read_config import read_config
from lit_improved_gan.cli.signatures import parameters

__all__ = ["where"]


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
            text = enumerate(path.read_text().splitlines(), 1)
            lines = [number for number, line in text if re.search(rf"\b{name}\b\+?:", line)]
            place = f" in {path}, line {lines[0]}" if len(lines) == 1 else f" in {path}"
            names = list(parameters(owner))
            return f":{place}, of {owner}." + (_close(name, names) or f" It accepts {', '.join(names)}." * bool(names))
    owners = [owner for path in config_files(args) for owner in _owners(read_config(path), None)]
    return _close(name, [argument for owner in owners for argument in parameters(owner)])


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


def _close(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""
