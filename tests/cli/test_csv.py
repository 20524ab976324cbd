"""What is in metrics.csv stays there."""

import csv
import os
import resource
from pathlib import Path

import pytest

from lit_improved_gan.axis import log_at
from lit_improved_gan.cli.loggers import RunCSVLogger


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


FIRST, SECOND = {"a": "1.5", "b": "2", "step": "1"}, {"a": "-1e-07", "b": "nan", "step": "2"}


@pytest.fixture
def logger(tmp_path: Path) -> RunCSVLogger:
    made = RunCSVLogger(tmp_path)
    log_at([made], {"a": 1.5, "b": 2}, 1)
    log_at([made], {"b": float("nan"), "a": -1e-7}, 2)
    return made


def test_rows_and_new_columns(logger: RunCSVLogger, tmp_path: Path) -> None:
    assert rows(tmp_path) == [FIRST, SECOND]
    log_at([logger], {"c": 3}, 3)
    log_at([logger], {"a": 4}, 4)
    assert rows(tmp_path) == [FIRST, SECOND, {"c": "3", "step": "3"}, {"a": "4", "step": "4"}]
    logger.finalize("success")
    assert len(rows(tmp_path)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_later_logger_goes_on(logger: RunCSVLogger, tmp_path: Path) -> None:
    later = RunCSVLogger(tmp_path)
    log_at([later], {"a": 5}, 3)
    assert rows(tmp_path) == [FIRST, SECOND, {"a": "5", "step": "3"}]
    later.drop_rows_after(1)
    assert rows(tmp_path) == [FIRST]


def test_a_row_that_was_cut_off_is_dropped(logger: RunCSVLogger, tmp_path: Path) -> None:
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("4,")
    later = RunCSVLogger(tmp_path)
    later.drop_rows_after(9)
    assert rows(tmp_path) == [FIRST, SECOND]


def test_a_file_that_was_removed_begins_with_its_columns(logger: RunCSVLogger, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").unlink()
    log_at([logger], {"a": 1.5, "b": 2}, 1)
    assert rows(tmp_path) == [FIRST]


def test_without_values_there_is_no_file(tmp_path: Path) -> None:
    RunCSVLogger(tmp_path).save()
    assert not (tmp_path / "metrics.csv").exists()


@pytest.mark.parametrize("name", ["a", "a new one"])
def test_a_full_disk_is_said_and_costs_no_row(logger: RunCSVLogger, tmp_path: Path, name: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(tmp_path / "metrics.csv") + 2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log_at([logger], {name: 4.123456789}, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert rows(tmp_path)[:2] == [FIRST, SECOND]
