"""The small classifier's layers."""

import pytest
import torch
from torch import nn

from lit_improved_gan import SmallClassifier


@pytest.mark.parametrize(
    ("shape", "convolutions", "channels", "features"),
    [((1, 8, 8), 2, [32, 64], 64 * 4 * 4), ((1, 28, 28), 3, [32, 64, 128], 128 * 7 * 7), ((3, 9, 7), 1, [32], 32 * 63)],
)
def test_each_convolution_after_the_first_halves_the_image(shape, convolutions, channels, features) -> None:
    classifier = SmallClassifier(shape, num_classes=5, convolutions=convolutions)
    assert [layer.out_channels for layer in classifier.layers if isinstance(layer, nn.Conv2d)] == channels
    assert classifier.layers[-1].in_features == features
    assert classifier(torch.rand(4, *shape)).shape == (4, 5)


@pytest.mark.parametrize(
    "wrong", [{"image_shape": (1, 8)}, {"num_classes": 0}, {"width": 0}, {"convolutions": 0}], ids=str
)
def test_sizes_out_of_range(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SmallClassifier(**wrong)
