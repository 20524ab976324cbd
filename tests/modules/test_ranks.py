"""What each of several processes draws, as if it were one of them."""

from types import SimpleNamespace

import torch

from lit_improved_gan import SemiSupervisedGAN
from lit_improved_gan.callbacks import ReferenceBatch
from lit_improved_gan.data import DigitsDataModule
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator


def on_rank(rank: int, world: int) -> SemiSupervisedGAN:
    torch.manual_seed(0)
    module = SemiSupervisedGAN(MLPGenerator(hidden=(8,)), MLPDiscriminator(hidden=(8,)), seed=3)
    data = DigitsDataModule(20, labels_per_class=5)
    module._trainer = SimpleNamespace(world_size=world, global_rank=rank, datamodule=data)
    return module


def test_processes_share_out_the_noise_of_the_global_batch() -> None:
    for player in ("D", "G"):
        whole = on_rank(0, 1)._noise(12, player, 0)
        shares = [on_rank(rank, 3)._noise(4, player, 0) for rank in range(3)]
        assert torch.equal(torch.stack(shares, 1).flatten(0, 1), whole)
    module = on_rank(0, 1)
    draws = [module._noise(4, player, update) for player, update in (("D", 0), ("G", 0), ("D", 1))]
    module.batches = 1
    draws.append(module._noise(4, "D", 0))
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_noise_inside_the_networks_differs_between_processes() -> None:
    draws = []
    for rank in (0, 1, 0):
        on_rank(rank, 2)._seed_noise()
        draws.append(torch.randn(4))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


def test_every_process_initialises_the_networks_alike() -> None:
    modules = [on_rank(rank, 2) for rank in range(2)]
    for disturb, module in enumerate(modules):
        torch.manual_seed(disturb)
        module.setup("fit")
        assert module.initialized
    for a, b in zip(modules[0].state_dict().items(), modules[1].state_dict().items(), strict=True):
        assert a[0] == b[0]
        assert torch.equal(a[1], b[1]), a[0]


def test_the_reference_batch_is_the_same_on_every_process() -> None:
    for network in ("generator", "discriminator"):
        batches = []
        for rank in range(2):
            module, callback = on_rank(rank, 2), ReferenceBatch(network, size=6)
            torch.manual_seed(rank)
            callback.setup(module._trainer, module, "fit")
            batches.append(callback.batch)
        assert torch.equal(*batches)
