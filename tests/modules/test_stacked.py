"""Networks side by side are the same networks."""

import copy
import pickle

import pytest
import torch

from lit_improved_gan import MinibatchDiscrimination, MLPDiscriminator, MLPGenerator
from lit_improved_gan.layers import VirtualBatchNorm, set_reference
from lit_improved_gan.losses import FeatureMatchingLoss, SemiSupervisedLoss
from lit_improved_gan.modules.stacked import LossOfEach, StackedNetwork


def discriminators() -> list[MLPDiscriminator]:
    torch.manual_seed(0)
    networks = [
        MLPDiscriminator((1, 4, 4), 3, (6, 5), minibatch_discrimination=MinibatchDiscrimination) for _ in range(3)
    ]
    for network in networks:
        network.initialize(torch.rand(40, 1, 4, 4) * 2 - 1)
    return networks


def test_each_member_sees_its_part() -> None:
    networks = discriminators()
    stacked = StackedNetwork(networks).eval()
    x = torch.rand(3 * 7, 1, 4, 4) * 2 - 1
    output = stacked(x)
    for i, part in enumerate(x.chunk(3)):
        expected = networks[i].eval()(part)
        torch.testing.assert_close(output.logits[7 * i : 7 * i + 7], expected.logits)
        for name, value in expected.features.items():
            torch.testing.assert_close(output.features[name][7 * i : 7 * i + 7], value)
        for name, value in stacked.member(i).state_dict().items():
            assert torch.equal(value, networks[i].state_dict()[name])


def test_noise_differs_between_members_and_stops_in_eval_mode() -> None:
    network = MLPDiscriminator((1, 4, 4), 3, (6,))
    stacked, x = StackedNetwork([network, copy.deepcopy(network)]), torch.zeros(4, 1, 4, 4)
    first, second = stacked(x).logits.chunk(2)
    assert not torch.equal(first, second)
    first, second = stacked.eval()(x).logits.chunk(2)
    assert torch.equal(first, second)


def test_frozen_weights_stay_frozen_and_running_statistics_move() -> None:
    stacked = StackedNetwork([MLPGenerator((1, 4, 4), 5, (6,)) for _ in range(2)])
    trained = {name for name, weight in stacked.named_parameters() if weight.requires_grad}
    assert "weights.layers/1/bias" in trained
    assert "weights.layers/1/weight" not in trained
    stacked(torch.rand(8, 5))
    assert torch.equal(stacked.get_buffer("layers/1/num_batches_tracked"), torch.tensor([1, 1]))
    assert not torch.equal(*stacked.get_buffer("layers/1/running_mean"))


def test_copies_pickles_and_state() -> None:
    stacked, x = StackedNetwork(discriminators()).eval(), torch.rand(6, 1, 4, 4)
    fresh = StackedNetwork(
        [MLPDiscriminator((1, 4, 4), 3, (6, 5), minibatch_discrimination=MinibatchDiscrimination)] * 3
    )
    fresh.load_state_dict(stacked.state_dict())
    for again in (copy.deepcopy(stacked), pickle.loads(pickle.dumps(stacked)), fresh.eval()):
        assert torch.equal(again(x).logits, stacked(x).logits)
    assert fresh.train()(x).logits.isfinite().all()  # its layers know that they are initialised
    changed = stacked.member(1)
    with torch.no_grad():
        changed.head[1].bias.add_(1)
    stacked.set_member(2, changed)
    torch.testing.assert_close(stacked(x).logits[4:], changed.eval()(x[4:]).logits)


class Tied(torch.nn.Module):
    """Uses one weight, or one buffer, under two names."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        if kind == "weight":
            self.second.weight = self.first.weight
        else:
            scale = torch.rand(3) + 1
            self.first.register_buffer("scale", scale)
            self.second.register_buffer("scale", scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x))) * getattr(self.second, "scale", 1.0)


@pytest.mark.parametrize("kind", ["weight", "buffer"])
def test_what_has_two_names_is_each_members_own(kind: str) -> None:
    members, x = [Tied(kind) for _ in range(3)], torch.randn(3 * 5, 3)
    together = StackedNetwork(members)
    alone = torch.cat([member(part) for member, part in zip(members, x.chunk(3), strict=True)])
    torch.testing.assert_close(together(x), alone)


def test_a_buffer_that_no_checkpoint_has_is_each_members_own() -> None:
    def scaled(scale: float) -> torch.nn.Linear:
        network = torch.nn.Linear(2, 2)
        network.register_buffer("scale", torch.tensor(scale), persistent=False)
        return network

    stacked = StackedNetwork([scaled(2.0), scaled(3.0)])
    assert [float(stacked.member(i).scale) for i in range(2)] == [2.0, 3.0]


def test_a_loss_of_each_is_their_mean() -> None:
    torch.manual_seed(0)
    stacked = StackedNetwork(discriminators()).eval()
    fake, real = (stacked(torch.rand(15, 1, 4, 4)) for _ in range(2))
    loss = FeatureMatchingLoss()
    each = [
        loss(type(fake)(f.logits, {"a": f.features["hidden2"]}), type(real)(r.logits, {"a": r.features["hidden2"]}))
        for f, r in zip(fake.split([5, 5, 5]), real.split([5, 5, 5]), strict=True)
    ]
    torch.testing.assert_close(LossOfEach(loss, 3)(fake, real), torch.stack(each).mean())
    loss, labels = SemiSupervisedLoss(), torch.arange(15) % 3
    together = LossOfEach(loss, 3)
    together.real_target = 0.9  # as LabelSmoothing sets it
    assert loss.real_target == 0.9
    found = together(real.logits, labels, real.logits, fake.logits)
    parts = [
        loss(r, y, r, f) for r, y, f in zip(*(v.chunk(3) for v in (real.logits, labels, fake.logits)), strict=True)
    ]
    for name in found._fields:
        torch.testing.assert_close(getattr(found, name), torch.stack([getattr(p, name) for p in parts]).mean())


def test_what_cannot_be_stacked_is_refused() -> None:
    with pytest.raises(ValueError, match="one architecture"):
        StackedNetwork([MLPGenerator(hidden=(5,)), MLPGenerator(hidden=(6,))])
    with pytest.raises(ValueError, match="one architecture"):
        StackedNetwork([])
    with_reference = MLPGenerator(norm=VirtualBatchNorm)
    set_reference(with_reference, torch.rand(4, 100))
    with pytest.raises(ValueError, match=r"one reference batch: .* Found one that is set"):
        StackedNetwork([with_reference])
    part = MLPGenerator(norm=VirtualBatchNorm)
    with pytest.raises(ValueError, match="Found a part with one of its own"):
        StackedNetwork([torch.nn.Sequential(part)])
    with pytest.raises(ValueError, match="Found 3 rows"):
        StackedNetwork([MLPGenerator(), MLPGenerator()])(torch.rand(3, 100))
