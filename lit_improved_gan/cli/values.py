"""Values that the parser accepts and nothing can be done with: empty ones, and numbers that are out of every range."""

import inspect
from collections.abc import Iterator
from math import isfinite
from types import NoneType
from typing import Any, get_args, get_type_hints

from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.cli.signatures import constructors

__all__ = ["check_values"]

_LARGEST_INTEGER, _LARGEST = (1 << 31) - 1, 3.4e38


def check_values(options: dict[str, Any]) -> None:
    """Check the values of ``model``, ``data`` and ``trainer``.

    Args:
        options: those of a subcommand, as plain mappings and lists.

    Raises:
        UserError: an argument that needs a value has none, a class is not named, or a number is out of every range.
    """
    for key in ("model", "data", "trainer"):
        for name, wanted in _empty(options[key], key):
            raise UserError(f"Option `{name}` should be {wanted}. Found nothing: give a value, or leave the key out.")
        for name in _unnamed(options[key], key):
            raise UserError(f"Option `{name}` has no class_path: give the class that it should be.")
    for key in ("model", "data"):
        for name, number in _numbers(options[key], key):
            if isinstance(number, int) and abs(number) > _LARGEST_INTEGER and "seed" not in name:
                raise UserError(f"Option `{name}` should be below 2^31. Found {number}: give a smaller one.")
            if not isfinite(number) or abs(number) > _LARGEST:
                raise UserError(f"Option `{name}` should be a number that float32 holds. Found {number}.")


def _entries(tree: Any, key: str) -> Iterator[tuple[Any, str]]:
    """What a mapping or a list holds, and where; ``init_args`` is not part of a place."""
    if isinstance(tree, list):
        yield from ((value, f"{key}[{i}]") for i, value in enumerate(tree))
    elif isinstance(tree, dict):
        yield from ((value, key if name == "init_args" else f"{key}.{name}") for name, value in tree.items())


def _numbers(tree: Any, key: str) -> Iterator[tuple[str, float]]:
    if isinstance(tree, int | float):
        yield key, tree
    for value, place in _entries(tree, key):
        yield from _numbers(value, place)


def _unnamed(tree: Any, key: str) -> Iterator[str]:
    """Where a network or a loss is no class in particular, which is what the parser takes for one without a name."""
    if isinstance(tree, dict) and tree.get("class_path") in {"torch.nn.Module", "torch.nn.modules.module.Module"}:
        yield key
    for value, place in _entries(tree, key):
        yield from _unnamed(value, place)


def _empty(tree: Any, key: str) -> Iterator[tuple[str, str]]:
    """The arguments of classes that need a value and have none: where, and of which type."""
    if isinstance(tree, dict) and isinstance(tree.get("class_path"), str):
        for name, value in (tree.get("init_args") or {}).items():
            if value is None and (wanted := _needs(tree["class_path"], name)):
                yield f"{key}.{name}", wanted
    for value, place in _entries(tree, key):
        yield from _empty(value, place)


def _needs(kind: str, argument: str) -> str:
    """The type of an argument that may not be ``None``; nothing where it may, or that is not known."""
    for constructor in constructors(kind):
        parameter = inspect.signature(constructor).parameters.get(argument)
        if parameter is not None:
            try:
                hint = get_type_hints(constructor).get(argument, Any)
            except (NameError, TypeError):  # of a class that is not ours
                return ""
            may = parameter.default is None or hint is Any or hint is NoneType or NoneType in get_args(hint)
            return "" if may else inspect.formatannotation(hint)
    return ""
