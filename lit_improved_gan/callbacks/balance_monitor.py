"""Which player is too strong, and whether the generator collapses, said while it trains."""

from collections.abc import Mapping
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
from lit_improved_gan.checks import check_positive
from lit_improved_gan.losses import real_logit
from lit_improved_gan.seeding import generator
from lit_improved_gan.types import DiscriminatorOutput, Prior, TwoPlayers
from lit_improved_gan.untouched import evaluating, untouched_noise

__all__ = ["BalanceMonitor"]

_CODE: dict[State, float] = {"too weak": -1.0, "balanced": 0.0, "too strong": 1.0}
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
    samples, or (samples, labels). Seeds side by side are watched together.

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
        events: (training batch, state) of each change: ``"too strong"``, ``"too weak"``, or back, ``"balanced"``;
            ``"collapsing"``, or back, ``"varied"``.

    Raises:
        ValueError: an argument is out of its range; before training: ``slow_down`` is given and a player has no
            optimizer of its own.
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
        self.window = BalanceWindow(patience, strong, weak, differ)
        self.collapse = CollapseWindow(patience, missed, spread)
        self.events: list[tuple[int, State | Variety]] = []
        self.slow_down = SlowDown(slow_down)
        self._knows = False
        self._norms: dict[str, Tensor] = {}

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
        found = self._look(pl_module, batch, batches)
        for player, norm in (pl_module.gradient_norms if self._knows else self._norms).items():
            found[f"{player[0]}_gradient"] = norm
        together = trainer.strategy.reduce(torch.stack([value.float() for value in found.values()]), reduce_op="mean")
        values = dict(zip(found, together.tolist(), strict=True))
        if values.keys() >= {"d_gradient", "g_gradient"}:
            values["gradient_ratio"] = values["d_gradient"] / max(values["g_gradient"], 1e-12)
        before: tuple[State, Variety] = self.window.state, self.collapse.state
        strength = self.window.add(values, may_begin=self.collapse.state == "varied")
        states: tuple[State, Variety] = strength, self.collapse.add(values)
        values |= {"d_strength": _CODE[states[0]], "collapsing": float(states[1] == "collapsing")}
        log_at(trainer.loggers, {f"balance/{name}": value for name, value in values.items()}, batches, write=False)
        for was, state in zip(before, states, strict=True):
            if state != was:
                self.events.append((batches, state))
                if state not in ("balanced", "varied"):
                    rank_zero_warn(self._words(state, batches))
        self.slow_down.apply(trainer, pl_module, _AHEAD.get(strength, ""))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Write out what was logged: a run that goes on from here does not log it again."""
        for logger in trainer.loggers:
            logger.save()

    @torch.no_grad()
    def _look(self, pl_module: Any, batch: Any, batches: int) -> dict[str, Tensor]:
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
        return look(real, fake, on_real, on_fake)

    def _words(self, state: State | Variety, batches: int) -> str:
        window, collapse = self.window, self.collapse
        if state == "collapsing":
            return (
                f"batch {batches}: the generator is collapsing: its samples lie {collapse.mean('spread'):.2f} times as "
                "far apart as real ones, and most kinds of real samples have none near them (missed variety "
                f"{collapse.mean('missed'):.2f}; 0: none, 1: all but one). Try minibatch discrimination "
                "(configs/technique/minibatch_discrimination.yaml, or minibatch_discrimination_points.yaml beside it "
                "for points), packing (configs/technique/packing.yaml), or a smaller learning rate of the generator."
            )
        when = f"batch {batches}: the discriminator is {state}"
        if state == "too strong":
            return (
                f"{when}: it is right about {window.accuracy:.0%} of the samples, D(x) is {window.mean('d_real'):.2f} "
                f"and D(G(z)) {window.mean('d_fake'):.2f}, so the generator learns little. Try label smoothing "
                "(configs/technique/label_smoothing.yaml), feature matching, a smaller learning rate of the "
                "discriminator, or more g_updates_per_batch."
            )
        return (
            f"{when}: it is right about {window.accuracy:.0%} of the samples, though the nearest neighbours of "
            f"{window.mean('neighbour_accuracy'):.0%} show what they are. Try a larger learning rate of the "
            "discriminator, more d_updates_per_batch, or a wider network."
        )

    def state_dict(self) -> dict[str, Any]:
        """The last looks and the events."""
        windows = {"window": self.window.state_dict(), "collapse": self.collapse.state_dict()}
        return windows | {"events": self.events, "slow_down": self.slow_down.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the checkpoint's."""
        self.window.load_state_dict(state_dict["window"])
        self.collapse.load_state_dict(state_dict["collapse"])
        self.events = list(state_dict["events"])
        if "slow_down" in state_dict:
            self.slow_down.load_state_dict(state_dict["slow_down"])


def _real(batch: Any, updates: int) -> Tensor:
    """The real samples of D's first update."""
    if isinstance(batch, Mapping):
        batch = batch["unlabelled"] if "unlabelled" in batch else batch["labelled"]
    samples: Tensor = batch[0] if isinstance(batch, (tuple, list)) else batch
    return samples[: len(samples) // updates]
