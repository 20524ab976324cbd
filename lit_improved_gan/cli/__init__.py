"""The command line: ``main(args)`` is the console script, ``python -m`` and what tests call."""

import os
import sys

from lit_improved_gan import __version__
from lit_improved_gan.cli.config_files import check_config_files, config_files, files_first, option
from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.cli.options import without_checkpoint

__all__ = ["main"]

_USAGE = """usage: lit-improved-gan {fit,validate,test,predict,evaluate} [options]

  fit       train an experiment, then test it:    lit-improved-gan fit --config configs/digits.yaml
  validate  evaluate on the held-out images:      lit-improved-gan validate --ckpt_path RUN/checkpoints/best.ckpt
  test      repeat the test of a run:             lit-improved-gan test --ckpt_path RUN/checkpoints/best.ckpt
  predict   write samples as PNG files and .npz:  lit-improved-gan predict --ckpt_path RUN/checkpoints/best.ckpt
  evaluate  Inception score, FID, KID, ...:       lit-improved-gan evaluate --generated DIR --real DATA.npz:train_x

  -c, --config FILE     an experiment's, then any overlays': -c configs/digits.yaml -c OVERLAY
  --ckpt_path PATH      go on from a checkpoint; `last`: the newest of the experiment
  --name, --runs        runs go to RUNS/NAME/0, 1, ...; by default runs/ and the name of the experiment
  --seeds [0,1,2]       fit: train a member for each seed, all as one batched model
  --print_config        show all options as they are after merging, and stop
  --model.OPTION, --data.OPTION, --trainer.OPTION    override anything in the config, wherever they stand

All options of a subcommand: lit-improved-gan fit --help"""
_SUBCOMMANDS = ("fit", "validate", "test", "predict")


def main(args: list[str] | None = None) -> int:
    """Run a command.

    What is wrong with the input is said in one message on standard error. Set the environment variable
    ``LIT_IMPROVED_GAN_TRACEBACK=1`` to see where in the code it was found.

    Args:
        args: the command line without the program's name; by default that of this process.

    Returns:
        the exit status: 0; 1 where training diverged; 2 for bad input; 130 after Ctrl-C; 143 after SIGTERM.
    """
    args = sys.argv[1:] if args is None else list(args)
    if os.environ.get("LIT_IMPROVED_GAN_TRACEBACK") == "1":
        return _run(args)
    try:
        return _run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:  # before training; later on Lightning takes care of it
        print("interrupted", file=sys.stderr)
        return 130


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "--version"):  # answered at once: the imports below take seconds
        print(f"lit-improved-gan {__version__}" if args[:1] == ["--version"] else _USAGE)
        return 0 if args else 2
    if args[0] == "evaluate":
        from lit_improved_gan.cli.evaluate import main as evaluate  # what takes seconds to import, only now

        return evaluate(args[1:])
    args = files_first(args)
    check_config_files(args)
    from lit_improved_gan.cli.launch import launch  # what takes seconds to import, only now

    return launch(_with_config_of_run(args))


def _with_config_of_run(args: list[str]) -> list[str]:
    """Add the run's own config where a checkpoint is given and no config."""
    checkpoint = next(option(args, "--ckpt_path"), None)
    evaluates = args[:1] in (["test"], ["validate"], ["predict"]) and not {"-h", "--help", "--print_config"} & set(args)
    if evaluates and checkpoint is None and not config_files(args):
        raise UserError(without_checkpoint(args[0]))
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
