"""Weights & Biases and TensorBoard by overlay."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from helpers import SMALL

FIT = ("fit", "-c", "configs/digits.yaml", *SMALL)


def records(path: Path) -> list[Any]:
    """The records of an offline run: frames of a 7-byte header (checksum, length, kind) in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, parts, found = path.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            record = Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def test_wandb_gets_config_metrics_and_grids_on_the_same_axis(run, tmp_path) -> None:
    import wandb

    result = run(*FIT, "-c", "configs/trainer/wandb.yaml")
    assert result.status == 0, result.err
    assert wandb.run is None  # a second command in this process would go on in the first one's run
    wandb.teardown()  # waits until the file is written
    (offline,) = (tmp_path / "runs/digits/0/wandb").glob("offline-run-*")
    (file,) = offline.glob("*.wandb")
    found = records(file)
    config = {item.key: json.loads(item.value_json) for r in found for item in (*r.config.update, *r.run.config.update)}
    assert config["data"]["init_args"]["labels_per_class"] == 5
    assert config["seed_everything"] == 0
    rows = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in r.history.item}
        for r in found
        if r.HasField("history")
    ]
    losses = {row["trainer/global_step"]: row["train/d_loss"] for row in rows if "train/d_loss" in row}
    assert sorted(losses) == [2, 4]
    assert any("test/error_percent" in row for row in rows)
    (grid,) = [row for row in rows if "samples/filenames" in row]
    assert grid["trainer/global_step"] == 4
    assert len(list((offline / "files" / "media" / "images").rglob("*.png"))) == 1
    assert (tmp_path / "runs/digits/0/metrics.csv").is_file()
    assert not (tmp_path / "wandb").exists()


def test_tensorboard_gets_metrics_and_grids_on_the_same_axis(run, tmp_path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = run(*FIT, "-c", "configs/trainer/tensorboard.yaml")
    assert result.status == 0, result.err
    events = event_accumulator.EventAccumulator(str(tmp_path / "runs/digits/0/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/d_loss")] == [2, 4]
    assert [event.step for event in events.Images("samples")] == [4]
    assert (tmp_path / "runs/digits/0/metrics.csv").is_file()
    assert not (tmp_path / "tensorboard").exists()


def test_no_logger_no_metrics(run, tmp_path) -> None:
    result = run(*FIT, "--trainer.logger=false")
    assert result.status == 0, result.err
    assert not (tmp_path / "runs/digits/0/metrics.csv").exists()
