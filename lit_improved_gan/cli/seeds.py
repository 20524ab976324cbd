"""Several seeds of one experiment, trained side by side: ``--seeds [0,1,2]``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from lit_improved_gan.cli.config_files import option
from lit_improved_gan.cli.errors import UserError
from lit_improved_gan.modules import GAN, SemiSupervisedGAN, SideBySideGAN, SideBySideSemiSupervisedGAN

__all__ = ["check_seeds", "check_seeds_of", "side_by_side"]

_TOGETHER: dict[type, type[SideBySideGAN] | type[SideBySideSemiSupervisedGAN]] = {
    GAN: SideBySideGAN,
    SemiSupervisedGAN: SideBySideSemiSupervisedGAN,
}
_ONE_BY_ONE = "train the seeds one by one with --seed_everything"


def check_seeds(subcommand: str, options: Any, args: list[str]) -> None:
    """Check ``--seeds``; with it a fit has the first of them as its ``seed_everything``.

    Args:
        subcommand: ``fit``, or one that evaluates; then ``seed_everything`` is that of the samples.
        options: those of the subcommand; ``seed_everything`` is set.
        args: the command line. An experiment's file always has a ``seed_everything``; an option is meant.

    Raises:
        UserError: fewer than two seeds, repeated ones, one out of range, or another ``--seed_everything`` beside them.
    """
    seeds = options["seeds"]
    if seeds is None:
        return
    if not isinstance(seeds, list) or len(seeds) < 2 or not all(type(seed) is int for seed in seeds):
        raise UserError(
            f"--seeds should be a list of two seeds or more, as [0,1,2]. Found {seeds}: give such a list, or one seed "
            "as --seed_everything."
        )
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds should be different from each other. Found {seeds}: leave out what is repeated.")
    if not all(0 <= seed < 1 << 32 for seed in seeds):
        raise UserError(f"--seeds should be in 0..{(1 << 32) - 1}. Found {seeds}: give others.")
    if subcommand != "fit":
        return
    other = [value for value in option(args, "--seed_everything") if value != str(seeds[0])]
    if other:
        raise UserError(
            f"--seeds {seeds} gives each member its seed. Found --seed_everything {other[-1]} beside it: leave out "
            "one of the two."
        )
    options["seed_everything"] = seeds[0]


def check_seeds_of(checkpoint: dict[str, Any], seeds: list[int] | None, path: Path | str) -> None:
    """Check that a checkpoint is one of these seeds.

    Raises:
        UserError: it is not.
    """
    kept = checkpoint.get("improved_gan", {}).get("seeds")
    if seeds != kept:
        found = f"--seeds {seeds}" if seeds else "no --seeds"
        remedy = f"Give --seeds {kept}" if kept else "Leave --seeds out"
        of = f"the seeds {kept} side by side" if kept else "one seed"
        raise UserError(f"{path} is of {of}. Found {found}. {remedy}, or give another --ckpt_path.")


def side_by_side(seeds: Sequence[int] | None, members: Sequence[LightningModule], data: Any) -> LightningModule:
    """One module of the members, whose seeds they and the data get; without seeds the only member as it is.

    Raises:
        UserError: the members or the data cannot take part.
    """
    first: Any = members[0]
    kind, data_seeds = type(first), getattr(data, "seeds", None)
    if not seeds:
        if data_seeds and not hasattr(first, "seeds"):  # built side by side in YAML
            raise UserError(f"--data.seeds is for members side by side. Found {data_seeds}: give it as --seeds.")
        return members[0]
    if kind not in _TOGETHER:
        able = " and ".join(sorted(known.__name__ for known in _TOGETHER))
        raise UserError(f"--seeds works with {able}. Found --model {kind.__name__}: {_ONE_BY_ONE}.")
    if not hasattr(data, "seeds"):
        raise UserError(f"--seeds needs an ImageDataModule. Found --data {type(data).__name__}: {_ONE_BY_ONE}.")
    fixed = {"--model.seed": first.seed, "--data.label_seed": data.label_seed, "--data.seeds": data_seeds}
    for name, value in fixed.items():
        if value is not None:
            raise UserError(
                f"--seeds {list(seeds)} gives each member its seed. Found {name} {value}, which would be ignored: "
                f"leave it out, or {_ONE_BY_ONE}."
            )
    for seed, member in zip(seeds, members, strict=True):
        member.seed = seed  # type: ignore[assignment]  # as its setup would
    data.seeds = list(seeds)
    try:
        return _TOGETHER[kind](members)  # type: ignore[arg-type]  # of this kind
    except ValueError as error:
        raise UserError(f"--seeds {list(seeds)}: {error}") from error
