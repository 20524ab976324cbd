"""Statistics of the real images on disk."""

import os
from pathlib import Path

import pytest
import torch
from helpers.fake_features import FakeFeatures, images_of

from lit_improved_gan.metrics import (
    FrechetInceptionDistance,
    KernelInceptionDistance,
    PrecisionRecall,
    RealStatistics,
    cache_folder,
    content_of,
)

MEASURES = {
    "fid": lambda e: FrechetInceptionDistance(e, "a"),
    "kid": lambda e: KernelInceptionDistance(e, "a", subset_size=4, max_samples=20),
    "prc": lambda e: PrecisionRecall(e, "wide", neighbours=2, max_samples=20),
}
every = pytest.mark.parametrize("make", MEASURES.values(), ids=MEASURES)


@every
def test_what_is_saved_is_loaded(tmp_path: Path, make) -> None:
    real, generated = images_of(0), images_of(1)
    kept = RealStatistics(tmp_path / "new" / "folder", content_of(real))
    metric = make(FakeFeatures())
    assert not kept.load(metric)
    metric.update(real, real=True)
    kept.save(metric)
    metric.update(generated)
    extractor = FakeFeatures()
    other = make(extractor)
    assert kept.load(other)
    assert not extractor.passes
    other.update(generated)
    assert other.compute() == metric.compute()
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1


def test_each_measure_has_a_file_of_all_that_it_depends_on(tmp_path: Path) -> None:
    real = images_of(0)
    changed = real.clone()
    changed[5, 1, 2, 3] ^= 1
    contents = {content_of(x) for x in (real, changed, real[:11], real.flip(0), real.view(-1, 3, 2, 8))}
    assert len(contents) == 5
    assert content_of(real.clone()) == content_of(real)
    assert content_of(real).startswith("12-")
    metrics = [
        *(make(FakeFeatures()) for make in MEASURES.values()),
        FrechetInceptionDistance(FakeFeatures("other weights"), "a"),
        FrechetInceptionDistance(FakeFeatures(), "b"),
        KernelInceptionDistance(FakeFeatures(), "a", subset_size=4, max_samples=21),
    ]
    paths = {RealStatistics(tmp_path, content).path(metric) for content in contents for metric in metrics}
    assert len(paths) == 5 * 6


def test_content_does_not_depend_on_the_order_in_memory() -> None:
    x = images_of(0, 2003)
    strided = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert content_of(strided) == content_of(x)
    assert content_of(x[:2002]) != content_of(torch.cat([x[:2001], x[2002:]]))


@every
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other", "list", "shape"])
def test_a_damaged_file_is_said_and_measured_again(tmp_path: Path, make, damage: str) -> None:
    real = images_of(0)
    kept = RealStatistics(tmp_path, content_of(real))
    metric = make(FakeFeatures())
    metric.update(real, real=True)
    kept.save(metric)
    path = kept.path(metric)
    whole = path.read_bytes()
    state = metric.real_state()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        path.write_bytes(whole[:100] + bytes(200) + whole[300:])
    elif damage in ("empty", "text"):
        path.write_bytes(b"" if damage == "empty" else b"hello")
    else:
        wrong = {"other": {"a": torch.zeros(1)}, "list": [1], "shape": {n: v.flatten()[:1] for n, v in state.items()}}
        torch.save(wrong[damage], path)
    other = make(FakeFeatures())
    with pytest.warns(UserWarning, match=rf"{path.name} is damaged: the real images are measured again"):
        assert not kept.load(other)
    assert not any(value.any() for value in other.real_state().values())
    other.update(real, real=True)
    kept.save(other)
    assert kept.load(make(FakeFeatures()))


def test_a_file_with_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_run"), "w"))

    metric = MEASURES["fid"](FakeFeatures())
    kept = RealStatistics(tmp_path, "x")
    torch.save({"real_sum": Evil()}, kept.path(metric))
    with pytest.warns(UserWarning, match="damaged"):
        assert not kept.load(metric)
    assert not (tmp_path / "was_run").exists()


@every
def test_a_half_written_file_is_never_read(tmp_path: Path, make, monkeypatch) -> None:
    metric = make(FakeFeatures())
    metric.update(images_of(0), real=True)
    kept = RealStatistics(tmp_path, "x")

    def killed(state, path) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.save(metric)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"half"]
    assert not kept.load(make(FakeFeatures()))  # without a warning: there is no such file
    kept.save(metric)
    assert kept.load(make(FakeFeatures()))


def test_an_older_file_is_whole_until_the_newer_one_is(tmp_path: Path, monkeypatch) -> None:
    metric = MEASURES["fid"](FakeFeatures())
    kept = RealStatistics(tmp_path, "x")
    kept.save(metric)
    before = kept.path(metric).read_bytes()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(Path, "replace", lambda *args: (_ for _ in ()).throw(OSError("no")))
    metric.update(images_of(0), real=True)
    with pytest.warns(UserWarning, match=r"could not be written \(no\)"):
        kept.save(metric)
    assert kept.path(metric).read_bytes() == before


def test_features_that_were_given_have_files_as_well(tmp_path: Path) -> None:
    metric = FrechetInceptionDistance(num_features=3)
    metric.update(torch.rand(5, 3), real=True)
    kept = RealStatistics(tmp_path, "x")
    kept.save(metric)
    assert kept.load(FrechetInceptionDistance(num_features=3))


def test_the_cache_is_the_users(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lit_improved_gan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache_folder() == tmp_path / "home" / ".cache" / "lit_improved_gan"
