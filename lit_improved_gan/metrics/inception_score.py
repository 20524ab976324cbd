"""The Inception score."""

from itertools import pairwise

import torch
from torch import Tensor

from lit_improved_gan.metrics.classifier_score import group_sums, score_of_groups
from lit_improved_gan.metrics.extractor import FeatureExtractor
from lit_improved_gan.metrics.feature_metric import FeatureMetric

__all__ = ["InceptionScore"]


class InceptionScore(FeatureMetric):
    r"""The score of the paper, of generated images alone.

    .. math:: \exp\left(E_x\, \mathrm{KL}(p(y|x) \,\Vert\, p(y))\right)

    with p(y|x) the softmax of a classifier's logits, and p(y) their mean. The images are divided into ``splits``
    consecutive groups; mean and population standard deviation of the groups' scores are reported, as
    ``inception_score`` and ``inception_score_std``. The paper takes 50,000 images and 10 groups; scores of other
    numbers do not compare. With logits of another network it is named ``classifier_score``.

    Memory is O(splits x classes), in float64. Images may come in any order and on any process: each has its number.

    Args:
        extractor: turns images into logits; ``None``: :meth:`update` is given the logits.
        layer: of the extractor: the logits.
        splits: groups, >= 1.
        num_samples: how many images there will be, >= splits; ``None``: :meth:`expect` says it.
        num_features: number of classes, where the logits are given.

    Raises:
        ValueError: an argument is out of its range; a number is; not all images came; a group has another's images.

    Source: paper section 4; openai/improved-gan @ 4f5d1ec, ``inception_score/model.py``: logits without bias.
    """

    measure = "inception_score"
    options = ("layer", "splits")
    higher_is_better = True
    needs_real = False
    generated_probability: Tensor
    generated_negative_entropy: Tensor
    generated_count: Tensor

    def __init__(
        self,
        extractor: FeatureExtractor | None = None,
        layer: str = "logits_unbiased",
        splits: int = 10,
        num_samples: int | None = None,
        num_features: int | None = None,
    ) -> None:
        super().__init__(extractor, layer, num_features)
        if self.num_features < 2:
            raise ValueError(f"Parameter `layer` of InceptionScore should have 2 classes or more. Found {layer!r}.")
        if splits < 1:
            raise ValueError(f"Parameter `splits` of InceptionScore should be 1 or more. Found {splits}.")
        self.splits, self.num_samples = splits, num_samples
        if num_samples is not None:
            self.expect(0, num_samples)
        self.add_sum("generated_probability", splits, self.num_features)
        self.add_sum("generated_negative_entropy", splits)
        self.add_sum("generated_count", splits, dtype=torch.int64)

    def expect(self, num_real: int, num_generated: int) -> None:
        """Say how many images there will be."""
        if num_generated < self.splits:
            raise ValueError(
                f"InceptionScore should have as many images as `splits` or more. Found {num_generated} images, "
                f"splits={self.splits}."
            )
        self.num_samples = num_generated

    def update(self, images: Tensor, real: bool = False, numbers: Tensor | None = None) -> None:
        """Add generated images; real ones have no part in the score, and are passed over.

        Args:
            images: what the extractor takes, or logits ``(n, K)``.
            real: whether they are real.
            numbers: which images these are, ``(n,)``, each of 0..N-1 once over all updates and processes; by default
                the next ones, where one process has all.
        """
        if real:
            return
        if self.num_samples is None:
            raise ValueError("InceptionScore should know the number of images first. Give `num_samples`.")
        logits = self.features_of(images).double()
        if numbers is None:
            numbers = int(self.generated_count.sum()) + torch.arange(len(logits), device=logits.device)
        log_p = logits.log_softmax(1)
        sums = group_sums(log_p.exp(), (log_p.exp() * log_p).sum(1), numbers, self.num_samples, self.splits)
        self.generated_probability += sums[0]
        self.generated_negative_entropy += sums[1]
        self.generated_count += sums[2]

    def compute(self) -> dict[str, Tensor]:
        """Mean and population standard deviation of the score over the splits, scalars in float64."""
        found = int(self.generated_count.sum())
        if found != self.num_samples:
            raise ValueError(f"InceptionScore was promised {self.num_samples} images. Found {found}.")
        ends = [i * found // self.splits for i in range(self.splits + 1)]
        if self.generated_count.tolist() != [end - start for start, end in pairwise(ends)]:
            raise ValueError(
                "InceptionScore: each image should have a number of its own, 0, 1, 2, ... over all processes. Found "
                "one twice: give `numbers` to update()."
            )
        scores = score_of_groups(self.generated_probability, self.generated_negative_entropy, self.generated_count)
        inception = self.extractor is not None and self.extractor.is_inception
        name = self.key(self.measure if inception else "classifier_score")
        return {name: scores.mean(), f"{name}_std": scores.std(correction=0)}
