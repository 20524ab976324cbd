"""Loaders, batches and schedules that are not the library's."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset

from lit_improved_gan import GAN, Classifier, SemiSupervisedGAN
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator


def fit(module, loader, **options) -> None:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    Trainer(max_steps=3, accelerator="cpu", num_sanity_val_steps=0, **off, **options).fit(module, loader)


def networks(outputs: int) -> tuple[MLPGenerator, MLPDiscriminator]:
    torch.manual_seed(0)
    return MLPGenerator(hidden=(16,)), MLPDiscriminator(num_outputs=outputs, hidden=(16,))


def initialised(module):
    module.initialize(torch.rand(50, 1, 8, 8) * 2 - 1)
    return module


IMAGES = torch.rand(40, 1, 8, 8) * 2 - 1


@pytest.mark.parametrize(
    ("images", "found"),
    [(np.zeros((40, 1, 8, 8), np.float32), "ndarray"), (IMAGES.double(), "float64")],
    ids=["numpy", "double"],
)
def test_batches_of_another_type_are_refused(images, found: str) -> None:
    loader = [images[:20], images[20:]]
    with pytest.raises(ValueError, match=f"Training images .*{found}"):
        fit(initialised(GAN(*networks(1))), loader)


class Streams(TensorDataset):
    """Yields the dict that a semi-supervised module asks for."""

    def __getitem__(self, i):
        images, labels = super().__getitem__(i)
        return {"labelled": (images, labels), "unlabelled": images, "matching": images}


def test_labelled_pairs_of_any_loader_are_understood() -> None:
    module = initialised(SemiSupervisedGAN(*networks(10)))
    fit(module, DataLoader(Streams(IMAGES, torch.arange(40) % 10), batch_size=20))
    assert module.batches == 3


@pytest.mark.parametrize("wrong", [10, -1])
def test_labels_without_a_logit_are_refused(wrong: int) -> None:
    labels = torch.arange(40) % 10
    labels[3] = wrong
    with pytest.raises(ValueError, match=r"Labels should be in 0\.\.9.*num_outputs"):
        fit(initialised(SemiSupervisedGAN(*networks(10))), DataLoader(Streams(IMAGES, labels), batch_size=20))


def test_a_classifier_takes_any_loader() -> None:
    classifier = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)))
    fit(classifier, DataLoader(TensorDataset(IMAGES, torch.arange(40) % 10), batch_size=20))
    assert classifier.batches == 3
    with pytest.raises(ValueError, match=r"module\.initialize"):
        fit(Classifier(networks(10)[1]), DataLoader(TensorDataset(IMAGES, torch.arange(40) % 10), batch_size=20))
    with pytest.raises(ValueError, match="init_images=0"):
        Classifier(networks(10)[1], init_images=0)


def test_the_average_of_a_classifier_is_bias_corrected() -> None:
    """After t updates at rate 1/2 the weights of the past are 1/2, 1/4, ... over their sum."""
    seen = []

    class Watch(Classifier):
        def on_train_batch_end(self, *args, **kwargs):
            seen.append(self.network[1].weight.detach().clone())

    classifier = Watch(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), average=0.5)
    fit(classifier, DataLoader(TensorDataset(IMAGES, torch.arange(40) % 10), batch_size=20))
    expected = (seen[2] / 2 + seen[1] / 4 + seen[0] / 8) / (7 / 8)
    assert torch.allclose(classifier.average.network[1].weight, expected, atol=1e-6)


def test_averages_count_batches_whatever_the_ratio_of_updates() -> None:
    seen = []

    class Watch(GAN):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            seen.append([p.detach().clone() for p in (self.discriminator.head[1].bias, self.generator.layers[-1].bias)])

    module = initialised(Watch(*networks(1), d_updates_per_batch=2, discriminator_average=0.5, generator_average=0.5))
    fit(module, DataLoader(IMAGES, batch_size=20))
    for i, average in enumerate(
        (module.discriminator_average.network.head[1].bias, module.generator_average.network.layers[-1].bias)
    ):
        expected = (seen[2][i] / 2 + seen[1][i] / 4 + seen[0][i] / 8) / (7 / 8)
        assert torch.allclose(average, expected, atol=1e-6)
