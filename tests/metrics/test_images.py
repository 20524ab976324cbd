"""Images become uint8 without losing a level."""

import pytest
import torch

from lit_improved_gan.metrics import to_uint8

LEVELS = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_all_levels_survive_the_way_to_minus_one_to_one_and_back(dtype) -> None:
    levels = LEVELS.to(torch.float64)
    for scaled in (levels / 127.5 - 1, levels / 255 * 2 - 1, (levels / 255 - 0.5) / 0.5):
        assert torch.equal(to_uint8(scaled.to(dtype))[:, :1], LEVELS)
    assert torch.equal(to_uint8(LEVELS.float().div_(127.5).sub_(1))[:, :1], LEVELS)


def test_between_two_levels_the_nearest_is_taken() -> None:
    for part in (-0.49, -0.2, 0.2, 0.49):
        between = ((LEVELS.double() + part).clamp(0, 255) / 127.5 - 1).float()
        assert torch.equal(to_uint8(between)[:, :1], LEVELS)
    ends = torch.tensor([-1.0009, 1.0009]).view(1, 1, 1, 2)  # rounding of a generator's output
    assert to_uint8(ends)[0, 0, 0].tolist() == [0, 255]


def test_bytes_are_taken_as_they_are_and_one_channel_is_repeated() -> None:
    colour = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    assert torch.equal(to_uint8(colour), colour)
    grey = to_uint8(colour[:, :1])
    assert grey.shape == colour.shape
    assert all(torch.equal(grey[:, i], colour[:, 0]) for i in range(3))
    assert to_uint8(torch.zeros(0, 1, 4, 5)).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("change", [lambda x: -x, lambda x: (x.float() - 127.5).div(127.5), lambda x: x.flip(1)])
def test_the_input_is_left_as_it_was(change) -> None:
    images = change(torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8))
    before = images.clone()
    to_uint8(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(3, 4, 4), r"\(N, 1 or 3, H, W\)\. Found \(3, 4, 4\)"),
        (torch.zeros(2, 2, 4, 4), r"\(N, 1 or 3, H, W\)\. Found \(2, 2, 4, 4\)"),
        (torch.zeros(2, 4, 4, 3), r"Found \(2, 4, 4, 3\)"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.int64), r"uint8 in 0\.\.255\. Found torch\.int64"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.bool), r"Found torch\.bool"),
        (torch.full((2, 3, 4, 4), 255.0), r"in \[-1, 1\]\. Found 255 to 255: scale them, or give uint8 in 0\.\.255"),
        (torch.full((2, 3, 4, 4), -1.01), r"Found -1\.01 to -1\.01"),
        (torch.zeros(1, 1, 1, 2).index_fill(3, torch.tensor(1), torch.nan), "Found nan"),
        (torch.zeros(1, 1, 1, 2).index_fill(3, torch.tensor(1), torch.inf), "Found 0 to inf"),
    ],
)
def test_errors_say_what_was_found_and_what_to_do(images, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_uint8(images)
