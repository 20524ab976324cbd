"""What constructors check of their arguments, wherever they are."""

__all__ = ["check_positive"]


def check_positive(name: str, **values: float) -> None:
    """Check that arguments are above 0.

    Args:
        name: of the class that has them.
        values: by name of the parameter.

    Raises:
        ValueError: one is not; it names the class and the parameter.
    """
    for parameter, value in values.items():
        if not value > 0:
            raise ValueError(f"Parameter `{parameter}` of {name} should be above 0. Found {parameter}={value}.")
