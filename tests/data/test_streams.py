"""Endless permutations, by position."""

import pytest
import torch

from lit_improved_gan.data.streams import BatchSampler, Stream

ROWS = torch.arange(100, 120)


@pytest.mark.parametrize("size", [3, 20, 50, 100])
def test_every_row_comes_once_in_every_tile(size: int) -> None:
    stream = Stream(ROWS, 0, "x")
    drawn = torch.cat([stream.take(i * size, size) for i in range(20 * 6 // size + 1)])
    for tile in drawn[: len(drawn) // 20 * 20].split(20):
        assert torch.equal(tile.sort().values, ROWS)
    assert not torch.equal(drawn[:20], drawn[20:40])


def test_a_batch_is_a_function_of_its_position() -> None:
    stream = Stream(ROWS, 0, "x")
    whole = stream.take(0, 300)
    for start, count in [(250, 50), (0, 7), (33, 100), (7, 1)]:
        assert torch.equal(stream.take(start, count), whole[start : start + count])
        assert torch.equal(Stream(ROWS, 0, "x").take(start, count), whole[start : start + count])


def test_keys_are_independent() -> None:
    draws = [Stream(ROWS, *key).take(0, 20) for key in [(0, "x"), (1, "x"), (0, "y")]]
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_a_sampler_asks_for_its_start_when_it_is_iterated() -> None:
    start = 5
    sampler = BatchSampler(3, lambda: start)
    assert len(sampler) == 3
    iterator = iter(sampler)
    start = 8
    assert list(iterator) == [8, 9, 10]
    sampler.set_epoch(4)
    assert list(sampler) == [8, 9, 10]
