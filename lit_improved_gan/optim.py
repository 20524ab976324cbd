"""The optimizer and the learning-rate schedule of the released code."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["LinearDecay", "ReleasedAdam"]


class ReleasedAdam(Optimizer):
    r"""Adam with epsilon inside the root, as the authors' code has it.

    .. math:: \theta \leftarrow \theta - \mathrm{lr}\,\hat m / \sqrt{\hat v + \epsilon}

    ``torch.optim.Adam`` divides by :math:`\sqrt{\hat v} + \epsilon`. Where gradients are tiny the two differ by orders
    of magnitude (at :math:`\hat v = 0` the divisor is 1e-4 here, 1e-8 there), and it decides whether semi-supervised
    training with feature matching converges.

    Args:
        params: parameters, or groups of them.
        lr: step size, > 0.
        beta1: decay of the mean gradient, in [0, 1). The released code uses 0.5.
        beta2: decay of the mean squared gradient, in [0, 1).
        eps: added to the mean squared gradient, > 0.

    Raises:
        ValueError: a value is out of its range.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/nn.py``, ``adam_updates``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-4,
        beta1: float = 0.5,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        for name, value, ok in [
            ("lr", lr, lr > 0),
            ("beta1", beta1, 0 <= beta1 < 1),
            ("beta2", beta2, 0 <= beta2 < 1),
            ("eps", eps, eps > 0),
        ]:
            if not ok:
                allowed = "in [0, 1)" if name.startswith("beta") else "greater than 0"
                raise ValueError(f"Parameter `{name}` of ReleasedAdam should be {allowed}. Found {name}={value}.")
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient, once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            state = self.state[p]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float64)  # on the CPU: read without waiting for a device
                state["exp_avg"] = torch.zeros_like(p)
                state["exp_avg_sq"] = torch.zeros_like(p)
            state["step"] += 1
        by_step: dict[float, list[Tensor]] = {}
        for p in params:  # parameters may join later: each has its own count
            by_step.setdefault(self.state[p]["step"].item(), []).append(p)
        beta1, beta2 = group["beta1"], group["beta2"]
        for step, members in by_step.items():
            grads = [p.grad for p in members if p.grad is not None]
            means = [self.state[p]["exp_avg"] for p in members]
            squares = [self.state[p]["exp_avg_sq"] for p in members]
            torch._foreach_lerp_(means, grads, 1 - beta1)
            torch._foreach_mul_(squares, beta2)
            torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
            # m_hat / sqrt(v_hat + eps) with both corrections taken out of the root: two passes over memory fewer
            correction = 1 - beta2**step
            roots = torch._foreach_add(squares, group["eps"] * correction)
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(members, means, roots, -group["lr"] * correction**0.5 / (1 - beta1**step))


class LinearDecay(LRScheduler):
    """Keep the learning rate, then let it fall linearly to zero.

    The factor after t training batches is ``min(1, (end - t) / (end - start))``, never below zero. The released
    CIFAR-10 schedule, min(3 - epoch/400, 1) over 1200 epochs of 500 batches, is ``start=400_000, end=600_000``: equal
    at the start of each epoch, within which the released factor stays, and this one falls by 1/400 more.

    Args:
        optimizer: the optimizer whose learning rate is set.
        start: training batches at the full rate.
        end: training batches after which the rate is zero.
        last_epoch: batches already trained; -1 at the start (torch's name for it).

    Raises:
        ValueError: ``start`` is negative or not below ``end``.

    Source: openai/improved-gan @ 4f5d1ec, ``mnist_svhn_cifar10/train_cifar_feature_matching.py``.
    """

    def __init__(self, optimizer: Optimizer, start: int, end: int, last_epoch: int = -1) -> None:
        if not 0 <= start < end:
            raise ValueError(f"LinearDecay needs 0 <= start < end, in training batches. Found {start=}, {end=}.")
        self.start, self.end = start, end
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of every group after ``last_epoch`` batches."""
        factor = min(1.0, max(0.0, (self.end - self.last_epoch) / (self.end - self.start)))
        return [base * factor for base in self.base_lrs]
