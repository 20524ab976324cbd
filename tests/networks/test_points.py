"""Networks for points."""

import copy
import pickle
from functools import partial

import pytest
import torch

from lit_improved_gan import MinibatchDiscrimination, PointDiscriminator, PointGenerator, SpectralNormLinear
from lit_improved_gan.layers import BatchNormWithoutGain, VirtualBatchNorm, set_reference


def test_two_hidden_layers_of_128() -> None:
    shapes = [tuple(p.shape) for p in PointGenerator().parameters() if p.dim() == 2]
    assert shapes == [(128, 2), (128, 128), (2, 128)]
    shapes = [tuple(p.shape) for p in PointDiscriminator().parameters() if p.dim() == 2]
    assert shapes == [(128, 2), (128, 128), (1, 128)]


def test_noise_is_normal_and_points_have_any_range() -> None:
    generator = PointGenerator(3, 5, (7,))
    z = generator.prior(20_000, torch.Generator().manual_seed(0))
    assert z.shape == (20_000, 5)
    torch.testing.assert_close(z.std(0), torch.ones(5), rtol=0.05, atol=0)
    torch.nn.init.constant_(generator.layers[-1].bias, 9.0)
    points = generator(z)
    assert points.shape == (20_000, 3)
    assert float(points.min()) > 1


@pytest.mark.parametrize("norm", [BatchNormWithoutGain, VirtualBatchNorm])
def test_the_hidden_layers_are_normalised(norm) -> None:
    torch.manual_seed(0)
    generator = PointGenerator(norm=norm)
    z = generator.prior(500, torch.Generator().manual_seed(0))
    if norm is VirtualBatchNorm:
        set_reference(generator, z)
    found = []
    generator.layers[1].register_forward_hook(lambda layer, inputs, output: found.append(output))
    generator(z)
    assert found[-1].mean().abs() < 0.1
    assert 0.8 < float(found[-1].std()) < 1.2


def test_features_are_the_hidden_layers() -> None:
    discriminator, x = PointDiscriminator(hidden=(6, 5)), torch.randn(30, 2)
    output = discriminator(x)
    assert {name: tuple(f.shape) for name, f in output.features.items()} == {"hidden1": (30, 6), "hidden2": (30, 5)}
    torch.testing.assert_close(output.logits, discriminator.head(output.features["hidden2"]))
    assert discriminator.independent_examples
    torch.testing.assert_close(discriminator(x[:4]).logits, output.logits[:4])


def test_layers_of_techniques_fit_in() -> None:
    normed = PointDiscriminator(layer=SpectralNormLinear)
    assert isinstance(normed.hidden[0][0], SpectralNormLinear)
    assert isinstance(normed.head, SpectralNormLinear)
    layer = partial(MinibatchDiscrimination, num_kernels=4, kernel_dim=3)
    discriminator = PointDiscriminator(hidden=(6, 5), minibatch_discrimination=layer)
    assert not discriminator.independent_examples
    assert discriminator.head.in_features == 9
    x = torch.randn(50, 2)
    discriminator.initialize(x)
    assert bool(discriminator.batch_layer.initialized)
    assert discriminator(x).logits.shape == (50, 1)
    assert PointDiscriminator(num_outputs=8)(x).logits.shape == (50, 8)


def test_networks_work_on_data_of_another_scale() -> None:
    torch.manual_seed(0)
    z, x = torch.randn(30, 2), torch.randn(30, 2)
    generator, discriminator = PointGenerator(scale=5.0), PointDiscriminator(scale=5.0)
    torch.testing.assert_close(generator(z), 5 * generator.layers(z))
    plain = PointDiscriminator()
    plain.load_state_dict(discriminator.state_dict())
    torch.testing.assert_close(discriminator(5 * x).logits, plain(x).logits)


def test_hidden_layers_may_leak() -> None:
    torch.manual_seed(0)
    leaky, plain, x = PointDiscriminator(negative_slope=0.2), PointDiscriminator(), torch.randn(30, 2)
    plain.load_state_dict(leaky.state_dict())
    before, sharp = (network(x).features["hidden1"] for network in (leaky, plain))
    assert float(sharp.min()) == 0
    torch.testing.assert_close(before, torch.where(sharp > 0, sharp, 0.2 * leaky.hidden[0][0](x)))


@pytest.mark.parametrize("network", [PointGenerator(), PointDiscriminator(), PointDiscriminator(packing=2)])
def test_networks_copy_pickle_and_compile(network) -> None:
    x = torch.randn(4, 2)
    expected = network(x)
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)),
                  torch.compile(network, fullgraph=True, backend="aot_eager")):  # fmt: skip
        a, b = again(x), expected
        torch.testing.assert_close(getattr(a, "logits", a), getattr(b, "logits", b))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PointGenerator, {"dim": 0}, "`dim` of PointGenerator"),
        (PointGenerator, {"latent_size": 0}, "`latent_size` of PointGenerator"),
        (PointGenerator, {"hidden": [3, 0]}, "`hidden` of PointGenerator"),
        (PointDiscriminator, {"dim": 0}, "`dim` of PointDiscriminator"),
        (PointDiscriminator, {"hidden": [0]}, "`hidden` of PointDiscriminator"),
        (PointDiscriminator, {"num_outputs": 0}, "`num_outputs` of PointDiscriminator"),
        (PointDiscriminator, {"packing": 2, "num_outputs": 8}, "Found packing=2, num_outputs=8"),
        (PointGenerator, {"scale": 0.0}, "`scale` of PointGenerator should be above 0. Found scale=0.0"),
        (PointDiscriminator, {"scale": -1.0}, "`scale` of PointDiscriminator should be above 0. Found scale=-1.0"),
        (PointDiscriminator, {"packing": 0}, "`packing` of PointDiscriminator should be 1 or more. Found packing=0"),
    ],
)
def test_sizes_out_of_range_are_refused(kind, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)
