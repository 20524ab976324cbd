"""What all measures of features share."""

import copy
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from helpers.fake_features import FakeFeatures, images_of
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lit_improved_gan.metrics import (
    FeatureExtractor,
    FeatureMetric,
    FrechetInceptionDistance,
    InceptionScore,
    KernelInceptionDistance,
    PrecisionRecall,
)

Make = Callable[[FeatureExtractor], FeatureMetric]
MAKE: dict[str, Make] = {
    "is": lambda e: InceptionScore(e, "logits", splits=2, num_samples=12),
    "fid": lambda e: FrechetInceptionDistance(e, "a"),
    "kid": lambda e: KernelInceptionDistance(e, "a", subsets=3, subset_size=5, max_samples=14),
    "prc": lambda e: PrecisionRecall(e, "wide", neighbours=2, max_samples=14),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
against_real = pytest.mark.parametrize("make", list(MAKE.values())[1:], ids=list(MAKE)[1:])
GIVEN = {
    "is": lambda **kwargs: InceptionScore(splits=2, **kwargs),
    "fid": FrechetInceptionDistance,
    "kid": KernelInceptionDistance,
    "prc": PrecisionRecall,
}
given = pytest.mark.parametrize("make", GIVEN.values(), ids=GIVEN)


def states(metric: FeatureMetric) -> dict[str, Tensor]:
    return {name: getattr(metric, name).clone() for name in metric._defaults}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert torch.equal(value, other[name]), name


def full(metric: FeatureMetric | MetricCollection, generated: int = 1, parts: int = 12) -> FeatureMetric:
    for real, images in [(True, images_of(0)), (False, images_of(generated))]:
        for part in images.split(parts):
            metric.update(part, real=real)
    return metric


def test_one_pass_serves_all() -> None:
    extractor = FakeFeatures()
    metrics = [make(extractor) for make in MAKE.values()]
    for real, images in [(True, images_of(0)), (False, images_of(1))]:
        for metric in metrics:
            metric.update(images, real=real)
    assert extractor.passes == [12, 12]
    alone = [full(make(FakeFeatures())) for make in MAKE.values()]
    for metric, expected in zip(metrics, alone, strict=True):
        assert_same(metric.compute(), expected.compute())


@every
def test_nothing_of_the_network_is_in_a_measure(make: Make) -> None:
    extractor = FakeFeatures()
    metric = full(make(extractor))
    parent = nn.ModuleDict({"metric": metric})
    assert not parent.state_dict()
    assert not list(parent.parameters())
    assert not list(parent.buffers())
    assert list(parent.modules()) == [parent, metric]
    assert metric.extractor is extractor


@every
def test_copies_share_the_network_and_not_the_states(make: Make) -> None:
    metric = full(make(FakeFeatures()))
    expected = states(metric)
    copied = copy.deepcopy(metric)
    assert copied.extractor is metric.extractor
    assert_same(copied.compute(), metric.compute())
    copied.reset()
    full(copied, generated=2)
    assert_same(states(metric), expected)


@every
def test_a_pickle_gives_the_same(make: Make) -> None:
    metric = full(make(FakeFeatures()))
    metric.compute()
    size = len(pickle.dumps(metric))
    loaded = pickle.loads(pickle.dumps(metric))
    assert_same(states(loaded), states(metric))
    assert_same(loaded.compute(), metric.compute())
    assert metric.extractor is not None
    metric.extractor(images_of(3, 500))
    assert len(pickle.dumps(metric)) < size + 100  # one more number in the list of passes, but no images


@every
@pytest.mark.parametrize("cast", [lambda m: m.to(torch.bfloat16), lambda m: m.half(), lambda m: m.double()])
def test_states_keep_their_type(make: Make, cast) -> None:
    metric = make(FakeFeatures())
    expected = {name: state.dtype for name, state in states(metric).items()}
    assert torch.bfloat16 not in expected.values()
    cast(nn.ModuleDict({"metric": metric}))
    metric.set_dtype(torch.float16)
    full(metric)
    assert {name: state.dtype for name, state in states(metric).items()} == expected
    assert_same(metric.compute(), full(make(FakeFeatures())).compute())
    metric.reset()
    assert {name: state.dtype for name, state in states(metric).items()} == expected


def test_sums_are_in_float64() -> None:
    sums = states(FrechetInceptionDistance(FakeFeatures(), "a")) | states(MAKE["is"](FakeFeatures()))
    assert {sums[name].dtype for name in sums if name.endswith(("_sum", "_outer", "_probability", "_entropy"))} == {
        torch.float64
    }


def test_a_collection_gives_what_each_gives() -> None:
    extractor = FakeFeatures()
    collection = MetricCollection({name: make(extractor) for name, make in MAKE.items()})
    for seed in (1, 2):  # a second time after a reset
        expected: dict[str, Tensor] = {}
        for make in MAKE.values():
            expected |= full(make(FakeFeatures()), seed, parts=5).compute()
        found = full(collection, seed, parts=5).compute()
        assert_same(dict(sorted(found.items())), dict(sorted(expected.items())))
        collection.reset()


@pytest.mark.parametrize("kind", ["first real", "first empty"])
@pytest.mark.parametrize(
    "pair",
    [
        [MAKE["is"], lambda e: InceptionScore(e, "other_logits", splits=2, num_samples=12)],
        [MAKE["fid"], lambda e: FrechetInceptionDistance(e, "b")],
        [MAKE["kid"], lambda e: KernelInceptionDistance(e, "b", subsets=3, subset_size=5, max_samples=14)],
    ],
)
def test_a_collection_does_not_take_layers_for_one_another(pair: list[Make], kind: str) -> None:
    """It joins measures whose states are equal after the first update, as those of two layers may be by chance."""
    extractor = FakeFeatures()
    collection = MetricCollection({str(i): make(extractor) for i, make in enumerate(pair)})
    if kind == "first empty":
        collection.update(images_of(0)[:0], real=True)
    full(collection)
    expected: dict[str, Tensor] = {}
    for make in pair:
        expected |= full(make(FakeFeatures())).compute()
    assert_same(collection.compute(), expected)


@every
def test_reset_generated_keeps_what_is_of_real_images(make: Make) -> None:
    metric = full(make(FakeFeatures()), generated=3)
    kept = {name: value.clone() for name, value in metric.real_state().items()}
    metric.reset_generated()
    assert_same(metric.real_state(), kept)
    assert all(not getattr(metric, name).any() for name in metric._defaults if name.startswith("generated_"))
    metric.update(images_of(1))
    assert_same(metric.compute(), full(make(FakeFeatures())).compute())
    metric.reset()
    assert all(not value.any() for value in metric.real_state().values())


@against_real
def test_what_is_of_real_images_can_be_taken_over(make: Make) -> None:
    metric = full(make(FakeFeatures()))
    expected = metric.compute()
    assert metric.needs_real
    assert all(value.any() for value in metric.real_state().values())
    other = make(FakeFeatures())
    other.load_real_state(metric.real_state())
    other.update(images_of(1))
    assert_same(other.compute(), expected)


@against_real
def test_what_was_taken_over_is_no_longer_the_others(make: Make) -> None:
    metric, other = full(make(FakeFeatures())), make(FakeFeatures())
    before = states(metric)
    other.load_real_state(metric.real_state())
    other.update(images_of(2, 2), real=True)
    assert_same(states(metric), before)


@every
def test_empty_batches_add_nothing(make: Make) -> None:
    metric = make(FakeFeatures())
    for real in (True, False):
        metric.update(images_of(0)[:0], real=real)
        metric.update(images_of(0)[:0] / 127.5 - 1, real=real, numbers=torch.arange(0))
    assert_same(states(metric), states(make(FakeFeatures())))
    full(metric).update(images_of(0)[:0])
    assert_same(metric.compute(), full(make(FakeFeatures())).compute())


@every
def test_keys_are_the_extractors(make: Make) -> None:
    metric = make(FakeFeatures())
    assert metric.key("name") == f"name_{metric.layer}"
    assert all(metric.layer in name for name in full(metric).compute())


def test_real_keys_tell_measures_and_layers_apart() -> None:
    extractor = FakeFeatures()
    metrics = [
        FrechetInceptionDistance(extractor, "a"),
        FrechetInceptionDistance(extractor, "b"),
        KernelInceptionDistance(extractor, "a", subset_size=2, max_samples=5),
        KernelInceptionDistance(extractor, "a", subset_size=2, max_samples=6),
        PrecisionRecall(extractor, "a", max_samples=6),
    ]
    assert len({metric.real_key for metric in metrics}) == len(metrics)


@given
def test_either_an_extractor_or_features(make) -> None:
    with pytest.raises(ValueError, match=r"either an `extractor`.*`num_features`.*extractor=NoneType"):
        make()
    with pytest.raises(ValueError, match=r"either an `extractor`.*extractor=FakeFeatures, num_features=4"):
        make(extractor=FakeFeatures(), layer="a", num_features=4)
    with pytest.raises(ValueError, match=r"`num_features` of \w+ should be 1 or more\. Found 0"):
        make(num_features=0)
    with pytest.raises(ValueError, match=r"`layer`.*Found 'none'"):
        make(extractor=FakeFeatures(), layer="none")


@given
@pytest.mark.parametrize("shape", [(5, 3), (4,), (2, 4, 1)])
def test_features_of_another_shape_are_refused(make, shape: tuple[int, ...]) -> None:
    metric = make(num_features=4)
    metric.num_samples = 12
    with pytest.raises(ValueError, match=r"features \(n, 4\)\. Found \("):
        metric.update(torch.zeros(shape))
    assert all(not state.any() for name, state in states(metric).items() if name.startswith(("real", "generated")))


def test_too_few_images_for_the_dimensions_are_said() -> None:
    metric = FrechetInceptionDistance(FakeFeatures(), "wide")
    for real, generated in [(6, 100), (100, 6)]:
        with pytest.warns(UserWarning, match=r"fid_wide: 6 images are too few for 6 dimensions.*Take 7 or more"):
            metric.expect(real, generated)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.expect(7, 7)
