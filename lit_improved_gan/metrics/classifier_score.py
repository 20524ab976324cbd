"""The Inception score's formula for any classifier."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ClassifierScore", "group_sums", "score_of_groups"]


def group_sums(p: Tensor, negative_entropy: Tensor, numbers: Tensor, n: int, splits: int) -> tuple[Tensor, ...]:
    """Sums over consecutive groups, of which image ``i`` of ``n`` is in the one that its number says.

    Args:
        p: p(y|x), ``(m, K)``, float64.
        negative_entropy: sum over y of p log p, ``(m,)``.
        numbers: of the images, ``(m,)``, in 0..n-1.
        n: how many images there are in all.
        splits: groups; group i has the numbers from i * n // splits on.

    Returns:
        ``(splits, K)``, ``(splits,)`` and the counts ``(splits,)``, int64.

    Raises:
        ValueError: a number is out of its range.
    """
    if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < n:
        raise ValueError(
            f"Parameter `numbers` should be in 0..{n - 1}. Found {int(numbers.min())}..{int(numbers.max())}."
        )
    ends = torch.tensor([i * n // splits for i in range(1, splits + 1)], device=p.device)
    group = torch.bucketize(numbers.to(p.device).contiguous(), ends, right=True)
    return (
        p.new_zeros(splits, p.shape[1]).index_add_(0, group, p),
        p.new_zeros(splits).index_add_(0, group, negative_entropy),
        torch.zeros(splits, dtype=torch.int64, device=p.device).index_add_(0, group, torch.ones_like(group)),
    )


def score_of_groups(probability: Tensor, negative_entropy: Tensor, count: Tensor) -> Tensor:
    """Exp of the mean divergence in each group, ``(splits,)``, from the sums of :func:`group_sums`."""
    marginal = probability / count.unsqueeze(1)
    return (negative_entropy / count - torch.xlogy(marginal, marginal).sum(1)).exp()


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
        p = probabilities.double()
        sums = group_sums(p, torch.xlogy(p, p).sum(1), numbers, self.num_samples, self.splits)
        self.probability_sum += sums[0]
        self.negative_entropy += sums[1]
        self.count += sums[2]

    def compute(self) -> tuple[Tensor, Tensor]:
        """Mean and population standard deviation of the score over the splits, scalars in float64."""
        if int(self.count.sum()) != self.num_samples:
            raise ValueError(
                f"ClassifierScore was promised {self.num_samples} samples. Found {int(self.count.sum())}: "
                "update it with every sample once before compute()."
            )
        scores = score_of_groups(self.probability_sum, self.negative_entropy, self.count)
        return scores.mean(), scores.std(correction=0)
