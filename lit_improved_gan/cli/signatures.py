"""What classes that are named in a config accept."""

import inspect
from importlib import import_module
from typing import Any

__all__ = ["is_default", "parameters"]

_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOT_OPTIONS = ("self", "params", "defaults")  # the last two are an optimizer's


def _named(owner: str) -> Any:
    module, _, attribute = owner.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        return None


def parameters(owner: str) -> dict[str, inspect.Parameter]:
    """The parameters of a class or a function, with those of the class's bases that it passes on.

    Args:
        owner: its import path; where there is nothing of that name there are no parameters.
    """
    named = _named(owner)
    makers = [vars(base)["__init__"] for base in getattr(named, "__mro__", ()) if "__init__" in vars(base)] or [named]
    try:
        every = [parameter for maker in makers for parameter in inspect.signature(maker).parameters.values()]
    except (ValueError, TypeError):
        return {}
    found: dict[str, inspect.Parameter] = {}
    for parameter in every:
        if parameter.kind not in _STARRED and parameter.name not in _NOT_OPTIONS:
            found.setdefault(parameter.name, parameter)
    return found


def is_default(owner: str, name: str, value: Any) -> bool:
    """Whether a value of a config is what the class has by default.

    Args:
        owner: the import path of the class.
        name: of its parameter.
        value: as in a config: a class is a mapping with a ``class_path``.
    """
    default = getattr(parameters(owner).get(name), "default", inspect.Parameter.empty)
    if isinstance(value, dict) and "class_path" in value:
        path = value["class_path"]
        return _named(path) is default and all(is_default(path, *item) for item in value.get("init_args", {}).items())
    return bool((list(default) if isinstance(default, tuple) else default) == value)
