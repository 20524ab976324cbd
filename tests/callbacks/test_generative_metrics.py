"""Measures of samples while training: the values, where they are logged, that training is left alone."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.mutate import plant
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_improved_gan import GAN, DigitsDataModule, MLPDiscriminator, MLPGenerator
from lit_improved_gan.callbacks import GenerativeMetrics, LastCheckpoint
from lit_improved_gan.callbacks.numbered_samples import numbered_samples
from lit_improved_gan.metrics import (
    FrechetInceptionDistance,
    InceptionScore,
    KernelInceptionDistance,
    NetworkFeatures,
    PrecisionRecall,
    content_of,
    load_classifier,
    squared_discrepancy,
)

N, REAL, INNER = 45, 60, "layers.4"


class Counting(NetworkFeatures):
    """Features of the bundled classifier; remembers the images that pass."""

    def __init__(self) -> None:
        super().__init__(load_classifier(), "digits", layers=["", INNER])
        self.passed: list[Tensor] = []

    def extract(self, images: Tensor) -> dict[str, Tensor]:
        if hasattr(self, "passed"):  # not those that the constructor shows it
            self.passed.append(images.clone())
        return super().extract(images)

    @property
    def count(self) -> int:
        return sum(map(len, self.passed))


def score(extractor):
    return InceptionScore(extractor, "", splits=4)


def fid(extractor):
    return FrechetInceptionDistance(extractor, "")


def kid(extractor):
    return KernelInceptionDistance(extractor, INNER, subsets=3, subset_size=20, max_samples=100)


def precision(extractor):
    return PrecisionRecall(extractor, INNER, neighbours=3, max_samples=100)


ALL = (score, fid, kid, precision)
NAMES = {
    *("classifier_score_digits", "classifier_score_digits_std", "fid_digits"),
    *(f"{name}_digits_layers_4" for name in ("kid", "precision", "recall", "density", "coverage")),
    "kid_digits_layers_4_std",
}


@pytest.fixture
def measure(tmp_path):
    """Make the callback, with a small network and few images."""

    def make(*metrics, **kwargs) -> GenerativeMetrics:
        defaults = {"num_samples": N, "num_real": REAL, "batch_size": 16, "cache": str(tmp_path / "cache")}
        return GenerativeMetrics(Counting(), list(metrics or ALL), **{**defaults, **kwargs})

    return make


@pytest.fixture
def gan() -> GAN:
    torch.manual_seed(0)
    return GAN(MLPGenerator(hidden=(16,)), MLPDiscriminator(hidden=(16,), num_outputs=1), seed=0)


@pytest.fixture
def digits() -> DigitsDataModule:
    return DigitsDataModule(batch_size=100, val_size=700)  # 5 batches an epoch


class Plain(LightningDataModule):
    """Offers real images, and nothing else of the library's."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images

    def real_images(self, split: str) -> Tensor:
        return self.images

    def train_dataloader(self) -> DataLoader:
        return DataLoader(torch.zeros(12, 1, 8, 8), batch_size=2)

    test_dataloader = train_dataloader


@pytest.fixture
def plain(digits) -> Plain:
    return Plain(digits.real_images("train")[:REAL])


@pytest.fixture
def sampling(foreign):
    """A module with ``sample(n, seed)`` alone."""
    foreign.test_step = lambda batch, batch_idx: None
    return foreign


@torch.no_grad()
def by_hand(samples: Tensor, real: Tensor, splits: int = 4, neighbours: int = 3) -> dict[str, float]:
    """All values, from the pixels, without the library's measures."""
    network = load_classifier()
    pixels = [((samples.float() + 1) * 127.5).round().clamp(0, 255), real.float()]
    inner = [network.layers[:5](x / 127.5 - 1).double().numpy() for x in pixels]
    logits = [network(x / 127.5 - 1).double().numpy() for x in pixels]

    p = np.exp(logits[0] - logits[0].max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    scores = []
    for i in range(splits):
        q = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        scores.append(np.exp((q * np.log(q / q.mean(0))).sum(1).mean()))
    cov = [np.cov(x.T) for x in logits]
    root = np.sqrt(np.linalg.eigvals(cov[0] @ cov[1]).real.clip(0)).sum()
    distance = ((logits[0].mean(0) - logits[1].mean(0)) ** 2).sum() + np.trace(cov[0]) + np.trace(cov[1]) - 2 * root

    draw, found = np.random.RandomState(2020), []
    for _ in range(3):
        x, y = (torch.tensor(v[draw.choice(len(v), 20, replace=False)]) for v in inner)
        found.append(float(squared_discrepancy(x, y)))

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))

    radius = [np.sort(distances(x, x), 1)[:, neighbours] for x in inner]
    between = distances(*inner)  # generated, real
    inside = between <= radius[1][None]
    values = {
        "classifier_score_digits": np.mean(scores),
        "classifier_score_digits_std": np.std(scores),
        "fid_digits": distance,
        "kid_digits_layers_4": np.mean(found),
        "kid_digits_layers_4_std": np.std(found),
        "precision_digits_layers_4": inside.any(1).mean(),
        "recall_digits_layers_4": (between <= radius[0][:, None]).any(0).mean(),
        "density_digits_layers_4": inside.sum(1).mean() / neighbours,
        "coverage_digits_layers_4": inside.any(0).mean(),
    }
    return {name: float(value) for name, value in values.items()}


