"""Plant an error in a function, to see that its test fails."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest


def plant(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], old: str, new: str) -> None:
    """Replace ``function`` by itself with ``old`` changed to ``new`` in its source, wherever it is referred to.

    Methods are replaced on their class, functions in every loaded module that holds them.
    """
    source = inspect.getsource(function)
    assert source.count(old) >= 1, f"{old!r} is not in {function.__qualname__}"
    changed = inspect.cleandoc("\n" + source.replace(old, new))
    module = sys.modules[function.__module__]
    scope: dict[str, Any] = {}
    exec(compile(changed, inspect.getfile(function), "exec"), module.__dict__, scope)
    mutant = scope[function.__name__]
    if "." in function.__qualname__:
        owner = getattr(module, function.__qualname__.split(".")[0])
        monkeypatch.setattr(owner, function.__name__, mutant)
        return
    for loaded in list(sys.modules.values()):
        if vars(loaded).get(function.__name__) is function:
            monkeypatch.setattr(loaded, function.__name__, mutant)
