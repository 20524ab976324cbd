"""What constructors measure leaves a layer as it was."""

import torch
from torch import nn

from lit_improved_gan.networks.checks import width_after


def test_the_width_is_measured_and_every_part_stays_in_its_mode() -> None:
    layer = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout())
    layer[1].eval()  # as someone froze it
    assert width_after(layer, 4) == 6
    assert [part.training for part in layer] == [True, False, True]
    assert torch.equal(layer[1].running_mean, torch.zeros(6))