def records(folder: Path) -> list[dict]:
    return json.loads((folder / "metrics.json").read_text())


def close(found: dict, expected: dict[str, float], stage: str) -> None:
    for name, value in expected.items():
        assert float(found[f"{stage}/{name}"]) == pytest.approx(value, rel=1e-4, abs=1e-6), name


def assert_equal(a, b, at: str = "") -> None:
    """Bitwise, through dicts and lists."""
    assert type(a) is type(b), at
    if isinstance(a, dict):
        assert a.keys() == b.keys(), at
        for key in a:
            assert_equal(a[key], b[key], f"{at}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), at
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{at}.{i}")
    elif isinstance(a, Tensor):
        assert a.dtype == b.dtype, at
        assert torch.equal(a, b), at
    else:
        assert a == b, at


# --- the values, and where they are logged ---


def test_values_are_those_of_the_samples_and_the_real_images(gan, digits, measure, make_trainer, tmp_path) -> None:
    assert set(by_hand(torch.zeros(N, 1, 8, 8), digits.real_images("train")[:REAL])) == NAMES
    seen = {}

    class Watch(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen[trainer.current_epoch + 1] = (
                dict(trainer.callback_metrics),
                by_hand(pl_module.sample(33, seed=7), digits.real_images("train")[:REAL]),
            )

    callback = measure(every_n_epochs=2, val_samples=33, seed=7)
    trainer = make_trainer(callback, Watch(), max_epochs=5, logger=CSVLogger(tmp_path, "", ""))
    trainer.fit(gan, digits)
    assert not any(name.startswith("val/fid") for name in seen[1][0])
    close(seen[2][0], seen[2][1], "val")
    close(seen[4][0], seen[4][1], "val")
    tested = trainer.test(gan, digits, verbose=False)[0]
    expected = by_hand(gan.sample(N, seed=7), digits.real_images("train")[:REAL])
    close(tested, expected, "test")

    rows = [row for row in csv.DictReader((tmp_path / "metrics.csv").open()) if row.get("val/fid_digits")]
    assert [int(row["step"]) for row in rows] == [10, 20]  # training batches
    for row, epoch in zip(rows, (2, 4), strict=True):
        close(row, seen[epoch][1], "val")
    kept = records(tmp_path)
    assert [record["batches"] for record in kept] == [10, 20, 25]
    assert [record["samples"] for record in kept] == [33, 33, N]
    for record, values, stage in zip(kept, (seen[2][1], seen[4][1], expected), ("val", "val", "test"), strict=True):
        close(record, values, stage)
        assert {name for name in record if "/" in name} == {f"{stage}/{name}" for name in NAMES}


@pytest.mark.parametrize("planted", ["seed", "numbers", "split", "channels"])
def test_the_values_catch_planted_errors(gan, digits, measure, make_trainer, monkeypatch, planted: str) -> None:
    import lit_improved_gan.callbacks.generative_metrics as here

    if planted == "seed":
        plant(monkeypatch, GenerativeMetrics._found, "self.seed,", "self.seed + 1,")
    elif planted == "numbers":
        plant(monkeypatch, GenerativeMetrics._found, "numbers=part", "numbers=part.flip(0)")
    elif planted == "split":
        plant(monkeypatch, GenerativeMetrics._real_images, "real_images(self.real)", "real_images('test')")
    else:
        monkeypatch.setattr(here, "numbered_samples", lambda *args: ((p, -x) for p, x in _numbered(*args)))
    tested = make_trainer(measure()).test(gan, digits, verbose=False)[0]
    with pytest.raises(AssertionError):
        close(tested, by_hand(gan.sample(N), digits.real_images("train")[:REAL]), "test")


def _numbered(*args):

    return numbered_samples(*args)


def test_a_checkpoint_can_be_chosen_by_it(gan, digits, measure, make_trainer, tmp_path) -> None:
    choose = ModelCheckpoint(tmp_path / "best", "{step}", monitor="val/fid_digits", save_top_k=1)
    trainer = make_trainer(measure(fid, every_n_epochs=1), choose, max_epochs=4, enable_checkpointing=True)
    trainer.fit(gan, digits)
    values = {record["batches"]: record["val/fid_digits"] for record in records(tmp_path)}
    assert list(values) == [5, 10, 15, 20]
    assert float(choose.best_model_score) == pytest.approx(min(values.values()))
    assert Path(choose.best_model_path).name == f"step={min(values, key=values.get)}.ckpt"


def test_nothing_is_measured_while_training_unless_asked(gan, digits, measure, make_trainer, tmp_path) -> None:
    callback = measure()
    make_trainer(callback, max_epochs=2).fit(gan, digits)
    assert callback.extractor.count == 0
    assert not (tmp_path / "metrics.json").exists()


def test_the_record_suffices_to_repeat_the_number(gan, digits, measure, make_trainer, tmp_path) -> None:
    trainer = make_trainer(
        measure(score, fid, kid, seed=3, real="test", num_real=50), LastCheckpoint(), enable_checkpointing=True
    )
    trainer.fit(gan, digits)
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.test(gan, DigitsDataModule(val_size=700), ckpt_path=last, weights_only=True, verbose=False)
    (record,) = records(tmp_path)

    module = GAN.load_from_checkpoint(
        record["checkpoint"],
        generator=MLPGenerator(hidden=(16,)),
        discriminator=MLPDiscriminator(hidden=(16,), num_outputs=1),
        weights_only=True,
    )
    assert module.batches == record["batches"] == 5
    number, _, name, split = record["real images"].replace(",", "").split()
    assert (name, split) == ("DigitsDataModule", "test")
    data = DigitsDataModule()
    data.setup()
    real = data.real_images(split)[: int(number)]
    again = by_hand(module.sample(record["samples"], seed=record["seed of the samples"]), real)
    close(record, {name: value for name, value in again.items() if name.startswith(("cl", "fid", "kid"))}, "test")
    assert record["features"] == Counting().fingerprint
    assert record["content of the real images"] == content_of(real)
    assert record["measures"] == [
        {"class": "InceptionScore", "layer": "", "splits": 4},
        {"class": "FrechetInceptionDistance", "layer": ""},
        {"class": "KernelInceptionDistance", "layer": INNER, "subsets": 3, "subset_size": 20, "max_samples": 100}
        | {"seed": 2020},
    ]
    assert record["processes"] == 1
    assert record["versions"]["torch"] == torch.__version__


def test_a_second_test_repeats_the_value_and_adds_a_record(gan, digits, measure, make_trainer, tmp_path) -> None:
    for _ in range(2):
        trainer = make_trainer(measure())
        trainer.test(gan, digits, verbose=False)
        trainer.test(gan, digits, verbose=False)
    kept = records(tmp_path)
    assert len(kept) == 4
    for record in kept[1:]:
        assert record == kept[0]
    assert not list(tmp_path.glob("*.tmp"))


# --- training is left alone ---


def trained(tmp_path: Path, make_trainer, callback: GenerativeMetrics | None, name: str) -> tuple[dict, GAN]:
    """The whole checkpoint of a short run, and its module."""
    torch.manual_seed(0)
    np.random.seed(0)
    discriminator = MLPDiscriminator(hidden=(16,), num_outputs=1)
    module = GAN(MLPGenerator(hidden=(16,)), discriminator, seed=0)
    trainer = make_trainer(
        LastCheckpoint(),
        *([callback] if callback else []),
        max_epochs=3,
        enable_checkpointing=True,
        default_root_dir=tmp_path / name,
    )
    trainer.fit(module, DigitsDataModule(batch_size=100, val_size=700))
    path = tmp_path / name / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True), module


def test_training_with_and_without_it_is_the_same_bit_for_bit(measure, make_trainer, tmp_path) -> None:
    callback = measure(every_n_epochs=1)
    with_it, module = trained(tmp_path, make_trainer, callback, "with")
    without, plain = trained(tmp_path, make_trainer, None, "without")
    assert callback.extractor.count == REAL + 3 * N
    assert_equal(with_it["state_dict"], without["state_dict"])
    assert_equal(with_it, without)  # optimizers, loops, callbacks: no key and no value more
    sizes = [(tmp_path / name / "checkpoints/last.ckpt").stat().st_size for name in ("with", "without")]
    assert sizes[0] == sizes[1]
    assert_equal(dict(module.state_dict()), dict(plain.state_dict()))
    for a, b in ((module.parameters(), plain.parameters()), (module.modules(), plain.modules())):
        assert len(list(a)) == len(list(b))


def test_the_comparison_catches_planted_errors(measure, make_trainer, tmp_path, monkeypatch) -> None:
    without, _ = trained(tmp_path, make_trainer, None, "without")

    class Registers(GenerativeMetrics):
        def setup(self, trainer, pl_module, stage):
            pl_module.extractor = self.extractor
            super().setup(trainer, pl_module, stage)

    class Trains(GenerativeMetrics):
        def on_train_epoch_end(self, trainer, pl_module):
            pl_module.generator.layers[0].weight.data += 1e-6

    for kind in (Registers, Trains):
        callback = kind(Counting(), [fid], N, every_n_epochs=1, num_real=REAL, cache=str(tmp_path / "cache"))
        found, _ = trained(tmp_path, make_trainer, callback, kind.__name__)
        with pytest.raises(AssertionError):
            assert_equal(found, without)


def test_the_state_of_the_noise_and_the_modes_are_untouched(gan, digits, measure, make_trainer) -> None:
    watched = []

    def states(module):
        return (
            torch.get_rng_state(),
            torch.tensor(np.random.get_state()[1].astype(np.int64)),
            [part.training for part in module.modules()],
            [p.requires_grad for p in module.parameters()],
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
        )

    class Noisy(GAN):
        def sample_numbered(self, numbers, seed=0):
            torch.randn(3)  # a generator with noise of its own
            return super().sample_numbered(numbers, seed)

    class Watch(GenerativeMetrics):
        def _watched(self, method, trainer, pl_module):
            before = states(pl_module)
            method(trainer, pl_module)
            assert_equal(before, states(pl_module))
            watched.append(method.__name__)

        def on_train_epoch_end(self, trainer, pl_module):
            self._watched(super().on_train_epoch_end, trainer, pl_module)

        def on_test_epoch_end(self, trainer, pl_module):
            self._watched(super().on_test_epoch_end, trainer, pl_module)

    gan.__class__ = Noisy
    callback = measure()
    callback.__class__ = Watch
    callback.every_n_epochs = 1
    trainer = make_trainer(callback, max_epochs=2)
    trainer.fit(gan, digits)
    trainer.test(gan, digits, verbose=False)
    assert watched == ["on_train_epoch_end"] * 2 + ["on_test_epoch_end"]


def test_the_state_of_the_noise_would_be_touched_otherwise(gan, digits, measure, make_trainer, monkeypatch) -> None:
    plant(monkeypatch, GenerativeMetrics._measure, ", untouched_noise(pl_module.device)", "")
    with pytest.raises(AssertionError):
        test_the_state_of_the_noise_and_the_modes_are_untouched(gan, digits, measure, make_trainer)


# --- how often images pass the extractor ---


def test_every_image_passes_once_whatever_the_number_of_measures(gan, digits, measure, make_trainer) -> None:
    callback = measure(every_n_epochs=1, val_samples=33)
    trainer = make_trainer(callback, max_epochs=2)
    trainer.fit(gan, digits)
    assert callback.extractor.count == REAL + 2 * 33
    trainer.test(gan, digits, verbose=False)  # in inference mode
    assert callback.extractor.count == REAL + 2 * 33 + N
    passed = torch.cat(callback.extractor.passed)[:, :1]
    assert torch.equal(passed[:REAL], digits.real_images("train")[:REAL])
    assert torch.equal(passed[-N:], ((gan.sample(N).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    assert max(map(len, callback.extractor.passed)) == 16
    assert callback.extractor._last is None  # the last images are not kept


def test_in_inference_mode_it_would_pass_once_for_each(gan, digits, measure, make_trainer, monkeypatch) -> None:
    plant(monkeypatch, GenerativeMetrics._measure, "torch.inference_mode(False), ", "")
    callback = measure()
    make_trainer(callback).test(gan, digits, verbose=False)
    assert callback.extractor.count > REAL + N


def test_real_images_are_measured_once_in_all(gan, digits, measure, make_trainer, tmp_path) -> None:
    def generated_or_not(callback, data=digits) -> int:
        make_trainer(callback).test(gan, data, verbose=False)
        return callback.extractor.count - N

    assert generated_or_not(measure()) == REAL
    files = {path: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    assert len(files) == 3  # the score has none
    second = measure()
    assert generated_or_not(second) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "cache").iterdir()} == files
    kept = records(tmp_path)
    assert kept[0] == kept[1]
    assert generated_or_not(measure(fid)) == 0  # of those that are kept, any
    assert generated_or_not(measure(fid, num_real=59)) == 59
    assert generated_or_not(measure(fid, real="test")) == REAL
    changed = DigitsDataModule(val_size=700)
    changed.setup()
    changed.training_set.images[REAL - 1, 0, 0, 0] += 1
    assert generated_or_not(measure(fid), changed) == REAL
    assert generated_or_not(measure(fid, cache=str(tmp_path / "elsewhere"))) == REAL
    assert generated_or_not(measure(score, cache=str(tmp_path / "none"))) == 0
    assert not (tmp_path / "none").exists()


def test_what_is_kept_gives_the_value_and_a_damaged_file_is_measured_again(
    gan, digits, measure, make_trainer, tmp_path
) -> None:
    first = make_trainer(measure()).test(gan, digits, verbose=False)[0]
    assert make_trainer(measure()).test(gan, digits, verbose=False)[0] == first
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    callback = measure()
    with pytest.warns(UserWarning, match="is damaged: the real images are measured again"):
        assert make_trainer(callback).test(gan, digits, verbose=False)[0] == first
    assert callback.extractor.count == REAL + N


def test_the_users_cache_is_taken_where_no_folder_is_named(gan, digits, make_trainer, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    make_trainer(GenerativeMetrics(Counting(), [fid], 20, num_real=REAL)).test(gan, digits, verbose=False)
    (path,) = (tmp_path / "home" / "lit_improved_gan").iterdir()
    assert content_of(digits.real_images("train")[:REAL]) in path.name
    assert Counting().fingerprint in path.name


# --- other modules and data ---


def test_a_foreign_module_and_datamodule(sampling, plain, measure, make_trainer, tmp_path) -> None:
    callback = measure(every_n_epochs=1)
    trainer = make_trainer(callback, max_epochs=2, logger=CSVLogger(tmp_path, "", ""))
    trainer.fit(sampling, plain)
    close(trainer.callback_metrics, by_hand(sampling.sample(N), plain.images), "val")
    tested = trainer.test(sampling, plain, verbose=False)[0]
    close(tested, by_hand(sampling.sample(N), plain.images), "test")
    assert callback.extractor.count == REAL + 3 * N
    kept = records(tmp_path)
    assert [record["batches"] for record in kept] == [6, 12, 12]  # Lightning's global_step
    assert kept[0]["real images"] == f"{REAL} of Plain, train"


def test_a_score_needs_no_datamodule(sampling, loader, measure, make_trainer) -> None:
    tested = make_trainer(measure(score)).test(sampling, loader, verbose=False)[0]
    assert set(tested) == {"test/classifier_score_digits", "test/classifier_score_digits_std"}


def test_a_foreign_module_is_sampled_in_eval_mode(sampling) -> None:
    sampling.generator.layer = nn.Sequential(sampling.generator.layer, nn.Dropout(0.5), nn.BatchNorm1d(64).eval())
    modes = [part.training for part in sampling.modules()]
    parts = list(numbered_samples(sampling, torch.arange(4), 4, 0, 2))
    assert [part.training for part in sampling.modules()] == modes
    sampling.eval()
    assert torch.equal(torch.cat([images for _, images in parts]), sampling.sample(4))


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_a_module_without_samples_is_refused(sampling, plain, measure, make_trainer, stage: str) -> None:
    sampling.sample = None
    with pytest.raises(TypeError, match=r"GenerativeMetrics needs a method sample\(n, seed\) of Foreign"):
        getattr(make_trainer(measure()), stage)(sampling, plain)


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_a_datamodule_without_real_images_is_refused(sampling, plain, loader, measure, make_trainer, stage: str):
    plain.real_images = None
    with pytest.raises(TypeError, match=r"real_images\(split\) of the datamodule.*none in Plain"):
        getattr(make_trainer(measure()), stage)(sampling, plain)
    with pytest.raises(TypeError, match=r"real_images\(split\) of the datamodule.*none in NoneType"):
        getattr(make_trainer(measure()), stage)(sampling, loader)
    assert sampling.targets == []


def test_validate_and_predict_need_neither(sampling, loader, measure, make_trainer) -> None:
    sampling.sample = None
    sampling.validation_step = lambda batch, batch_idx: None
    make_trainer(measure()).validate(sampling, loader, verbose=False)


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        ((kid,), {"num_samples": 19}, "`subset_size` of KernelInceptionDistance.*19. Found 20"),
        ((kid,), {"num_samples": 50, "val_samples": 19, "every_n_epochs": 1}, "`subset_size`.*19. Found 20"),
        ((kid,), {"num_real": 19}, "`subset_size` of KernelInceptionDistance.*19. Found 20"),
        ((score,), {"num_samples": 3}, "InceptionScore should have as many images as `splits`.*3 images, splits=4"),
        ((precision,), {"num_samples": 3}, "`neighbours` of PrecisionRecall.*3. Found 3"),
        ((fid,), {"num_real": 61}, "`num_real` of GenerativeMetrics should be at most the 60 images.*Found 61"),
    ],
)
def test_too_few_images_are_refused_before_training(
    sampling, plain, measure, make_trainer, metrics, options, message: str
) -> None:
    callback = measure(*metrics, **options)
    with pytest.raises(ValueError, match=message):
        make_trainer(callback).fit(sampling, plain)
    assert sampling.targets == []
    assert callback.extractor.count == 0


def test_no_real_images_and_unknown_parts_are_refused_before_training(gan, measure, make_trainer) -> None:
    with pytest.raises(ValueError, match="`real` of GenerativeMetrics: there are no images in 'val'"):
        make_trainer(measure(real="val", num_real=None)).fit(gan, DigitsDataModule())
    with pytest.raises(ValueError, match=r"`split` of real_images should be one of .*'tset'"):
        make_trainer(measure(real="tset")).fit(gan, DigitsDataModule())
    assert gan.batches == 0


def test_few_images_for_the_number_of_dimensions_are_said(gan, digits, measure, make_trainer) -> None:
    with pytest.warns(UserWarning, match="fid_digits: 10 images are too few for 10 dimensions.*Take 11 or more"):
        make_trainer(measure(fid, num_samples=10)).test(gan, digits, verbose=False)


@pytest.mark.parametrize("wrong", [3.0, float("nan")])
def test_samples_outside_of_the_range_are_refused(sampling, plain, measure, make_trainer, tmp_path, wrong) -> None:
    sampling.sample = lambda n, seed: torch.full((n, 1, 8, 8), wrong)
    with pytest.raises(ValueError, match=r"should be in \[-1, 1\]. Found"):
        make_trainer(measure()).test(sampling, plain, verbose=False)
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 1}, "`num_samples` of GenerativeMetrics should be 2 or more. Found 1"),
        ({"every_n_epochs": -1}, "`every_n_epochs` of GenerativeMetrics should be 0 or more. Found -1"),
        ({"val_samples": 0}, "`val_samples` of GenerativeMetrics should be 2 or more. Found 0"),
        ({"num_real": 1}, "`num_real` of GenerativeMetrics should be 2 or more. Found 1"),
        ({"batch_size": 0}, "`batch_size` of GenerativeMetrics should be 1 or more. Found 0"),
    ],
)
def test_arguments_out_of_range_are_refused(measure, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(**options)


def test_no_measure_and_an_unknown_layer_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="`metrics` of GenerativeMetrics should name one or more"):
        GenerativeMetrics(Counting(), [])
    with pytest.raises(ValueError, match=r"`layer` should name a layer of Counting.*Found '2048'"):
        GenerativeMetrics(Counting(), [FrechetInceptionDistance])


