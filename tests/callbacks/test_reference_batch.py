"""A fixed batch for a network, kept in the checkpoint."""

import pytest
import torch
from torch.utils.data import DataLoader

from lit_improved_gan import GAN, DigitsDataModule, MLPDiscriminator, MLPGenerator
from lit_improved_gan.callbacks import ReferenceBatch


def gan() -> GAN:
    torch.manual_seed(0)
    return GAN(MLPGenerator(hidden=(8,)), MLPDiscriminator(num_outputs=1, hidden=(8,)))


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_the_batch_depends_on_its_seed_alone_and_survives_a_resume(network: str, make_trainer, tmp_path) -> None:
    batches = []
    for disturb, seed in [(1, 0), (2, 0), (1, 5)]:
        torch.manual_seed(disturb)
        callback = ReferenceBatch(network, seed=seed)
        trainer = make_trainer(callback, max_steps=2)
        trainer.fit(gan(), DigitsDataModule(20))
        batches.append(callback.batch)
    assert batches[0].shape == {"generator": (20, 100), "discriminator": (20, 1, 8, 8)}[network]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])

    trainer.save_checkpoint(tmp_path / "x.ckpt", weights_only=False)
    resumed, module = ReferenceBatch(network, seed=77), gan()
    make_trainer(resumed, max_steps=4).fit(
        module, DigitsDataModule(20), ckpt_path=tmp_path / "x.ckpt", weights_only=True
    )
    assert torch.equal(resumed.batch, batches[2])
    assert torch.equal(getattr(module, network).reference, batches[2])
    # what is evaluated and sampled from has it, too: after training, and from the checkpoint alone
    assert torch.equal(getattr(module, f"{network}_average").network.reference, batches[2])
    again = gan()
    make_trainer(ReferenceBatch(network, seed=77)).test(
        again, DigitsDataModule(20), ckpt_path=tmp_path / "x.ckpt", weights_only=True, verbose=False
    )
    assert torch.equal(getattr(again, f"{network}_average").network.reference, batches[2])


def test_both_networks_have_one_of_their_own(make_trainer, tmp_path) -> None:
    module = gan()
    callbacks = [ReferenceBatch("generator", size=3), ReferenceBatch("discriminator", size=4)]
    trainer = make_trainer(*callbacks, max_steps=2)
    trainer.fit(module, DigitsDataModule(20))
    assert module.generator.reference.shape == (3, 100)
    assert module.discriminator.reference.shape == (4, 1, 8, 8)
    trainer.save_checkpoint(tmp_path / "x.ckpt", weights_only=False)
    saved = torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    assert {key: tuple(state["batch"].shape) for key, state in saved.items()} == {
        "ReferenceBatch-generator": (3, 100),
        "ReferenceBatch-discriminator": (4, 1, 8, 8),
    }


def test_a_foreign_network_receives_it_by_its_method(foreign, loader, make_trainer) -> None:
    received = []
    foreign.generator.set_reference = received.append
    make_trainer(ReferenceBatch(size=7)).fit(foreign, loader)
    assert all(torch.equal(batch, received[0]) for batch in received)
    assert received[0].shape == (7, 5)


def test_what_is_missing_is_said(foreign, loader, make_trainer) -> None:
    with pytest.raises(TypeError, match="`size`"):
        make_trainer(ReferenceBatch()).fit(foreign, loader)
    with pytest.raises(TypeError, match="reference_images"):
        make_trainer(ReferenceBatch("discriminator", size=3)).fit(foreign, loader)
    with pytest.raises(TypeError, match="'nothing'"):
        make_trainer(ReferenceBatch("nothing", size=3)).fit(foreign, loader)
    with pytest.raises(ValueError, match="size=1"):
        ReferenceBatch(size=1)
    with pytest.raises(ValueError, match="5000, and there are 1297"):
        make_trainer(ReferenceBatch("discriminator", size=5000)).fit(gan(), DigitsDataModule(20))
    del foreign.generator
    foreign.generator = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match="prior"):
        make_trainer(ReferenceBatch(size=3)).fit(foreign, DataLoader(torch.zeros(2, 1, 8, 8)))
