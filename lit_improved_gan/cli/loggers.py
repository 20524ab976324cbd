"""The CSV logger of a run, and where the other loggers write."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

__all__ = ["RunCSVLogger", "close"]


class _Writer(ExperimentWriter):
    """Adds rows to a file on a disk; Lightning's, on whatever there may be, takes twice as long."""

    def save(self) -> None:
        """Write what was logged since the last time."""
        if not self.metrics_keys or any(row.keys() - self.metrics_keys for row in self.metrics):
            super().save()  # with a new header
            return
        text = io.StringIO()
        csv.DictWriter(text, self.metrics_keys).writerows(self.metrics)
        with open(self.metrics_file_path, "ab", buffering=0) as file:
            file.write(text.getvalue().encode())
        self.metrics = []


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
            path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
            before = path.read_text() if path.is_file() else None
            writer = _Writer(log_dir=self.log_dir)
            if before:
                path.write_text(before)
                writer.metrics_keys = next(csv.reader(before.splitlines()))
            self._experiment = writer
        return self._experiment  # type: ignore[return-value]  # it is the writer made here

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's ``config.yaml`` has them."""

    def drop_rows_after(self, step: int) -> None:
        """Drop what a killed run logged after the checkpoint it is resumed from."""
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        if not path.is_file():
            return
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or [], [row for row in reader if int(row["step"]) <= step]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


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