def test_a_network_for_other_images_is_refused_before_training(gan, digits, measure, make_trainer) -> None:
    callback = measure()
    callback.extractor.image_shape = (1, 28, 28)
    with pytest.raises(
        ValueError, match=r"NetworkFeatures should be given images \(1, 28, 28\).*Found images of 8 x 8"
    ):
        make_trainer(callback).fit(gan, digits)
    assert gan.batches == 0


def test_colours_are_not_given_to_a_network_for_grey_images() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    Counting()(images)
    images[1, 2, 0, 0] = 1
    with pytest.raises(ValueError, match=r"NetworkFeatures should be given images \(1, 8, 8\).*Found \(3, 8, 8\)"):
        Counting()(images)
    with pytest.raises(ValueError, match=r"Found \(1, 9, 8\)"):
        Counting()(torch.zeros(2, 1, 9, 8))


def test_one_callback_for_other_data_measures_them(gan, digits, measure, make_trainer) -> None:
    callback, others = measure(fid), DigitsDataModule(val_size=600)
    first = make_trainer(callback).test(gan, digits, verbose=False)[0]
    second = make_trainer(callback).test(gan, others, verbose=False)[0]
    assert second == make_trainer(measure(fid)).test(gan, others, verbose=False)[0]
    assert second != first
    assert make_trainer(callback).test(gan, digits, verbose=False)[0] == first


