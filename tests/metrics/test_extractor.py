"""The shared network: one pass for all measures, and nothing that it hides."""

import copy
import pickle

import pytest
import torch
from helpers.fake_features import FakeFeatures, images_of
from torch import nn


@pytest.fixture
def extractor() -> FakeFeatures:
    extractor = FakeFeatures()
    extractor.want("a")
    return extractor


def test_a_tensor_passes_once(extractor) -> None:
    images = images_of(0)
    first = extractor(images)
    assert extractor(images) is first
    assert extractor.passes == [12]
    extractor(images.clone())
    extractor(images[:])
    extractor(images)
    assert extractor.passes == [12] * 4


def test_a_tensor_that_changed_passes_again(extractor) -> None:
    images = images_of(0)
    before = extractor(images)["a"]
    images[0] = 0
    after = extractor(images)["a"]
    assert extractor.passes == [12, 12]
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1:], after[1:])
    images[:3].fill_(7)  # by a view
    extractor(images)
    with torch.inference_mode():
        images.zero_()
        extractor(images)
    assert extractor.passes == [12] * 4


def test_inference_tensors_are_never_remembered(extractor) -> None:
    with torch.inference_mode():
        images = images_of(0)
        before = extractor(images)["a"]
        images.zero_()
        assert not torch.equal(extractor(images)["a"], before)
        extractor(images)
    assert extractor.passes == [12] * 3


def test_a_layer_asked_for_later_is_there(extractor) -> None:
    images = images_of(0)
    assert list(extractor(images)) == ["a"]
    assert extractor.want("wide") == 6
    assert extractor.want("a") == 4
    found = extractor(images)
    assert {layer: features.shape for layer, features in found.items()} == {"a": (12, 4), "wide": (12, 6)}
    assert extractor.passes == [12, 12]


def test_layers_are_wanted_in_the_order_of_the_network() -> None:
    extractor = FakeFeatures()
    for layer in ("logits", "a", "wide", "a"):
        extractor.want(layer)
    assert extractor.wanted == ["a", "wide", "logits"]


def test_an_unknown_layer_is_refused(extractor) -> None:
    with pytest.raises(ValueError, match=r"`layer`.*FakeFeatures: 'a', 'b', 'wide'.*Found 'none'"):
        extractor.want("none")


def test_forget_lets_go_of_the_images(extractor) -> None:
    images = images_of(0)
    extractor(images)
    extractor.forget()
    extractor(images)
    assert extractor.passes == [12, 12]


def test_bytes_floats_and_grey_images_are_the_same(extractor) -> None:
    images = images_of(0)
    expected = extractor(images)["a"]
    assert torch.equal(extractor(images / 127.5 - 1)["a"], expected)
    grey = images[:, :1]
    assert torch.equal(extractor(grey)["a"], extractor(grey.expand(-1, 3, -1, -1))["a"])


def test_no_images_pass_no_network(extractor) -> None:
    found = extractor(images_of(0)[:0])
    assert found["a"].shape == (0, 4)
    assert extractor.passes == []


def test_it_is_frozen_in_eval_mode_and_in_float32(extractor) -> None:
    assert not extractor.train().training
    nn.Sequential(extractor).train()
    assert not any(module.training for module in extractor.children())
    images = images_of(0)
    expected = extractor(images)["a"]
    assert not expected.requires_grad
    assert expected.dtype == torch.float32
    extractor.forget()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(extractor(images)["a"], expected)


def test_a_copy_is_itself_and_a_pickle_holds_no_images(extractor) -> None:
    assert copy.deepcopy(extractor) is extractor
    before = len(pickle.dumps(extractor))
    images = images_of(0, 1000)
    expected = extractor(images)["a"]
    extractor.passes.clear()
    again = pickle.dumps(extractor)
    assert len(again) == before
    assert torch.equal(pickle.loads(again)(images)["a"], expected)


def test_images_that_are_none_are_refused(extractor) -> None:
    for images, words in [(torch.full((2, 3, 4, 4), 200.0), "200 to 200"), (torch.zeros(2, 2, 4, 4), "1 or 3")]:
        with pytest.raises(ValueError, match=words):
            extractor(images)
