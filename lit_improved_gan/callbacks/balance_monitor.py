"""Which player is too strong, and whether the generator collapses, said while it trains."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from lit_improved_gan.axis import batches_done, log_at
from lit_improved_gan.callbacks.balance import BalanceWindow, State, look
from lit_improved_gan.callbacks.collapse import CollapseWindow, Variety
from lit_improved_gan.callbacks.slow_down import SlowDown
from lit_improved_gan.callbacks.watch import Watch
from lit_improved_gan.checks import check_positive
from lit_improved_gan.losses import real_logit
from lit_improved_gan.seeding import generator
from lit_improved_gan.types import DiscriminatorOutput, Prior, TwoPlayers, seeds_of
from lit_improved_gan.untouched import evaluating, untouched_noise

__all__ = ["BalanceMonitor"]

_AHEAD: dict[State, str] = {"too strong": "discriminator", "too weak": "generator"}


class BalanceMonitor(Callback):
    """Watch the two players, and say once, when it begins, that D is too strong or too weak, or that G collapses.

    Every so many training batches it logs, under ``balance/``, what
    :func:`~lit_improved_gan.callbacks.balance.look` says of the batch's real samples and of as many generated ones, the
    norms of both players' last gradients, ``d_gradient`` and ``g_gradient``, their ratio ``gradient_ratio``, and the
    states: ``d_strength``, 1 too strong, -1 too weak, 0 neither, see
    :class:`~lit_improved_gan.callbacks.balance.BalanceWindow`, and ``collapsing``, 1 or 0, see
    :class:`~lit_improved_gan.callbacks.collapse.CollapseWindow`. While G collapses nothing new is said of D, which the
    few points that G makes have ahead and behind by turns. The networks are in eval mode meanwhile; modes and the
    state of training's noise are untouched. A resumed run goes on where it was.

    Works on any LightningModule with a ``generator`` that has ``prior(n, generator)``, a ``discriminator`` that returns
    logits or a :class:`~lit_improved_gan.types.DiscriminatorOutput`, and with ``batches`` or Lightning's
    ``global_step`` to count training batches. A training batch is a dict with ``unlabelled`` or ``labelled`` samples,
    samples, or (samples, labels). Seeds side by side are watched one by one; logged is their mean, and the norms of the
    gradients of all together.

    It only watches, unless it is given ``slow_down``: then, while D is too strong, D's learning rates are that much
    smaller, and while D is too weak, G's.

    Args:
        every_n_batches: training batches between two looks, >= 1.
        patience: looks that decide together, >= 1.
        strong: share of samples that D is right about, from which on it is too strong, in (0.5, 1).
        weak: share of samples that D is right about, up to which it is too weak, in (0.5, 1), if they differ.
        differ: share of samples whose nearest neighbour is of their own kind, from which on they differ, in (0.5, 1).
        missed: :func:`~lit_improved_gan.callbacks.collapse.missed_variety` from which on G collapses, in (0, 1), if its
            samples lie close together.
        spread: :func:`~lit_improved_gan.callbacks.collapse.spread` up to which they do, > 0.
        slow_down: factor of the learning rates of the player that is ahead, in (0, 1); ``None``: they are left alone.

    Attributes:
        watches: a :class:`~lit_improved_gan.callbacks.watch.Watch` for each of the seeds side by side, or one.
        events: (training batch, state) of each change: ``"too strong"``, ``"too weak"``, or back, ``"balanced"``;
            ``"collapsing"``, or back, ``"varied"``; of the first watch.

    Raises:
        ValueError: an argument is out of its range; before training: ``slow_down`` is given and a player has no
            optimizer of its own, or several seeds share it.
        TypeError: in ``setup``: the module has no such networks.
    """

    def __init__(
        self,
        every_n_batches: int = 20,
        patience: int = 5,
        strong: float = 0.95,
        weak: float = 0.52,
        differ: float = 0.85,
        missed: float = 0.5,
        spread: float = 0.9,
        slow_down: float | None = None,
    ) -> None:
        for name, value in [("every_n_batches", every_n_batches), ("patience", patience)]:
            if value < 1:
                raise ValueError(f"Parameter `{name}` of BalanceMonitor should be 1 or more. Found {name}={value}.")
        for name, share in [("strong", strong), ("weak", weak), ("differ", differ)]:
            if not 0.5 < share < 1:
                raise ValueError(f"Parameter `{name}` of BalanceMonitor should be in (0.5, 1). Found {name}={share}.")
        if not 0 < missed < 1:
            raise ValueError(f"Parameter `missed` of BalanceMonitor should be in (0, 1). Found missed={missed}.")
        check_positive("BalanceMonitor", spread=spread)
        if slow_down is not None and not 0 < slow_down < 1:
            raise ValueError(f"Parameter `slow_down` of BalanceMonitor should be in (0, 1). Found {slow_down=}.")
        self.every_n_batches = every_n_batches
        self._window = partial(BalanceWindow, patience, strong, weak, differ)
        self._collapse = partial(CollapseWindow, patience, missed, spread)
        self.watches = self._new(1)
        self.slow_down = SlowDown(slow_down)
        self._knows = False
        self._norms: dict[str, Tensor] = {}

    def _new(self, members: int) -> list[Watch]:
        return [Watch(self._window(), self._collapse()) for _ in range(members)]

    @property
    def events(self) -> list[tuple[int, State | Variety]]:
        """The changes."""
        return self.watches[0].events

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Check the networks."""
        name = type(pl_module).__name__
        if not isinstance(getattr(pl_module, "generator", None), Prior):
            raise TypeError(
                f"BalanceMonitor needs a `generator` of {name} with a method prior(n, generator), which draws its "
                "input noise. Found none: add it."
            )
        if not callable(getattr(pl_module, "discriminator", None)):
            raise TypeError(f"BalanceMonitor needs a `discriminator` of {name}. Found none: name it so.")
        self._knows = isinstance(pl_module, TwoPlayers)
        if stage == "fit":
            self.slow_down.reset()
            members = len(seeds_of(pl_module))
            if members != len(self.watches):
                self.watches = self._new(members)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Check that there are learning rates to change, where that is asked for."""
        self.slow_down.check(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Note the norm of a player's gradient where a look is due after this batch, unless the module does."""
        if self._knows or (batches_done(trainer, pl_module) + 1) % self.every_n_batches:
            return
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for player in ("discriminator", "generator"):
            weights = [p for p in getattr(pl_module, player).parameters() if id(p) in held and p.grad is not None]
            if weights:
                self._norms[player] = get_total_norm([p.grad.detach() for p in weights])

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look where it is due, and say what has begun."""
        batches = batches_done(trainer, pl_module)
        if batches % self.every_n_batches:
            return
        looks, norms = self._look(pl_module, batch, batches), pl_module.gradient_norms if self._knows else self._norms
        for found in looks:
            found |= {f"{player[0]}_gradient": norm for player, norm in norms.items()}
        table = torch.stack([torch.stack([value.float() for value in found.values()]) for found in looks])
        rows = trainer.strategy.reduce(table, reduce_op="mean").tolist()
        logged: list[dict[str, float]] = []
        for seed, watch, row in zip(seeds_of(pl_module), self.watches, rows, strict=True):
            values = dict(zip(looks[0], row, strict=True))
            if values.keys() >= {"d_gradient", "g_gradient"}:
                values["gradient_ratio"] = values["d_gradient"] / max(values["g_gradient"], 1e-12)
            when = f"batch {batches}" if seed is None else f"batch {batches}, seed {seed}"
            for state in watch.add(values, batches):
                rank_zero_warn(watch.words(state, when))
            logged.append(values | watch.codes)
        means = {f"balance/{name}": sum(one[name] for one in logged) / len(logged) for name in logged[0]}
        log_at(trainer.loggers, means, batches, write=False)
        self.slow_down.apply(trainer, pl_module, _AHEAD.get(self.watches[0].window.state, ""))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Write out what was logged: a run that goes on from here does not log it again."""
        for logger in trainer.loggers:
            logger.save()

    @torch.no_grad()
    def _look(self, pl_module: Any, batch: Any, batches: int) -> list[dict[str, Tensor]]:
        """What is seen of each of the seeds side by side, or of one."""
        networks = pl_module.generator, pl_module.discriminator
        real = _real(batch, getattr(pl_module, "d_updates_per_batch", 1))
        with evaluating(*networks), untouched_noise(real.device):
            z = networks[0].prior(len(real), generator("balance", batches, device=real.device))
            fake = networks[0](z.to(real.dtype))
            if self._knows:  # in one pass, where it can be
                outputs = pl_module.discriminate(real, fake)
            else:
                outputs = [DiscriminatorOutput.of(networks[1](samples)) for samples in (real, fake)]
            on_real, on_fake = (real_logit(output.logits) for output in outputs)
        parts = (value.unflatten(0, (len(self.watches), -1)) for value in (real, fake, on_real, on_fake))
        return [look(*own) for own in zip(*parts, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The last looks and the events."""
        return {"watches": [watch.state_dict() for watch in self.watches], "slow_down": self.slow_down.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the checkpoint's."""
        kept = state_dict.get("watches")
        if kept is None and len(self.watches) == 1:  # an earlier version had one, of several seeds together
            kept = [state_dict]
        if kept is not None:
            self.watches = self._new(len(kept))
            for watch, own in zip(self.watches, kept, strict=True):
                watch.load_state_dict(own)
        if "slow_down" in state_dict:
            self.slow_down.load_state_dict(state_dict["slow_down"])


def _real(batch: Any, updates: int) -> Tensor:
    """The real samples of D's first update."""
    if isinstance(batch, Mapping):
        batch = batch["unlabelled"] if "unlabelled" in batch else batch["labelled"]
    samples: Tensor = batch[0] if isinstance(batch, (tuple, list)) else batch
    return samples[: len(samples) // updates]
