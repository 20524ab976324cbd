"""The command line: LightningCLI with run directories, safe resuming and a result at the end."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger

from lit_improved_gan.callbacks import GracefulInterrupt, RunProgress
from lit_improved_gan.cli.checkpoint import check_left_to_do, check_overridden, read_checkpoint
from lit_improved_gan.cli.config_files import config_files
from lit_improved_gan.cli.errors import OneMessage, UserError
from lit_improved_gan.cli.going_on import changes
from lit_improved_gan.cli.last_words import LastWords
from lit_improved_gan.cli.lock import Lock
from lit_improved_gan.cli.loggers import RunCSVLogger, close
from lit_improved_gan.cli.machine import prepare_machine
from lit_improved_gan.cli.misspelt import where
from lit_improved_gan.cli.options import check_options
from lit_improved_gan.cli.report import best_checkpoint, result_line, say
from lit_improved_gan.cli.run_directory import (
    RunDirectory,
    is_first_process,
    new_directory,
    newest_last_checkpoint,
    run_directory_of,
)
from lit_improved_gan.cli.seeds import check_seeds, check_seeds_of, side_by_side
from lit_improved_gan.cli.values import check_values

__all__ = ["App"]


class Parser(OneMessage, LightningArgumentParser):
    """The command line's."""


class SaveConfig(SaveConfigCallback):
    """Keeps the resolved config as ``config.yaml`` in the directory of a fit.

    It is written, and sent to the loggers, when everything has been checked and training is about to start. A run that
    is resumed after 180 batches adds ``config-from-000180.yaml``.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Not yet."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the config."""
        folder, number = Path(trainer.default_root_dir), 0
        path = folder / "config.yaml"
        while path.exists():
            again = f"-{number}" if number else ""
            path, number = folder / f"config-from-{trainer.global_step:06d}{again}.yaml", number + 1
        if trainer.is_global_zero:
            self.parser.save(self.config, str(path), skip_unset=False, overwrite=False, multifile=False)
        options = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))
        for logger in trainer.loggers:
            logger.log_hyperparams(options)


