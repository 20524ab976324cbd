"""How the command line says what is wrong."""

import re
from typing import Any, NoReturn

__all__ = ["OneMessage", "RunError", "UserError", "shorten"]

_NOISE = (  # what jsonargparse says of every alternative type that did not fit
    "Does not validate against",
    "Subtypes:",
    "Errors:",
    "- Expected a <class 'NoneType'>",
    "- Expected a path but",
    "- Not a valid subclass of",
    "Subclass types expect one of",
    "- a class path (str)",
    "- a dict with",
    "Given value type:",
)


class UserError(Exception):
    """Something the user can put right; the message says what was found and what to do."""

    status = 2


class RunError(UserError):
    """Training itself went wrong."""

    status = 1


def shorten(message: str) -> str:
    r"""The part of a parser's message that says what is wrong, on one line.

    >>> shorten("a:\n  Errors:\n    - Option 'b' is not accepted\n  Given value: NestedArg(key='b', val='3')")
    "a: Option 'b' is not accepted (given: b = '3')"
    """
    message = message.replace("Parser key ", "")
    if "Errors:" not in message:
        return message
    kept = []
    for line in map(str.strip, message.splitlines()):
        given = re.fullmatch(r"Given value: (.*)", line)
        if given is None:
            if line and not line.startswith(_NOISE):
                kept.append(line.removeprefix("- "))
        elif nested := re.fullmatch(r"NestedArg\(key='(.*)', val=(.*)\)", given[1]):
            kept.append(f"(given: {nested[1]} = {nested[2]})")
        elif not re.search(r"Namespace\(|<|class_path", given[1]):
            kept.append(f"(given: {given[1]})")
    return " ".join(kept)


class OneMessage:
    """Of a parser: says what is wrong in one message, without the usage; takes no abbreviated options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)  # type: ignore[call-arg]  # the parser's

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise it as a user error."""
        raise UserError(shorten(message)) from ex
