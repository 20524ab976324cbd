"""The networks of the released MNIST script."""

import copy
import pickle

import pytest
import torch
from torch import nn

from lit_improved_gan.layers import Softplus
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator


def test_sizes_are_those_of_the_released_script() -> None:
    generator, discriminator = MLPGenerator((1, 28, 28)), MLPDiscriminator((1, 28, 28))
    shapes = [tuple(p.shape) for p in generator.parameters() if p.requires_grad and p.dim() == 2]
    assert shapes == [(500, 100), (500, 500), (784, 500)]
    assert sum(p.numel() for p in generator.parameters() if p.requires_grad) == 50_000 + 500 + 250_000 + 500 + 393_568
    shapes = [tuple(p.shape) for p in discriminator.parameters() if p.dim() == 2]
    assert shapes == [(1000, 784), (500, 1000), (250, 500), (250, 250), (250, 250), (10, 250)]
    gains = [name for name, p in discriminator.named_parameters() if name.endswith("gain") and p.requires_grad]
    assert gains == ["head.1.gain"]


def test_generator_makes_images_in_range_and_its_batch_norm_has_no_gain() -> None:
    generator = MLPGenerator((3, 4, 5), latent_size=7, hidden=(11,))
    z = generator.prior(9, torch.Generator().manual_seed(0))
    assert z.shape == (9, 7)
    assert 0 <= float(z.min()) < float(z.max()) < 1
    images = generator(z)
    assert images.shape == (9, 3, 4, 5)
    assert float(images.abs().max()) <= 1
    norm = generator.layers[1]
    assert norm.eps == 1e-6
    assert not norm.weight.requires_grad
    assert norm.bias.requires_grad


def test_discriminator_names_its_hidden_layers_before_their_noise() -> None:
    torch.manual_seed(0)
    discriminator = MLPDiscriminator((1, 4, 4), 3, (6, 5))
    x = torch.rand(200, 1, 4, 4) * 2 - 1
    discriminator.initialize(x)
    output = discriminator.eval()(x)
    assert {name: tuple(f.shape) for name, f in output.features.items()} == {"hidden1": (200, 6), "hidden2": (200, 5)}
    assert output.logits.shape == (200, 3)
    assert all(float(f.min()) >= 0 for f in output.features.values())
    pixels = (x.flatten(1) + 1) / 2
    torch.testing.assert_close(output.features["hidden1"], discriminator.hidden[0](pixels))


def test_noise_is_drawn_anew_in_training_and_absent_in_evaluation() -> None:
    discriminator, x = MLPDiscriminator(), torch.zeros(4, 1, 8, 8)
    assert not torch.equal(discriminator(x).logits, discriminator(x).logits)
    discriminator.eval()
    assert torch.equal(discriminator(x).logits, discriminator(x).logits)


def test_the_activation_of_the_generator_can_be_chosen() -> None:
    for options, expected in [
        ({}, Softplus),
        ({"activation": nn.ReLU}, nn.ReLU),
        ({"activation": lambda: nn.Softplus(beta=2)}, nn.Softplus),
    ]:
        layers = MLPGenerator(hidden=(8, 8), **options).layers
        assert [type(layers[i]) for i in (2, 5)] == [expected] * 2


@pytest.mark.parametrize("network", [MLPGenerator(), MLPDiscriminator()])
def test_networks_copy_and_pickle(network) -> None:
    network.eval()
    x = torch.rand(3, 100) if isinstance(network, MLPGenerator) else torch.rand(3, 1, 8, 8)
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        a, b = again(x), network(x)
        assert torch.equal(getattr(a, "logits", a), getattr(b, "logits", b))


def test_both_compile_without_breaks() -> None:
    generator, discriminator = MLPGenerator(hidden=(8,)).eval(), MLPDiscriminator(hidden=(8,)).eval()
    z = torch.rand(3, 100)
    images = torch.compile(generator, fullgraph=True, backend="aot_eager")(z)
    torch.testing.assert_close(images, generator(z))
    logits = torch.compile(discriminator, fullgraph=True, backend="aot_eager")(images).logits
    torch.testing.assert_close(logits, discriminator(images).logits)
