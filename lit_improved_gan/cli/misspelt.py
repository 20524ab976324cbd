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
    configs = [(path, list(_owners(read_config(path)))) for path in config_files(args)]
    place = next(((path, owner) for path, owners in configs for owner, given in owners if name in given), None)
    if place is None:
        return _close(name, [known for _, owners in configs for owner, _ in owners for known in parameters(owner)])
    path, owner = place
    text = enumerate(path.read_text().splitlines(), 1)
    lines = [number for number, line in text if re.search(rf"\b{name}\b\+?:", line)]
    line = f", line {lines[0]}" if len(lines) == 1 else ""
    names = list(parameters(owner))
    return f": in {path}{line}, of {owner}." + (_close(name, names) or f" It accepts {', '.join(names)}." * bool(names))


def _owners(tree: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The class paths of a config, each with the arguments that it is given."""
    if isinstance(tree, list):
        for value in tree:
            yield from _owners(value)
    if not isinstance(tree, dict):
        return
    if key == "trainer":
        yield "lightning.pytorch.Trainer", tree
    if "class_path" in tree:
        yield str(tree["class_path"]), tree.get("init_args") or {}
    for below, value in tree.items():
        yield from _owners(value, str(below))


def _close(name: str, names: list[str]) -> str:
    begun = {known for known in names if known.startswith(name)}  # as --labels for --data.labels_per_class
    close = list(begun) if len(begun) == 1 else get_close_matches(name, names, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""
