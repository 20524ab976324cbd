"""The small discriminator of strided convolutions."""

import copy
import pickle

import pytest
import torch

from lit_improved_gan.layers import MinibatchDiscrimination
from lit_improved_gan.networks import StridedDiscriminator


def test_layers_and_features() -> None:
    torch.manual_seed(0)
    discriminator = StridedDiscriminator((3, 9, 7), 2, (5, 6))
    x = torch.rand(4, 3, 9, 7) * 2 - 1
    output = discriminator(x)
    shapes = {name: tuple(value.shape) for name, value in output.features.items()}
    assert shapes == {"conv1": (4, 5, 5, 4), "conv2": (4, 6, 3, 2), "flat": (4, 36)}
    assert output.logits.shape == (4, 2)
    assert discriminator.independent_examples
    first = torch.nn.functional.conv2d(x, discriminator.convolutions[0][0].weight, padding=2, stride=2)
    first = torch.nn.functional.leaky_relu(first + discriminator.convolutions[0][0].bias.view(1, 5, 1, 1), 0.2)
    torch.testing.assert_close(output.features["conv1"], first)
    torch.testing.assert_close(discriminator(x[:1]).logits, output.logits[:1])


def test_it_is_initialised_to_unit_activations_and_small_logits() -> None:
    torch.manual_seed(0)
    discriminator = StridedDiscriminator(channels=(6, 8))
    x = torch.rand(200, 3, 28, 28) * 2 - 1
    discriminator.initialize(x)
    first = discriminator.convolutions[0][0](x)
    torch.testing.assert_close(first.std((0, 2, 3)), torch.ones(6), atol=1e-3, rtol=0)
    logits = discriminator(x).logits
    torch.testing.assert_close(logits.mean(0), torch.zeros(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.std(0, correction=0), torch.full((1,), 0.1), atol=1e-4, rtol=0)


def test_minibatch_discrimination_sees_the_batch() -> None:
    torch.manual_seed(0)
    discriminator = StridedDiscriminator((1, 8, 8), channels=(4,), minibatch_discrimination=MinibatchDiscrimination)
    assert not discriminator.independent_examples
    assert discriminator.head.direction.shape == (1, 4 * 4 * 4 + 100)
    x = torch.rand(20, 1, 8, 8)
    discriminator.initialize(x)
    assert not torch.allclose(discriminator(x[:1].expand(20, -1, -1, -1)).logits[0], discriminator(x).logits[0])


def test_it_is_copied_pickled_and_compiled() -> None:
    network, x = StridedDiscriminator((1, 8, 8), channels=(4,)).eval(), torch.rand(3, 1, 8, 8)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), compiled):
        torch.testing.assert_close(again(x).logits, network(x).logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (3, 28)}, r"`image_shape` of StridedDiscriminator .*Found \[3, 28\]"),
        ({"channels": (32, 0)}, r"`channels` of StridedDiscriminator .*Found \[32, 0\]"),
        ({"channels": ()}, r"`channels` of StridedDiscriminator should have one size or more. Found \[\]"),
        ({"num_outputs": 0}, "`num_outputs` of StridedDiscriminator"),
    ],
)
def test_bad_sizes_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StridedDiscriminator(**options)