@pytest.mark.parametrize("cut_off_after", [30, REAL + 20])
def test_a_measurement_that_was_cut_off_leaves_nothing_behind(
    gan, digits, measure, make_trainer, tmp_path, cut_off_after: int
) -> None:
    expected = make_trainer(measure(cache=str(tmp_path / "other"))).test(gan, digits, verbose=False)[0]
    callback = measure()
    extract = callback.extractor.extract

    def cut_off(images):
        if callback.extractor.count + len(images) > cut_off_after:
            raise KeyError("cut off")
        return extract(images)

    callback.extractor.extract = cut_off
    with pytest.raises(KeyError):
        make_trainer(callback).test(gan, digits, verbose=False)
    callback.extractor.extract = extract
    assert make_trainer(callback).test(gan, digits, verbose=False)[0] == expected


def test_samples_made_in_inference_mode_pass_once_too(gan, digits, sampling, plain, measure, make_trainer) -> None:
    class Inference(GAN):
        @torch.inference_mode()
        def sample_numbered(self, numbers, seed=0):
            return super().sample_numbered(numbers, seed)

    gan.__class__ = Inference
    sampling.sample = torch.inference_mode()(sampling.sample)
    for module, data in ((gan, digits), (sampling, plain)):
        callback = measure(every_n_epochs=1)
        trainer = make_trainer(callback)
        trainer.fit(module, data)
        trainer.test(module, data, verbose=False)
        assert callback.extractor.count - 2 * N in (0, REAL)


