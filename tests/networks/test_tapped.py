"""Features of discriminators that nobody here wrote."""

import copy
import pickle

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lit_improved_gan import GAN, DigitsDataModule, FeatureMatchingLoss, MMDLoss
from lit_improved_gan.networks import MLPGenerator, TappedDiscriminator
from lit_improved_gan.types import DiscriminatorOutput


def sequential() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 1)
    )


class Nested(nn.Module):
    """Blocks in a list within a module, and one logit an image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(64, 8), nn.Linear(8, 5)]), "act": nn.Softplus()})
        self.head = nn.Linear(5, 1)
        self.unused = nn.Linear(5, 5)
        self.pair = Pair()

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for block in self.body["blocks"]:
            x = torch.relu(block(x))
        return self.head(self.pair(x)[0]).squeeze(1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def images(n: int = 5) -> Tensor:
    return torch.rand(n, 1, 8, 8) * 2 - 1


def test_features_of_a_sequential_are_what_its_layers_put_out() -> None:
    network, x = sequential(), images()
    output = TappedDiscriminator(network, ["1", "4"])(x)
    assert isinstance(output, DiscriminatorOutput)
    assert list(output.features) == ["1", "4"]
    assert torch.equal(output.features["1"], network[:2](x))
    assert torch.equal(output.features["4"], network[:5](x))
    assert torch.equal(output.logits, network(x))
    assert list(TappedDiscriminator(network, ("4", "1"))(x).features) == ["4", "1"]


def test_nested_modules_are_named_by_their_path_and_single_logits_get_a_column() -> None:
    network, x = Nested(), images()
    output = TappedDiscriminator(network, ["body.blocks.0", "body.blocks.1"])(x)
    assert network(x).shape == (5,)
    assert torch.equal(output.logits, network(x)[:, None])
    hidden = network.body["blocks"][0](x.flatten(1))
    assert torch.equal(output.features["body.blocks.0"], hidden)
    assert torch.equal(output.features["body.blocks.1"], network.body["blocks"][1](hidden.relu()))


@pytest.mark.parametrize("layers", [[], ["nope"], ["body.blocks.0", "body.blocks.2"]])
def test_unknown_layers_are_refused(layers: list[str]) -> None:
    with pytest.raises(ValueError, match=r"`layers` of TappedDiscriminator.*Nested.*'body.blocks.1'") as error:
        TappedDiscriminator(Nested(), layers)
    assert str([name for name in layers if name != "body.blocks.0"]) in str(error.value)


@pytest.mark.parametrize(("layer", "found"), [("unused", "NoneType"), ("body.act", "NoneType"), ("pair", "tuple")])
def test_layers_that_return_no_tensor_are_refused_when_called(layer: str, found: str) -> None:
    network = Nested()
    with pytest.raises(ValueError, match=rf"TappedDiscriminator: '{layer}'.*{found}"):
        TappedDiscriminator(network, ["body.blocks.0", layer])(images())


def test_the_network_is_left_as_it_was() -> None:
    """No hook outlives a pass, not even one that fails."""
    network = Nested()
    tapped = TappedDiscriminator(network, ["body.blocks.0"])
    tapped(images())
    with pytest.raises(RuntimeError):
        tapped(torch.zeros(2, 3))
    assert not any(module._forward_hooks for module in network.modules())
    assert [name for name, _ in tapped.named_parameters()] == [
        f"network.{name}" for name, _ in network.named_parameters()
    ]
    assert {id(p) for p in tapped.parameters()} == {id(p) for p in network.parameters()}


def test_features_of_one_pass_are_not_those_of_another() -> None:
    tapped = TappedDiscriminator(sequential(), ["4"])
    first, second = tapped(images()), tapped(images())
    assert not torch.equal(first.features["4"], second.features["4"])


def test_gradients_reach_the_images_and_the_layers_below() -> None:
    network, x = sequential(), images().requires_grad_()
    TappedDiscriminator(network, ["1"])(x).features["1"].sum().backward()
    assert x.grad.abs().sum() > 0
    assert network[0].weight.grad.abs().sum() > 0
    assert network[5].weight.grad is None


def test_it_copies_and_pickles() -> None:
    tapped, x = TappedDiscriminator(Nested(), ["body.blocks.1"]), images()
    for again in (copy.deepcopy(tapped), pickle.loads(pickle.dumps(tapped))):
        a, b = again(x), tapped(x)
        assert torch.equal(a.logits, b.logits)
        assert torch.equal(a.features["body.blocks.1"], b.features["body.blocks.1"])
        assert again.network is not tapped.network
        assert again.layers == tapped.layers


@pytest.mark.parametrize("kind", [FeatureMatchingLoss, MMDLoss])
@pytest.mark.parametrize("network", [sequential, Nested])
def test_feature_matching_trains_through_it(network, kind) -> None:
    layers = ["1", "4"] if network is sequential else ["body.blocks.0", "body.blocks.1"]
    torch.manual_seed(0)
    discriminator = TappedDiscriminator(network(), layers, independent_examples=network is sequential)
    sizes: list[int] = []
    discriminator.network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    module = GAN(MLPGenerator(hidden=(8,)), discriminator, kind({layers[0]: 1.0, layers[1]: 0.5}))
    before = [p.detach().clone() for p in module.parameters()]
    Trainer(
        max_steps=2, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    ).fit(module, DigitsDataModule(20))  # fmt: skip
    assert module.batches == 2
    one_pass = [40, 20, 20] if network is sequential else [20, 20, 20, 20]  # D's two, then G's two
    assert sizes[-2 * len(one_pass) :] == one_pass * 2
    moved = dict(zip([n for n, _ in module.named_parameters()], before, strict=True))
    for name in ("generator.layers.0.weight", next(n for n in moved if n.startswith("discriminator.network"))):
        assert not torch.equal(moved[name], module.get_parameter(name)), name


def test_a_single_name_in_place_changes_and_features_of_the_network_itself() -> None:
    network = nn.Sequential(*(nn.Linear(4, 4) for _ in range(11)))
    assert list(TappedDiscriminator(network, "10")(torch.randn(2, 4)).features) == ["10"]
    changed = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.2, inplace=True), nn.Linear(4, 1))
    with pytest.raises(ValueError, match="'0' returns is changed in place"):
        TappedDiscriminator(changed, ["0"])(torch.randn(2, 4))
    assert TappedDiscriminator(changed, ["1"])(torch.randn(2, 4)).features["1"].shape == (2, 4)

    from lit_improved_gan import MLPDiscriminator

    output = TappedDiscriminator(MLPDiscriminator(hidden=(8, 6)), ["hidden.0"])(torch.zeros(3, 1, 8, 8))
    assert output.logits.shape == (3, 10)
    assert list(output.features) == ["hidden1", "hidden2", "hidden.0"]
