"""What classes that are named in a config accept."""

import inspect
from pkgutil import resolve_name
from typing import Any

__all__ = ["constructors", "is_default", "parameters"]

_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOT_OPTIONS = ("self", "params", "defaults")  # the last two are an optimizer's


def _named(kind: str) -> Any:
    try:
        return resolve_name(kind)
    except (ImportError, AttributeError, ValueError):
        return None


def constructors(kind: str) -> list[Any]:
    """The constructors of a class and of its bases, its own first; none where there is no class of that import path."""
    return [vars(base)["__init__"] for base in getattr(_named(kind), "__mro__", ()) if "__init__" in vars(base)]


def parameters(kind: str) -> dict[str, inspect.Parameter]:
    """The parameters of a class or a function, with those of the class's bases that it passes on.

    Args:
        kind: its import path; where there is nothing of that name there are no parameters.
    """
    found: dict[str, inspect.Parameter] = {}
    try:
        for maker in constructors(kind) or [_named(kind)]:
            for name, parameter in inspect.signature(maker).parameters.items():
                found.setdefault(name, parameter)
    except (ValueError, TypeError):
        return {}
    return {name: p for name, p in found.items() if p.kind not in _STARRED and name not in _NOT_OPTIONS}


def is_default(kind: str, name: str, value: Any) -> bool:
    """Whether a value of a config is what the class has by default.

    Args:
        kind: the import path of the class.
        name: of its parameter.
        value: as in a config: a class is a mapping with a ``class_path``.
    """
    default = getattr(parameters(kind).get(name), "default", inspect.Parameter.empty)
    if isinstance(value, dict) and "class_path" in value:
        path = value["class_path"]
        return _named(path) is default and all(is_default(path, *item) for item in value.get("init_args", {}).items())
    return bool((list(default) if isinstance(default, tuple) else default) == value)
