"""Where an option stands that nothing accepts, and how it may have been meant."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from lit_improved_gan.cli.config_files import config_files
from lit_improved_gan.cli.read_config import read_config
from lit_improved_gan.cli.signatures import parameters

__all__ = ["where"]

_TOP = ["ckpt_path", "config", "name", "runs", "seed_everything", "seeds", "threads"]
"""Options of no class."""


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
    every = [(key, known) for _, owners in configs for key, owner, _ in owners for known in parameters(owner)]
    if found[1] == name and found[0].startswith("unrecognized"):  # as --labels for --data.labels_per_class
        return _of_no_class(name, [(key, known) for key, known in every if key])
    place = next(((path, owner) for path, owners in configs for _, owner, given in owners if name in given), None)
    if place is None:
        return _close(name, [known for _, known in every])
    path, owner = place
    text = enumerate(path.read_text().splitlines(), 1)
    lines = [number for number, line in text if re.search(rf"\b{name}\b\+?:", line)]
    line = f", line {lines[0]}" if len(lines) == 1 else ""
    names = list(parameters(owner))
    return f": in {path}{line}, of {owner}." + (_close(name, names) or f" It accepts {', '.join(names)}." * bool(names))


def _owners(tree: Any, key: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The class paths of a config, each with its key, ``""`` in a list, and the arguments that it is given."""
    if isinstance(tree, list):
        for value in tree:
            yield from _owners(value)
    if not isinstance(tree, dict):
        return
    if key == "trainer":
        yield key, "lightning.pytorch.Trainer", tree
    if "class_path" in tree:
        yield key, str(tree["class_path"]), tree.get("init_args") or {}
    for below, value in tree.items():
        yield from _owners(value, key if below == "init_args" else f"{key}.{below}".lstrip("."))


def _of_no_class(name: str, known: list[tuple[str, str]]) -> str:
    """The options that begin so, or are like it, where the command line has a name alone."""
    top = [f"--{option}" for option in _TOP if option.startswith(name)]
    close = _likely(name, [option for _, option in known])
    below = [f"--{key}.{option}" for key, option in known if option == close]
    meant = top or sorted(below, key=lambda option: option.count("."))[:1]
    return f" Did you mean `{'` or `'.join(meant)}`?" if meant else ""


def _close(name: str, names: list[str]) -> str:
    close = _likely(name, names)
    return f" Did you mean `{close}`?" if close else ""


def _likely(name: str, names: list[str]) -> str | None:
    begun = {known for known in names if known.startswith(name)}
    close = list(begun) if len(begun) == 1 else get_close_matches(name, names, n=1)
    return close[0] if close else None
