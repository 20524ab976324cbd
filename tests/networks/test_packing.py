"""Packs of examples."""

import pytest
import torch
from helpers.mutate import plant

from lit_improved_gan import DiscriminatorOutput, MLPDiscriminator, PointDiscriminator
from lit_improved_gan.networks import pack, unpack


def check_packs() -> None:
    x = torch.arange(12.0).view(6, 2)
    torch.testing.assert_close(pack(x, 1), x)
    assert pack(x, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert pack(x[:5], 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 0, 1]]  # filled up from the start
    assert pack(x[:1], 4).tolist() == [[0, 1] * 4]


def check_unpacking() -> None:
    output = DiscriminatorOutput(torch.tensor([[1.0], [2.0]]), {"hidden1": torch.tensor([[3.0, 4.0], [5.0, 6.0]])})
    whole = unpack(output, 3, 5)
    assert whole.logits.tolist() == [[1], [1], [1], [2], [2]]
    assert whole.features["hidden1"].tolist() == [[3, 4]] * 3 + [[5, 6]] * 2
    assert unpack(output, 1, 2) is output


def test_packs() -> None:
    check_packs()
    check_unpacking()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (pack, "-len(x) % size", "len(x) % size"),
        (pack, "% len(x)]", "% 1]"),
        (pack, "x.reshape(-1, size * x.shape[1])", "x.view(size, -1, x.shape[1]).transpose(0, 1).flatten(1)"),
        (unpack, "output.logits.repeat_interleave(size, 0)", "output.logits.repeat(size, 1)"),
        (unpack, "value.repeat_interleave(size, 0)", "value.repeat(size, 1)"),
    ],
)
def test_an_error_planted_is_found(monkeypatch, function, old: str, new: str) -> None:
    plant(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        test_packs()


@pytest.mark.parametrize("kind", [PointDiscriminator, MLPDiscriminator])
def test_a_pack_is_judged_as_a_whole(kind) -> None:
    torch.manual_seed(0)
    options = {"image_shape": (1, 1, 2), "num_outputs": 1} if kind is MLPDiscriminator else {}
    network = kind(hidden=(16, 8), packing=2, **options).eval()
    x = torch.rand(10, *options.get("image_shape", (2,))) * 2 - 1
    logits = network(x).logits
    assert logits.shape == (10, 1)
    assert torch.equal(logits[0::2], logits[1::2])
    assert network(x).features["hidden2"].shape == (10, 8)
    changed = x.clone()
    changed[3] += 0.5
    differ = (network(changed).logits != logits).squeeze(1)
    assert differ.tolist() == [False, False, True, True] + [False] * 6
    assert not network.independent_examples  # real and generated examples share no pack
    assert network(x[:3]).logits.shape == (3, 1)


def test_a_pack_of_equal_examples_can_be_told_from_a_varied_one() -> None:
    """What a discriminator of single examples cannot: each example of both is as likely."""
    torch.manual_seed(0)
    network = PointDiscriminator(packing=2)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(300):
        varied, single = torch.randn(128, 2), torch.randn(64, 2)
        same = single.repeat_interleave(2, 0)
        loss = torch.nn.functional.softplus(-network(varied).logits).mean()
        loss = loss + torch.nn.functional.softplus(network(same).logits).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.5  # 2 log 2 = 1.39 without packing


def test_images_with_classes_are_not_packed() -> None:
    with pytest.raises(ValueError, match=r"a pack of examples has no class. Found packing=2, num_outputs=10"):
        MLPDiscriminator(packing=2)
