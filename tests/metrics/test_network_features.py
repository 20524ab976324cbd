"""Features of the digits' classifier, and of a network that the user brings."""

import pytest
import torch
from torch import Tensor, nn

from lit_improved_gan.metrics import FrechetInceptionDistance, InceptionScore, NetworkFeatures, load_classifier
from lit_improved_gan.types import DiscriminatorOutput

DIGITS = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COLOUR = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


class Users(nn.Module):
    """A network as users have them: layers that change their input in place, and an output that is no tensor."""

    def __init__(self, output: str = "tensor") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten())
        self.head = nn.Linear(4 * 2 * 4, 2)
        self.output = output

    def forward(self, x: Tensor) -> object:
        hidden = self.body(x)
        out = self.head(hidden)
        flat = out[:, 0]
        return {
            "tensor": out,
            "flat": flat,
            "tuple": (out, hidden),
            "discriminator": DiscriminatorOutput(out[:, :1], {}),
        }[self.output]


def test_the_bundled_classifiers_logits_are_its_output() -> None:
    classifier = load_classifier()
    extractor = NetworkFeatures(classifier, "digits_classifier")
    assert dict(extractor.sizes) == {"": 10}
    assert extractor.want("") == 10
    for images in (DIGITS, scaled(DIGITS)):
        torch.testing.assert_close(extractor(images)[""], classifier(scaled(DIGITS)), rtol=1e-6, atol=1e-6)
    assert not extractor.is_inception


def test_names_of_measures_say_the_network_and_the_layer() -> None:
    extractor = NetworkFeatures(load_classifier(), "digits_classifier", layers=("", "layers.4"))
    metric = FrechetInceptionDistance(extractor, "layers.4")
    assert metric.num_features == extractor.sizes["layers.4"] == 64 * 4 * 4
    assert extractor.key("fid", "") == "fid_digits_classifier"
    assert metric.key("fid") == "fid_digits_classifier_layers_4"
    score = InceptionScore(extractor, "", splits=1, num_samples=5)
    score.update(DIGITS)
    assert list(score.compute()) == ["classifier_score_digits_classifier", "classifier_score_digits_classifier_std"]


def test_layers_of_a_users_network_are_what_they_put_out() -> None:
    """Also of a layer whose output the next one overwrites."""
    network = Users()
    extractor = NetworkFeatures(network, "mine", image_shape=(3, 4, 6), layers=("body.0", "body", "head", ""))
    for layer in reversed(extractor.sizes):
        extractor.want(layer)
    found = extractor(COLOUR)
    conv = network.body[0](scaled(COLOUR))
    assert dict(extractor.sizes) == {"body.0": 32, "body": 32, "head": 2, "": 2}
    torch.testing.assert_close(found["body.0"], conv.flatten(1))
    torch.testing.assert_close(found["body"], conv.relu().flatten(1))
    torch.testing.assert_close(found["head"], network.head(conv.relu().flatten(1)))
    assert torch.equal(found["head"], found[""])
    assert not any(module._forward_hooks for module in network.modules())


def test_the_network_is_frozen() -> None:
    network = Users().train()
    extractor = NetworkFeatures(network, "mine", image_shape=(3, 4, 6))
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    nn.Sequential(extractor).train()
    assert not network.training


@pytest.mark.parametrize("output", ["discriminator", "flat"])
def test_one_logit_for_each_image_is_one_feature(output: str) -> None:
    extractor = NetworkFeatures(Users(output), "d", image_shape=(3, 4, 6))
    assert dict(extractor.sizes) == {"": 1}
    extractor.want("")
    assert extractor(COLOUR)[""].shape == (5, 1)


def test_the_network_computes_in_its_own_type() -> None:
    extractor = NetworkFeatures(Users().double(), "mine", image_shape=(3, 4, 6))
    extractor.want("")
    assert extractor(COLOUR)[""].dtype == torch.float64


def test_the_fingerprint_follows_the_weights_and_the_name() -> None:
    def fingerprint(name: str = "mine", change: float = 0.0) -> str:
        network = Users()
        with torch.no_grad():
            network.head.bias[1] += change
        return NetworkFeatures(network, name, image_shape=(3, 4, 6)).fingerprint

    assert fingerprint() == fingerprint()
    assert len({fingerprint(), fingerprint("other"), fingerprint(change=1e-3)}) == 3


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"`image_shape`.*Users has no such attribute"):
        NetworkFeatures(Users(), "mine")
    with pytest.raises(ValueError, match=r"`layers`.*'body\.0'.*Found \['tail'\]"):
        NetworkFeatures(Users(), "mine", image_shape=(3, 4, 6), layers=("head", "tail"))
    with pytest.raises(ValueError, match=r"`layers`.*Found \[\]"):
        NetworkFeatures(Users(), "mine", image_shape=(3, 4, 6), layers=())
    with pytest.raises(ValueError, match=r"`layers`.*'' should return a tensor\. Found tuple"):
        NetworkFeatures(Users("tuple"), "mine", image_shape=(3, 4, 6))
    with pytest.raises(ValueError, match=r"`layer`.*NetworkFeatures: 'head'\. Found 'body'"):
        NetworkFeatures(Users(), "mine", image_shape=(3, 4, 6), layers=("head",)).want("body")


def test_images_of_another_shape_are_refused() -> None:
    extractor = NetworkFeatures(load_classifier(), "digits_classifier")
    extractor.want("")
    with pytest.raises(ValueError, match=r"NetworkFeatures.*\(1, 8, 8\).*Found \(1, 8, 9\)"):
        extractor(torch.zeros(2, 1, 8, 9))
    with pytest.raises(ValueError, match=r"NetworkFeatures.*\(1, 8, 8\).*Found \(3, 8, 8\)"):
        extractor(torch.rand(2, 3, 8, 8))
    grey = torch.rand(2, 1, 8, 8)
    assert torch.equal(extractor(grey.expand(-1, 3, -1, -1))[""], extractor(grey)[""])  # as a reader of files has it
