"""Sample grids, sample files and curves."""

import numpy as np
import pytest
import torch
from torchvision.io import read_image

from lit_improved_gan.callbacks import Curves, SampleGrid, SampleWriter
from lit_improved_gan.callbacks.curves import plot_curves
from lit_improved_gan.callbacks.images import grid_of
from lit_improved_gan.metrics import to_levels


def test_grids_are_named_by_batch_and_leave_training_alone(foreign, loader, make_trainer, tmp_path) -> None:
    states = []

    class Watch(SampleGrid):
        def _save(self, trainer, pl_module):
            before = torch.get_rng_state(), foreign.training
            super()._save(trainer, pl_module)
            states.append((torch.equal(before[0], torch.get_rng_state()), before[1] == foreign.training))

    make_trainer(Watch(every_n_epochs=2, rows=2, columns=3), max_epochs=5).fit(foreign, loader)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["batch-000012.png", "batch-000024.png", "batch-000030.png"]
    assert read_image(str(tmp_path / "samples" / names[0])).shape == (3, 2 * 34 + 2, 3 * 34 + 2)
    assert states == [(True, True)] * 3


@pytest.mark.parametrize("name", ["every_n_epochs", "rows", "columns"])
def test_grids_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of SampleGrid"):
        SampleGrid(**{name: 0})


def test_a_module_that_cannot_sample_is_refused(foreign, loader, make_trainer) -> None:
    foreign.sample = None
    with pytest.raises(TypeError, match="sample"):
        make_trainer(SampleGrid()).fit(foreign, loader)


def test_pixels_are_rounded_and_cut_off_not_wrapped() -> None:
    assert to_levels(torch.tensor([-1.2, -1.0, 0.0, 0.999, 1.0, 1.5])).tolist() == [0, 0, 128, 255, 255, 255]


def test_large_images_are_not_enlarged() -> None:
    assert grid_of(torch.zeros(4, 3, 40, 40), 2).shape == (3, 2 * 42 + 2, 2 * 42 + 2)


def test_samples_are_written_in_order_whatever_the_batches(foreign, make_trainer, tmp_path) -> None:
    foreign.predict_step = lambda batch, batch_idx: (batch.view(-1, 1, 1, 1).expand(-1, 1, 8, 8) / 127.5) - 1
    numbers = [torch.tensor(part) for part in ([4, 5, 6], [0, 1], [2, 3])]
    writer = SampleWriter(str(tmp_path / "out"))
    make_trainer(writer).predict(foreign, torch.utils.data.DataLoader(numbers, batch_size=None))
    images = np.load(tmp_path / "out" / "samples.npz")["images"]
    assert images.shape == (7, 1, 8, 8)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == list(range(7))
    for number in range(7):
        assert (read_image(str(tmp_path / "out" / f"{number:06d}.png")).numpy() == number).all()
    with pytest.raises(FileExistsError, match="out has files in it"):
        make_trainer(SampleWriter(str(tmp_path / "out"))).predict(
            foreign, torch.utils.data.DataLoader(numbers, batch_size=None)
        )


def test_curves_are_drawn_from_rows_with_gaps(foreign, loader, make_trainer, tmp_path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "step,epoch,train/d_loss,train/d_real,val/error_percent,test/error_percent,d_updates\n"
        "2,0,0.5,0.6,,,2\n4,0,0.4,0.7,12.5,,4\n4,1,,,,11.0,\n"
    )
    make_trainer(Curves()).fit(foreign, loader)
    picture = read_image(str(tmp_path / "curves.png"))
    assert picture.shape[1] > 800  # three panels
    assert picture[:3].float().std() > 10


def test_no_rows_no_curves(tmp_path) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch\n1,0\n")
    plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