class App(LightningCLI):
    """``fit``, ``validate``, ``test`` and ``predict`` for every experiment."""

    def __init__(self, args: list[str]) -> None:
        self.args, self.names = args, [path.stem for path in config_files(args)]
        self.lock: Lock | None = None
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=Parser,
            args=args,
        )

    # --- options ---

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Name an experiment and the place of its runs."""
        parser.add_argument("--name", type=str | None, help="Name of the experiment; by default that of its config.")
        parser.add_argument(
            "--threads", type=int | None, help="CPU threads of torch in each process; by default torch's."
        )
        parser.add_argument(
            "--seeds", type=Any, help="Train a member for each of these seeds, all as one batched model."
        )
        parser.add_argument("--runs", type=str, default="runs", help="Folder of all experiments' run directories.")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})
        return parser

    @property
    def options(self) -> Any:
        """The options of the subcommand."""
        return self.config[self.config["subcommand"]]

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and check what would be accepted and misread."""
        try:
            super().parse_arguments(parser, args)
        except UserError as error:
            bare = ". Give an experiment: -c configs/digits.yaml." if "arguments are required" in str(error) else ""
            raise UserError(f"{error}{where(str(error), self.args)}{bare}") from error
        options = self.options
        if options["name"] is None:
            options["name"] = self.names[0] if self.names else "run"
        check_options(self.config["subcommand"], options)
        check_values(yaml.safe_load(self.parser.dump(self.config, skip_unset=False))[self.config["subcommand"]])
        check_seeds(self.config["subcommand"], options, self.args)
        prepare_machine(options["threads"])

    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint, and refuse options that its hyperparameters would silently override."""
        self.first_step = 0
        options, path = self.options, self.options["ckpt_path"]
        if path is None:
            return
        if path == "last":
            path = newest_last_checkpoint(Path(options["runs"]) / options["name"])
            options["ckpt_path"] = str(path)
        checkpoint = read_checkpoint(Path(path))
        self.first_step = checkpoint["global_step"]
        check_seeds_of(checkpoint, options["seeds"], path)
        given = yaml.safe_load(self.parser.dump(self.config, skip_unset=False, format="yaml"))
        check_overridden(given[self.config["subcommand"]], checkpoint, path)
        if self.config["subcommand"] != "fit":
            return
        seed = checkpoint.get("improved_gan", {}).get("seed")
        if seed not in (None, options["seed_everything"]):
            say(f"The run goes on with its own seed {seed}, not with --seed_everything {options['seed_everything']}.")
            options["seed_everything"] = seed
        for change in changes(given["fit"], checkpoint, Path(path), self.args):
            say(change)
        trainer = options["trainer"]
        check_left_to_do(trainer, checkpoint, path)
        if trainer["max_epochs"] not in (None, -1) and trainer["max_steps"] != -1:
            raise UserError(
                f"A run cannot be resumed with both --trainer.max_epochs (now {trainer['max_epochs']}) and "
                f"--trainer.max_steps (now {trainer['max_steps']}). Set one of them to -1."
            )

    # --- the run ---

    def _run_subcommand(self, subcommand: str) -> None:
        """Not from the constructor: :meth:`run` does it."""

    def run(self) -> None:
        """Run the subcommand."""
        assert self.subcommand is not None  # the parser requires one
        status = 1
        try:
            super()._run_subcommand(self.subcommand)
            status = 0
            if torch.distributed.is_initialized():  # left to the end of the process, gloo may abort it
                torch.distributed.destroy_process_group()
        finally:
            close(self.trainer.loggers, status)
            self._unlock()

    @property
    def has_begun(self) -> bool:
        """Whether a batch is done."""
        return self.run_directory.used

    def forget_directory(self) -> None:
        """Remove the directory that was made for a run that never began."""
        if self.made_directory and is_first_process():
            shutil.rmtree(self.directory, ignore_errors=True)
            with suppress(OSError):  # other runs are in it
                self.directory.parent.rmdir()

    def instantiate_classes(self) -> None:
        """Build everything; no empty directory stays behind where that fails."""
        try:
            seeds = self.options["seeds"]
            others = [self._member(seed) for seed in seeds[1:]] if seeds else []
            super().instantiate_classes()
            self.model = side_by_side(seeds, [self.model, *others], self.datamodule)
        except BaseException:
            self.forget_directory()
            self._unlock()
            raise

    def _unlock(self) -> None:
        if self.lock is not None:
            self.lock.release()

    def _member(self, seed: int) -> LightningModule:
        """The module as a run under this seed alone would begin with it: all that is built draws from its numbers."""
        seed_everything(seed, workers=True, verbose=False)
        member: LightningModule = self.parser.instantiate(self.config)[self.subcommand]["model"]
        seed_everything(int(self.options["seed_everything"]), workers=True, verbose=False)
        return member

    def before_instantiate_classes(self) -> None:
        """Choose the directory; the loggers write below it."""
        self.directory, self.made_directory = self._choose_directory()
        if self.config["subcommand"] == "fit" and is_first_process():
            self.lock = Lock(self.directory)
        self.saved_config = self.config.clone()
        loggers = self.options["trainer"]["logger"]
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            arguments = getattr(logger, "init_args", {})
            if "save_dir" in arguments:  # an absolute one stays as it is
                arguments["save_dir"] = str(self.directory / (arguments["save_dir"] or "."))

    def _choose_directory(self) -> tuple[Path, bool]:
        """The directory, and whether it is new."""
        options, stage = self.options, self.config["subcommand"]
        checkpoint = options["ckpt_path"]
        own = run_directory_of(Path(checkpoint)) if checkpoint else None
        experiment = Path(options["runs"]) / options["name"]
        if stage == "fit":
            if own and self._has_gone_on(own / "checkpoints" / "last.ckpt", Path(checkpoint)):
                say(f"{own} has gone on since {checkpoint} was saved, and is kept. A new run begins with its own best.")
                own = None
            return (own, False) if own else (new_directory(experiment), True)
        if stage == "predict" or options["trainer"]["logger"] not in (None, True, False):
            return new_directory(own or experiment, f"{stage}-"), True
        return own or experiment, False  # nothing is written

    def _has_gone_on(self, last: Path, checkpoint: Path) -> bool:
        """Whether ``last`` is a later state than the checkpoint; a file that is read already is not read again."""
        if not last.is_file() or last.samefile(checkpoint):
            return False
        with suppress(UserError):  # it is damaged
            return bool(read_checkpoint(last)["global_step"] > self.first_step)
        return False

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Give the trainer the run's directory, loggers and progress bar."""
        settings = self.config_init[self.subcommand]["trainer"]
        kwargs["default_root_dir"] = str(self.directory)
        kwargs["logger"] = self._loggers(settings["logger"])
        callbacks = settings["callbacks"] = list(settings["callbacks"] or [])
        self.run_directory = RunDirectory()
        callbacks[:0] = [self.run_directory, GracefulInterrupt(), LastWords()]
        if settings["enable_progress_bar"] is not False and not any(isinstance(c, ProgressBar) for c in callbacks):
            callbacks.append(RunProgress())
        for callback in callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(self.directory / "checkpoints")
        self.config = self.saved_config  # what SaveConfig keeps: it holds for every directory
        return super().instantiate_trainer(**kwargs)

    def _loggers(self, given: Any) -> Any:
        if given is False or (given in (None, True) and self.subcommand != "fit"):
            return False
        others = [] if given in (None, True) else given if isinstance(given, list) else [given]
        if any(isinstance(logger, CSVLogger) for logger in others):
            raise UserError("metrics.csv is written anyway, and CSVLogger would delete it on resuming: leave it out.")
        return [RunCSVLogger(self.directory), *others] if self.subcommand == "fit" else others

    # --- what is said at the end ---

    def before_fit(self) -> None:
        """Drop what a killed run logged after the checkpoint that it goes on from."""
        for logger in self.trainer.loggers:
            if isinstance(logger, RunCSVLogger):
                logger.drop_rows_after(self.first_step)

    def after_fit(self) -> None:
        """Test the best checkpoint, or the last; print the result, where the run is and how to sample from it."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # a connector sets it
            return
        path, which = best_checkpoint(self.trainer)
        if path is not None:
            say(f"testing {path} ({which})")
        self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=path, weights_only=True, verbose=False)
        say(result_line("test", self.trainer.callback_metrics))
        say(f"run directory: {self.directory}")
        if path is not None and hasattr(self.model, "sample"):
            say(f"sample from it: lit-improved-gan predict --ckpt_path {path}")

    def before_validate(self) -> None:
        """Refuse to validate on nothing."""
        if getattr(self.datamodule, "val_size", None) == 0:
            raise UserError("There are no held-out images: --data.val_size is 0. Give the size that the run had.")

    def after_validate(self) -> None:
        """Print the result."""
        say(result_line("val", self.trainer.callback_metrics))

    def after_test(self) -> None:
        """Print the result."""
        say(result_line("test", self.trainer.callback_metrics))

    def before_predict(self) -> None:
        """Refuse a module that makes no samples."""
        if not hasattr(self.model, "sample"):
            raise UserError(f"`predict` writes samples, and {type(self.model).__name__} makes none.")
