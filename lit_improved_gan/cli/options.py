"""Options that are legal and would do something else than they say."""

import re
from typing import Any

from lit_improved_gan.cli.errors import UserError

__all__ = ["check_options", "without_checkpoint"]

_MOST_THREADS = 1024  # more than any machine has; torch takes no number of more than 31 bits
_LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches")


def check_options(subcommand: str, options: Any) -> None:
    """Check the options of a subcommand.

    Raises:
        UserError: an option would be misread, or nothing would be trained or evaluated.
    """
    trainer = options["trainer"]
    if re.search(r"[/\\]|^\.*$", options["name"]):
        raise UserError(f"--name should be the name of a folder. Found {options['name']!r}.")
    if options["threads"] is not None and not 1 <= options["threads"] <= _MOST_THREADS:
        raise UserError(f"--threads should be 1 to {_MOST_THREADS}. Found {options['threads']}.")
    seed = options["seed_everything"]
    if seed is None or isinstance(seed, bool) or not 0 <= seed < 1 << 32:
        raise UserError(f"--seed_everything should be in 0..{(1 << 32) - 1}. Found {seed}.")
    if trainer["default_root_dir"] is not None:
        raise UserError("--trainer.default_root_dir: a run has a directory of its own. Give its parent as --runs.")
    for name in _LIMITS:
        if trainer[name] == 1:
            raise UserError(
                f"--trainer.{name} 1 would be read as 1.0, all batches. Give at least 2, or leave it out for all."
            )
    if trainer["overfit_batches"]:
        raise UserError(
            "--trainer.overfit_batches would take the streams of real images apart. Give a small --data.val_size and, "
            "where there are labels, --data.labels_per_class, or a data set of your own."
        )
    for name in ("log_every_n_steps", "check_val_every_n_epoch"):
        if trainer[name] is not None and trainer[name] < 1:
            raise UserError(f"--trainer.{name} should be 1 or more. Found {trainer[name]}.")
    none = ["limit_test_batches"] if subcommand in ("fit", "test") else []
    none += {"fit": ["max_epochs", "max_steps", "limit_train_batches"], "validate": ["limit_val_batches"]}.get(
        subcommand, []
    )
    for name in none:
        if trainer[name] == 0:
            raise UserError(f"--trainer.{name} 0: nothing would be left to do. Give more, or leave it out.")
    if subcommand != "fit" and options["ckpt_path"] is None:
        raise UserError(without_checkpoint(subcommand))


def without_checkpoint(subcommand: str) -> str:
    """What is said where something is evaluated and there is nothing to evaluate."""
    return f"`{subcommand}` needs --ckpt_path, the checkpoint of a run: without it the networks are untrained."
