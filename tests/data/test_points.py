"""Points whose modes are known."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from lit_improved_gan import GAN, GridDataModule, MoonsDataModule, PointDiscriminator, PointGenerator, RingDataModule
from lit_improved_gan.data import ImageDataModule, Images
from lit_improved_gan.modules.batches import check_images
from lit_improved_gan.modules.preparation import check_generator

KINDS: list[tuple[type[Any], dict[str, Any], int]] = [
    (RingDataModule, {}, 8),
    (RingDataModule, {"radius": 1.0, "std": 0.01}, 8),
    (GridDataModule, {}, 25),
]


@pytest.mark.parametrize(("kind", "options", "modes"), KINDS)
def test_points_lie_about_the_centres_of_their_classes(kind, options, modes: int) -> None:
    data = kind(**options)
    data.setup()
    assert data.num_classes == modes == len(data.centres)
    for (points, labels), size in ((data.training_set, 50_000), (data.test, 2_500)):
        assert points.shape == (size, 2)
        assert points.dtype == torch.float32
        assert (labels.bincount(minlength=modes) > 0.8 * size / modes).all()
        offsets = points - data.centres[labels]
        torch.testing.assert_close(offsets.std(0), torch.full((2,), data.std), rtol=0.05, atol=0)
        nearest = torch.cdist(points, data.centres).argmin(1)
        assert torch.equal(nearest, labels)


def test_the_published_ring_and_grid() -> None:
    centres = RingDataModule().centres
    torch.testing.assert_close(centres.norm(dim=1), torch.full((8,), 2.0))
    torch.testing.assert_close(centres[2], torch.tensor([0.0, 2.0]))
    steps = (centres - centres.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(8))
    grid = {tuple(row) for row in GridDataModule().centres.tolist()}
    assert grid == {(a, b) for a in (-4, -2, 0, 2, 4) for b in (-4, -2, 0, 2, 4)}
    assert GridDataModule().std == 0.05


def test_moons_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import make_moons

    data = MoonsDataModule(std=1e-6, num_points=2000)
    data.setup()
    points, labels = data.training_set
    assert set(labels.tolist()) == {0, 1}
    theirs, classes = make_moons(5000)
    for moon in (0, 1):
        curve = torch.from_numpy(theirs[classes == moon]).float()
        assert float(torch.cdist(points[labels == moon], curve).min(1).values.max()) < 2e-3


def test_every_seed_sees_the_same_points_and_the_parts_differ() -> None:
    first, second = RingDataModule(), RingDataModule(label_seed=5)
    first.setup()
    second.setup()
    assert torch.equal(first.training_set.images, second.training_set.images)
    assert not torch.equal(first.training_set.images[:2500], first.test.images)


def test_points_reach_a_module_as_they_are_in_its_precision() -> None:
    seen = []

    class Watch(GAN):
        def discriminator_step(self, batch, fake):
            seen.append(batch["unlabelled"])
            return super().discriminator_step(batch, fake)

    options: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = Trainer(max_steps=2, precision="64-true", accelerator="cpu", **options)
    data = GridDataModule(batch_size=64, val_size=100)
    trainer.fit(Watch(PointGenerator(), PointDiscriminator()), data)
    assert seen[0].dtype == torch.float64
    known = {tuple(row) for row in data.training_set.images.double().tolist()}
    assert all(tuple(row) in known for row in torch.cat(seen).tolist())
    assert float(seen[0].max()) > 3
    assert torch.equal(data.reference_images(10, 0), data.reference_images(10, 0))
    assert all(tuple(row) in known for row in data.reference_images(10, 0).double().tolist())
    assert trainer.test(Watch(PointGenerator(), PointDiscriminator()), data, verbose=False)[0]["test/d_real"] > 0
    samples = trainer.predict(Watch(PointGenerator(), PointDiscriminator()), data)
    assert samples[0].shape == (64, 2)


def test_bounded_data_still_demand_images() -> None:
    class Floats(ImageDataModule):
        image_shape, num_classes = (2,), 1

        def load(self) -> tuple[Images, Images]:
            both = Images(torch.zeros(10, 2), torch.zeros(10, dtype=torch.int64))
            return both, both

    with pytest.raises(ValueError, match=r"should be uint8 in 0\.\.255. Found torch.float32"):
        Floats().setup()
    Floats.unbounded = True
    Floats().setup()
    generator = PointGenerator()
    torch.nn.init.constant_(generator.layers[-1].bias, 5.0)
    check_generator(generator, Floats())
    with pytest.raises(ValueError, match=r"make images in \[-1, 1\]"):  # of a module without data
        check_generator(generator, None)


def test_points_that_are_not_finite_are_refused() -> None:
    points = torch.full((3, 2), 7.0)
    check_images(points, (2,), torch.float32, "Points", unbounded=True)
    points[1, 1] = float("inf")
    with pytest.raises(ValueError, match="Points should be finite float values of shape"):
        check_images(points, (2,), torch.float32, "Points", unbounded=True)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (RingDataModule, {"modes": 0}, "`modes` of RingDataModule should be above 0. Found modes=0"),
        (RingDataModule, {"radius": -1.0}, "`radius` of RingDataModule"),
        (RingDataModule, {"std": 0.0}, "`std` of RingDataModule should be above 0. Found std=0.0"),
        (GridDataModule, {"side": 0}, "`side` of GridDataModule"),
        (GridDataModule, {"spacing": 0.0}, "`spacing` of GridDataModule"),
        (MoonsDataModule, {"num_points": 0}, "`num_points` of MoonsDataModule"),
        (MoonsDataModule, {"num_test": 0}, "`num_test` of MoonsDataModule"),
        (MoonsDataModule, {"batch_size": 0}, "`batch_size` of MoonsDataModule"),
    ],
)
def test_arguments_out_of_range_are_refused(kind, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)
