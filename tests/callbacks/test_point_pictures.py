"""Pictures of points."""

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from PIL import Image

from lit_improved_gan import GAN, DigitsDataModule, MoonsDataModule, PointDiscriminator, PointGenerator, PointPictures
from lit_improved_gan.callbacks.point_pictures import draw_points


def gan(**options) -> GAN:
    seed_everything(0, verbose=False)
    return GAN(PointGenerator(), PointDiscriminator(**options), seed=0)


@pytest.fixture
def moons() -> MoonsDataModule:
    return MoonsDataModule(num_points=1000, num_test=10)


def test_a_picture_and_an_animation_of_the_run(moons, make_trainer, tmp_path) -> None:
    pictures, module = PointPictures(every_n_batches=4, num_samples=30), gan()
    make_trainer(pictures).fit(module, moons)
    assert [frame["batches"] for frame in pictures.frames] == [4, 8, 10]
    assert torch.equal(pictures.frames[-1]["samples"], module.sample(30))
    surface = pictures.frames[-1]["surface"]
    points = moons.training_set.images
    low, high = float(points.min()), float(points.max())
    low, high = low - 0.2 * (high - low), high + 0.2 * (high - low)
    corner = torch.tensor([[high, low]])  # of the first row, the last column
    torch.testing.assert_close(surface[0, -1], module.discriminator(corner).logits.sigmoid()[0, 0])
    with Image.open(tmp_path / "points.gif") as film:
        assert film.n_frames == 3
    assert Image.open(tmp_path / "points.png").size[0] > 300


def test_what_is_drawn_is_where_it_belongs(tmp_path) -> None:
    """Samples in the upper right of the picture, D's doubt below."""
    real = torch.rand(1000, 2)
    surface = torch.zeros(50, 50)
    surface[25:] = 1.0  # the upper half
    draw_points(real, [{"batches": 1, "samples": torch.full((500, 2), 1.1), "surface": surface}], tmp_path)
    picture = torch.from_numpy(np.array(Image.open(tmp_path / "points.png").convert("RGB")))
    width, height = Image.open(tmp_path / "points.png").size
    rows = picture.float()
    red = (rows[..., 0] - rows[..., 1] > 60).float().mean(1)
    green = (rows[..., 1] - rows[..., 0] > 35).float().mean(1)
    assert float(green[: height // 2].mean()) > 5 * float(green[height // 2 :].mean())
    assert float(red[height // 2 :].mean()) > 5 * float(red[: height // 2].mean())
    blue = (rows[..., 2] - rows[..., 0] > 60).nonzero().float().mean(0)
    assert blue[0] < height / 2
    assert blue[1] > width / 2


def test_without_a_surface_where_examples_are_judged_together(moons, make_trainer, tmp_path) -> None:
    pictures = PointPictures(every_n_batches=5, num_samples=30)
    make_trainer(pictures).fit(gan(packing=2), moons)
    assert all(frame["surface"] is None for frame in pictures.frames)
    assert (tmp_path / "points.gif").is_file()


def test_training_is_the_same_with_and_without_it(moons, make_trainer) -> None:
    states = []
    for callbacks in ([], [PointPictures(every_n_batches=2, num_samples=10)]):
        module = gan()
        make_trainer(*callbacks).fit(module, moons)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_what_does_not_fit_is_refused(make_trainer, moons) -> None:
    with pytest.raises(ValueError, match=r"of `image_shape` \(2,\). Found \(1, 8, 8\): take it out"):
        make_trainer(PointPictures()).fit(gan(), DigitsDataModule())
    for name in ("every_n_batches", "num_samples"):
        with pytest.raises(ValueError, match=f"`{name}` of PointPictures should be 1 or more. Found {name}=0"):
            PointPictures(**{name: 0})
