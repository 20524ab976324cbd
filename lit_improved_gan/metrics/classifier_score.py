"""The Inception score's formula for any classifier."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ClassifierScore"]


class ClassifierScore(Metric):
    r"""exp of the mean divergence between each sample's classes and all samples' classes.

    .. math:: \exp\left(E_x\, \mathrm{KL}(p(y|x) \,\Vert\, p(y))\right)

    between 1 and the number of classes: high where every sample is clearly of one class and all classes are equally
    common. The samples are divided into ``splits`` consecutive groups; p(y) is each group's own. With the Inception
    network as the classifier this is the Inception score; with another it must not be called so.

    Memory is O(splits x classes), in float64, and independent of the number of samples. Samples may come in any order
    and on any process: each says its number.

    Args:
        num_classes: K, >= 2.
        num_samples: how many samples there will be, N, >= splits.
        splits: groups, >= 1.

    Raises:
        ValueError: an argument is out of its range; a sample's number is; not all samples came.

    Source: paper section 4; splits as in openai/improved-gan @ 4f5d1ec, ``inception_score/model.py``.

    >>> score = ClassifierScore(num_classes=4, num_samples=8, splits=1)
    >>> score.update(torch.eye(4).repeat(2, 1), torch.arange(8))
    >>> score.compute()
    (tensor(4., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    probability_sum: Tensor
    negative_entropy: Tensor
    count: Tensor

    def __init__(self, num_classes: int, num_samples: int, splits: int = 10) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(
                f"Parameter `num_classes` of ClassifierScore should be 2 or more. Found num_classes={num_classes}."
            )
        if not 1 <= splits <= num_samples:
            raise ValueError(
                "Parameter `splits` of ClassifierScore should be between 1 and the number of samples. "
                f"Found splits={splits}, num_samples={num_samples}."
            )
        self.num_classes, self.num_samples, self.splits = num_classes, num_samples, splits
        for name, shape in [("probability_sum", (splits, num_classes)), ("negative_entropy", (splits,))]:
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(splits, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, numbers: Tensor) -> None:
        """Add samples.

        Args:
            probabilities: p(y|x), ``(n, K)``, rows that sum to 1.
            numbers: which samples these are, ``(n,)``, each of 0..N-1 once over all updates and processes.
        """
        if probabilities.dim() != 2 or probabilities.shape[1] != self.num_classes:
            raise ValueError(
                f"Parameter `probabilities` of ClassifierScore should be (n, {self.num_classes}). "
                f"Found {tuple(probabilities.shape)}."
            )
        if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.num_samples:
            raise ValueError(
                f"Parameter `numbers` of ClassifierScore should be in 0..{self.num_samples - 1}. "
                f"Found {int(numbers.min())}..{int(numbers.max())}."
            )
        p = probabilities.double()
        ends = torch.tensor([i * self.num_samples // self.splits for i in range(1, self.splits + 1)])
        split = torch.bucketize(numbers.to(p.device), ends.to(p.device), right=True)
        self.probability_sum.index_add_(0, split, p)
        self.negative_entropy.index_add_(0, split, torch.xlogy(p, p).sum(1))
        self.count.index_add_(0, split, torch.ones_like(split))

    def compute(self) -> tuple[Tensor, Tensor]:
        """Mean and population standard deviation of the score over the splits, scalars in float64."""
        if int(self.count.sum()) != self.num_samples:
            raise ValueError(
                f"ClassifierScore was promised {self.num_samples} samples. Found {int(self.count.sum())}: "
                "update it with every sample once before compute()."
            )
        marginal = self.probability_sum / self.count.unsqueeze(1)
        divergence = self.negative_entropy / self.count - torch.xlogy(marginal, marginal).sum(1)
        scores = divergence.exp()
        return scores.mean(), scores.std(correction=0)
