"""The target of real images, batch by batch."""

import pytest

from lit_improved_gan import GAN, DigitsDataModule, MLPDiscriminator, MLPGenerator
from lit_improved_gan.callbacks import LabelSmoothing


def test_a_foreign_module_trains_with_the_target_and_gets_its_own_back(foreign, loader, make_trainer) -> None:
    foreign.real_target = 0.99
    make_trainer(LabelSmoothing()).fit(foreign, loader)
    assert foreign.targets == [0.9] * 6
    assert foreign.real_target == 0.99


def test_a_schedule_is_a_function_of_the_batch(foreign, loader, make_trainer) -> None:
    make_trainer(LabelSmoothing(0.5, 0.9, batches=4)).fit(foreign, loader)
    assert foreign.targets == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 0.9])


def test_the_loss_of_the_librarys_modules_is_smoothed(make_trainer) -> None:
    seen = []

    class Watch(GAN):
        def discriminator_step(self, batch, fake):
            seen.append(self.discriminator_loss.real_target)
            return super().discriminator_step(batch, fake)

    module = Watch(MLPGenerator(hidden=(8,)), MLPDiscriminator(num_outputs=1, hidden=(8,)))
    make_trainer(LabelSmoothing(0.8), max_steps=2).fit(module, DigitsDataModule(20))
    assert seen == [0.8, 0.8]
    assert module.real_target == 1.0


def test_a_module_without_a_target_is_refused(foreign, loader, make_trainer) -> None:
    del foreign.real_target
    with pytest.raises(TypeError, match="Foreign has no attribute `real_target`"):
        make_trainer(LabelSmoothing()).fit(foreign, loader)


@pytest.mark.parametrize(
    "arguments", [(0.0,), (1.1,), (0.9, 2.0, 5), (0.9, 0.5), (0.9, None, 5), (0.9, 0.5, 0)], ids=str
)
def test_arguments_that_make_no_sense_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="LabelSmoothing"):
        LabelSmoothing(*arguments)
