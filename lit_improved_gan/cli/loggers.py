"""The CSV logger of a run, and where the other loggers write."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

__all__ = ["RunCSVLogger", "close"]


class _Writer(ExperimentWriter):
    """Adds rows to a file on a disk; those that are there stay, whatever happens."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.path = Path(self.metrics_file_path)
        if self.path.is_file():
            self.metrics_keys = _read(self.path)[0]

    def _check_log_dir_exists(self) -> None:
        """Nothing: Lightning's deletes the file here."""

    def save(self) -> None:
        """Write what was logged since the last time; the whole file anew where there are new columns."""
        if not self.metrics:
            return
        new = {name for row in self.metrics for name in row}.difference(self.metrics_keys)
        if new or not self.path.is_file():
            self.metrics_keys = sorted({*self.metrics_keys, *new})
            before = _read(self.path)[1] if self.path.is_file() else []
            _write(self.path, self.metrics_keys, [*before, *self.metrics])
        else:
            text = io.StringIO()
            csv.DictWriter(text, self.metrics_keys).writerows(self.metrics)
            with self.path.open("ab") as file:
                file.write(text.getvalue().encode())
        self.metrics = []


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the rows, but for one that was cut off."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        return list(reader.fieldnames or []), [row for row in reader if None not in row.values()]


def _write(path: Path, names: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """The whole file; until it is written the one before it stays."""
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


class RunCSVLogger(CSVLogger):
    """Writes ``metrics.csv`` in the run directory; a resumed run appends to it.

    Lightning's logger deletes an existing file.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(save_dir=directory, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer, which keeps the rows that are there."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir)
        return self._experiment  # type: ignore[return-value]  # it is the writer made here

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's ``config.yaml`` has them."""

    @rank_zero_only
    def drop_rows_after(self, step: int) -> None:
        """Drop what a killed run logged after the checkpoint it is resumed from."""
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        if path.is_file():
            names, rows = _read(path)
            _write(path, names, [row for row in rows if int(row["step"]) <= step])


def close(loggers: Iterable[Logger], status: int) -> None:
    """End the runs of Weights & Biases that these loggers began: the Trainer leaves them open.

    A second command in the same process would otherwise go on writing into the first one's run.

    Args:
        loggers: of the trainer.
        status: exit status of the run, 0 if all went well.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            logger.experiment.finish(exit_code=status)
