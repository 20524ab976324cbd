"""How the command line says what is wrong."""

__all__ = ["UserError"]


class UserError(Exception):
    """Something the user can put right; the message says what was found and what to do."""
