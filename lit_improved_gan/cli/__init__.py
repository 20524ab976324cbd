"""The command line: ``main(args)`` is the console script, ``python -m`` and what tests call."""

import os
import sys

from lit_improved_gan.cli.config_files import check_config_files, config_files, option
from lit_improved_gan.cli.errors import UserError

__all__ = ["main"]

_SUBCOMMANDS = ("fit", "validate", "test", "predict")


def main(args: list[str] | None = None) -> int:
    """Run a command.

    What is wrong with the input is said in one message on standard error. Set the environment variable
    ``LIT_IMPROVED_GAN_TRACEBACK=1`` to see where in the code it was found.

    Args:
        args: the command line without the program's name; by default that of this process.

    Returns:
        the exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    args = sys.argv[1:] if args is None else list(args)
    if os.environ.get("LIT_IMPROVED_GAN_TRACEBACK") == "1":
        return _run(args)
    try:
        return _run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(args: list[str]) -> int:
    check_config_files(args)
    from lit_improved_gan.cli.launch import launch  # what takes seconds to import, only now

    return launch(_with_config_of_run(args))


def _with_config_of_run(args: list[str]) -> list[str]:
    """Add the run's own config where a checkpoint is given and no config."""
    checkpoint = next(option(args, "--ckpt_path"), None)
    if checkpoint in (None, "last") or config_files(args) or not args or args[0] not in _SUBCOMMANDS:
        return args
    from pathlib import Path

    from lit_improved_gan.cli.run_directory import run_directory_of

    assert checkpoint is not None  # see above
    if not Path(checkpoint).is_file():
        raise UserError(f"--ckpt_path: there is no file {checkpoint}.")
    run = run_directory_of(Path(checkpoint))
    if run is None:
        raise UserError(
            f"--ckpt_path: there is no config.yaml in the folders above {checkpoint}. "
            "Give the experiment's with --config."
        )
    return [args[0], "--config", str(run / "config.yaml"), *args[1:]]
