"""Mistakes that a person makes in a config file, drawn by seed."""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

__all__ = ["Case", "mutations"]

Path = tuple[str | int, ...]
_STRUCTURE = ("class_path", "init_args")
_TYPES = ["text", [1, "x"], {"a": 1}, True, None, 2.5, "", -3, "1e-3x"]
_NUMBERS = [-1, 0, -(10**9), 10**18, 1e300, -1e-9, float("nan"), float("inf"), 1.5]
_CLASSES = [
    "torch.nn.Linear",
    "os.path.join",
    "lit_improved_gan",
    "builtins.int",
    "lightning.Trainer",
    "nothing.At",
    "",
]


class Case(NamedTuple):
    """One mistake.

    Attributes:
        experiment: the file that it is made in, or that the overlay is for.
        kind: of mistake.
        key: where, as a person says it.
        names: what the message may call it: one of these is in it.
        refused: whether it has to be found; other values may be legal.
        files: the config files in order, as text.
    """

    experiment: str
    kind: str
    key: str
    names: tuple[str, ...]
    refused: bool
    files: tuple[str, ...]


def _walk(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every place in a config with what is there."""
    if path:
        yield path, tree
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield from _walk(value, (*path, key))


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _name(path: Path) -> str:
    """The last key of a path that a person chose."""
    return next((key for key in reversed(path) if isinstance(key, str) and key not in _STRUCTURE), "").rstrip("+")


def _text(tree: Any) -> str:
    return yaml.safe_dump(tree, sort_keys=False)


def _misspelt(word: str, rng: random.Random) -> str:
    i = rng.randrange(len(word) - 1) if len(word) > 1 else 0
    swapped = word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]
    options = [word[:i] + word[i + 1 :], swapped, word[:i] + word[i] + word[i:], word + "s", word.upper()]
    return rng.choice([option for option in options if option and option != word])


def _misspell_key(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    if not isinstance(path[-1], str):
        return None
    wrong = _misspelt(path[-1], rng)
    owner = _at(tree, path[:-1])
    items = [(wrong if key == path[-1] else key, value) for key, value in owner.items()]
    owner.clear()
    owner.update(items)
    return tree, (wrong, *((_name(path),) if path[-1] in _STRUCTURE else ())), True


def _replace(tree: Any, path: Path, value: Any) -> tuple[Any, tuple[str, ...], bool]:
    _at(tree, path[:-1])[path[-1]] = value
    return tree, (_name(path),), False


def _wrong_type(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    if isinstance(_at(tree, path), dict | list) or path[-1] == "class_path":
        return None
    return _replace(tree, path, rng.choice(_TYPES))


def _out_of_range(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    if not isinstance(_at(tree, path), int | float) or isinstance(_at(tree, path), bool):
        return None
    return _replace(tree, path, rng.choice(_NUMBERS))


def _wrong_class(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    if path[-1] != "class_path":
        return None
    module, _, name = _at(tree, path).rpartition(".")
    wrong = rng.choice([f"{module}.{_misspelt(name, rng)}", f"{_misspelt(module, rng)}.{name}", rng.choice(_CLASSES)])
    _at(tree, path[:-1])["class_path"] = wrong
    return tree, (_name(path), *([wrong] if wrong else [])), True


def _empty(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    value = _at(tree, path)
    if not isinstance(value, dict | list):
        return None
    children = tuple(str(key) for key in value) if isinstance(value, dict) else ()
    tree, names, _ = _replace(tree, path, rng.choice([None, type(value)(), ""]))
    return tree, names + children, False


def _remove(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    owner = _at(tree, path[:-1])
    del owner[path[-1]]
    arguments = owner.get("init_args", {}) if path[-1] == "class_path" else {}  # of the class that is not named
    return tree, (_name(path), str(path[-1]), *arguments), False


def _surplus(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    if not isinstance(_at(tree, path), dict):
        return None
    _at(tree, path)["surplus"] = rng.choice([3, "x", None, {"a": 1}])
    return tree, ("surplus",), True


def _twice(tree: Any, path: Path, rng: random.Random) -> tuple[Any, tuple[str, ...], bool] | None:
    if not isinstance(path[-1], str):
        return None
    _at(tree, path[:-1])[f"again_{path[-1]}"] = copy.deepcopy(_at(tree, path))
    return tree, (path[-1],), True


Mutate = Callable[[Any, Path, random.Random], tuple[Any, tuple[str, ...], bool] | None]
_KINDS: dict[str, tuple[Mutate, int]] = {  # and how often
    "key misspelt": (_misspell_key, 24),
    "type wrong": (_wrong_type, 20),
    "out of range": (_out_of_range, 20),
    "class path wrong": (_wrong_class, 14),
    "section empty": (_empty, 8),
    "key missing": (_remove, 6),
    "key surplus": (_surplus, 4),
    "key twice": (_twice, 4),
}


def _order(experiment: Any, overlay: Any, rng: random.Random) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files in a wrong order, or in a wrong form, and what the message may name."""
    replaced = {key.rstrip("+"): value for key, value in overlay.get("trainer", {}).items() if key == "callbacks+"}
    choices = [((_text(overlay), _text(experiment)), ("overlay", "experiment"))]
    if replaced:
        wrong = {**overlay, "trainer": replaced}
        choices.append(((_text(experiment), _text(wrong)), tuple(replaced)))
    choices.append(((_text(overlay),), ("model", "data", *replaced)))
    return rng.choice(choices)


def mutations(experiments: dict[str, Any], overlays: dict[str, Any], count: int, seed: int) -> Iterator[Case]:
    """``count`` mistakes in config files, each in one place.

    Args:
        experiments: complete configs by name.
        overlays: by name; those that ``digits_gan`` takes.
        count: how many.
        seed: of the choice.
    """
    rng = random.Random(seed)
    kinds = [*_KINDS, "overlays misordered"]
    weights = [often for _, often in _KINDS.values()] + [6]
    made = 0
    while made < count:
        (kind,) = rng.choices(kinds, weights)
        misordered = kind == "overlays misordered"
        overlay = rng.choice(sorted(overlays)) if misordered or rng.random() < 0.3 else None
        experiment = "digits_gan" if overlay else rng.choice(sorted(experiments))
        if misordered:
            assert overlay is not None  # see above
            files, names = _order(experiments[experiment], overlays[overlay], rng)
            key, refused = overlay, True
        else:
            tree = copy.deepcopy(overlays[overlay] if overlay else experiments[experiment])
            paths = [path for path, _ in _walk(tree)]
            rng.shuffle(paths)
            tried = ((path, _KINDS[kind][0](tree, path, rng)) for path in paths)
            path, found = next(((path, found) for path, found in tried if found is not None), ((), None))
            if found is None:  # there is no place for such a mistake
                continue
            tree, names, refused = found
            text = _text(tree).replace("again_", "")
            files = (_text(experiments[experiment]), text) if overlay else (text,)
            key = ".".join(map(str, path))
        made += 1
        yield Case(f"{experiment} + {overlay}" if overlay else experiment, kind, key, names, refused, files)
