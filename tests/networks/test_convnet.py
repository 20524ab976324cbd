"""The networks of the released CIFAR-10 and SVHN scripts."""

import copy
import pickle

import pytest
import torch
from torch import nn

from lit_improved_gan.layers import MinibatchDiscrimination, VirtualBatchNorm, WeightNormConv2d, set_reference
from lit_improved_gan.networks import ConvDiscriminator, ConvGenerator

SMALL = {"image_shape": (3, 16, 16), "channels": (6, 8)}


def trained(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_generator_has_the_layers_of_the_released_script() -> None:
    torch.manual_seed(0)
    generator = ConvGenerator()
    weights = [tuple(p.shape) for p in generator.parameters() if p.dim() > 1]
    assert weights == [(8192, 100), (512, 256, 5, 5), (256, 128, 5, 5), (3, 128, 5, 5)]
    biases = 8192 + 256 + 128  # of the norms, whose gains are fixed
    assert trained(generator) == 819_200 + 3_276_800 + 819_200 + 9_600 + biases + 3 + 3  # last: gain and bias
    for weight in generator.parameters():
        if weight.dim() > 1:
            assert weight.std().item() == pytest.approx(0.05, rel=0.03)
    shapes, z = [], generator.prior(7, torch.Generator().manual_seed(0))
    assert 0 <= float(z.min()) < float(z.max()) < 1
    x = z
    for layer in generator.layers:
        x = layer(x)
        if not shapes or shapes[-1] != tuple(x.shape[1:]):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8192,), (512, 4, 4), (256, 8, 8), (128, 16, 16), (3, 32, 32)]
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [(norm.num_features, norm.eps, norm.weight.requires_grad) for norm in norms] == [
        (8192, 1e-6, False), (256, 1e-6, False), (128, 1e-6, False),
    ]  # fmt: skip


def test_generator_starts_with_small_outputs() -> None:
    torch.manual_seed(0)
    generator = ConvGenerator()
    z = torch.rand(100, 100)
    generator.initialize(z)
    outputs = torch.atanh(generator(z))
    torch.testing.assert_close(outputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(outputs.std((0, 2, 3)), torch.full((3,), 0.1), atol=1e-4, rtol=0)


def test_discriminator_has_the_layers_of_the_released_script() -> None:
    torch.manual_seed(0)
    discriminator = ConvDiscriminator()
    layers = [m for m in discriminator.modules() if isinstance(m, WeightNormConv2d)]
    found = [(tuple(m.direction.shape), m.stride, m.padding) for m in layers]
    assert found == [
        ((96, 3, 3, 3), 1, 1), ((96, 96, 3, 3), 1, 1), ((96, 96, 3, 3), 2, 1),
        ((192, 96, 3, 3), 1, 1), ((192, 192, 3, 3), 1, 1), ((192, 192, 3, 3), 2, 1),
        ((192, 192, 3, 3), 1, 0), ((192, 192, 1, 1), 1, 0), ((192, 192, 1, 1), 1, 0),
    ]  # fmt: skip
    convolutions = 96 * 27 + 2 * 96 * 96 * 9 + 192 * 96 * 9 + 3 * 192 * 192 * 9 + 2 * 192 * 192
    assert trained(discriminator) == convolutions + 3 * 96 + 6 * 192 + 192 * 10 + 10 + 10
    assert [name for name, p in discriminator.named_parameters() if "gain" in name and p.requires_grad] == ["head.gain"]
    dropout = [m.p for m in discriminator.modules() if isinstance(m, nn.Dropout)]
    assert dropout == [0.2, 0, 0, 0.5, 0, 0, 0.5, 0, 0]
    output = discriminator(torch.rand(2, 3, 32, 32) * 2 - 1)
    shapes = {name: tuple(value.shape[1:]) for name, value in output.features.items()}
    assert shapes == {
        "conv1": (96, 32, 32), "conv2": (96, 32, 32), "conv3": (96, 16, 16),
        "conv4": (192, 16, 16), "conv5": (192, 16, 16), "conv6": (192, 8, 8),
        "conv7": (192, 6, 6), "conv8": (192, 6, 6), "conv9": (192, 6, 6), "pooled": (192,),
    }  # fmt: skip
    assert output.logits.shape == (2, 10)


def test_discriminator_is_initialised_to_unit_activations_and_small_logits() -> None:
    torch.manual_seed(0)
    discriminator = ConvDiscriminator(**SMALL).eval()
    x = torch.rand(200, 3, 16, 16) * 2 - 1
    discriminator.initialize(x)
    output = discriminator(x)
    first = discriminator.convolutions[0][1](x)
    torch.testing.assert_close(first.std((0, 2, 3)), torch.ones(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(output.logits.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(output.logits.std(0, correction=0), torch.full((10,), 0.1), atol=1e-4, rtol=0)


def test_minibatch_discrimination_variant() -> None:
    torch.manual_seed(0)
    discriminator = ConvDiscriminator(
        **SMALL, input_dropout=0, input_noise=0.2, minibatch_discrimination=MinibatchDiscrimination
    )
    assert not discriminator.independent_examples
    x = torch.rand(50, 3, 16, 16) * 2 - 1
    discriminator.initialize(x)
    assert discriminator.head.direction.shape == (10, 8 + 100)
    noisy = [discriminator.convolutions[0](discriminator.noise(x)) for _ in range(2)]
    assert not torch.equal(*noisy)


def test_virtual_batch_norm_takes_the_place_of_batch_norm() -> None:
    torch.manual_seed(0)
    generator = ConvGenerator(channels=(8, 6), image_shape=(3, 8, 8), norm=VirtualBatchNorm)
    z = torch.rand(5, 100)
    with pytest.raises(RuntimeError, match="reference"):
        generator(z)
    set_reference(generator, torch.rand(10, 100))
    torch.testing.assert_close(generator(z)[:1], generator(z[:1]))


@pytest.mark.parametrize("network", [ConvGenerator(channels=(8, 6), image_shape=(3, 8, 8)), ConvDiscriminator(**SMALL)])
def test_networks_copy_pickle_and_compile(network) -> None:
    network.eval()
    x = torch.rand(3, 100) if isinstance(network, ConvGenerator) else torch.rand(3, 3, 16, 16)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), compiled):
        a, b = again(x), network(x)
        torch.testing.assert_close(getattr(a, "logits", a), getattr(b, "logits", b))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvGenerator(image_shape=(3, 28, 28)), r"multiples of 8. Found \[3, 28, 28\]"),
        (lambda: ConvGenerator(image_shape=(3, 32)), r"`image_shape`.*Found \[3, 32\]"),
        (lambda: ConvGenerator(channels=(512, 0)), r"`channels`.*Found \[512, 0\]"),
        (lambda: ConvGenerator(channels=()), "`channels`"),
        (lambda: ConvDiscriminator(image_shape=(1, 8, 8)), r"9 x 9 or more. Found \[1, 8, 8\]"),
        (lambda: ConvDiscriminator(num_outputs=0), "`num_outputs`"),
        (lambda: ConvDiscriminator(input_noise=-1), "`input_noise`"),
    ],
)
def test_bad_sizes_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