def test_a_cache_that_cannot_be_written_loses_no_value(gan, digits, measure, make_trainer, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    expected = make_trainer(measure()).test(gan, digits, verbose=False)[0]
    for cache in ("file", "file/below"):
        with pytest.warns(UserWarning, match=r"could not be written \(.*\): the next run measures again"):
            found = make_trainer(measure(cache=str(tmp_path / cache))).test(gan, digits, verbose=False)[0]
        assert found == expected


@pytest.mark.parametrize("make", [score, fid, kid, precision])
def test_every_option_of_a_measure_is_in_the_record(make) -> None:
    import inspect

    metric = make(Counting())
    options = set(inspect.signature(type(metric)).parameters) - {"extractor", "num_features", "num_samples"}
    assert metric.settings.keys() == options | {"class"}


# --- shares of several processes ---


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_samples_out(gan, measure, world: int) -> None:
    """Each makes its own share; together they are the samples, in any number of batches."""

    whole = gan.sample(N, seed=0)
    rebuilt = torch.zeros_like(whole)
    for rank in range(world):
        for part, images in numbered_samples(gan, torch.arange(N)[rank::world], N, 0, 4):
            assert len(part) == len(images) <= 4
            rebuilt[part] = images
    torch.testing.assert_close(rebuilt, whole)
    (part, images), *more = numbered_samples(gan, torch.arange(2)[2::3], 2, 0, 4)  # more processes than samples
    assert not more
    assert part.shape == (0,)
    assert images.shape == (0, 1, 8, 8)
    alone = nn.Module()
    alone.sample = lambda n, seed: whole[:n]
    for part, images in numbered_samples(alone, torch.arange(N)[1::world], N, 0, 4):
        assert torch.equal(images, whole[part])
