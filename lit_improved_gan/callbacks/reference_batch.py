"""A reference batch, chosen once before training and kept."""

from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lit_improved_gan.seeding import generator
from lit_improved_gan.types import Prior

__all__ = ["ReferenceBatch"]


class ReferenceBatch(Callback):
    """Give a network a fixed batch of its input: the reference batch of virtual batch normalisation.

    Before training, ``size`` inputs are chosen by ``seed``: for the generator a batch of prior noise, for the
    discriminator real images. They are the same on every process, kept in the checkpoint, and taken from there when a
    run is resumed.

    Works on any LightningModule whose attribute ``network`` is an ``nn.Module``. A generator offers
    ``prior(n, generator)``; for a discriminator the datamodule offers ``reference_images(n, seed)``. The network
    and, where the module has one as ``network_average.network``, the average of its weights receive the batch by
    ``reference_input.set(batch)``, which a network with virtual batch normalisation has (see
    :func:`~lit_improved_gan.layers.attach_reference`), by a method ``set_reference(batch)`` of their own or, without
    either, as their attribute ``reference``.

    Args:
        network: ``"generator"`` or ``"discriminator"``.
        size: examples, >= 2; ``None``: the datamodule's ``batch_size``.
        seed: chooses them.

    Attributes:
        batch: the reference batch ``(size, ...)``, once there is one.

    Raises:
        ValueError: ``size`` is out of its range.
        TypeError: in ``setup``: the module, network or datamodule does not offer what is needed.

    Source: paper section 3.5.
    """

    def __init__(
        self, network: Literal["generator", "discriminator"] = "generator", size: int | None = None, seed: int = 0
    ) -> None:
        if size is not None and size < 2:
            raise ValueError(f"Parameter `size` of ReferenceBatch should be 2 or more. Found size={size}.")
        self.network, self.size, self.seed = network, size, seed
        self.batch: Tensor | None = None

    @property
    def state_key(self) -> str:
        """One state for each network: both may have a reference batch."""
        return f"{type(self).__qualname__}-{self.network}"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the batch before training; a checkpoint's own replaces it."""
        network = self._network(pl_module)
        if stage != "fit" or self.batch is not None:
            return
        data: Any = getattr(trainer, "datamodule", None)
        size = self.size if self.size is not None else getattr(data, "batch_size", None)
        if size is None:
            raise TypeError("Parameter `size` of ReferenceBatch is needed where the datamodule has no `batch_size`.")
        if self.network == "generator":
            if not isinstance(network, Prior):
                raise TypeError(f"ReferenceBatch needs a method prior(n, generator) of {type(network).__name__}.")
            self.batch = network.prior(size, generator(self.seed, "reference noise"))
        else:
            if not hasattr(data, "reference_images"):
                raise TypeError(
                    f"ReferenceBatch(network='discriminator') needs a datamodule with reference_images(n, seed). "
                    f"Found {type(data).__name__}: use an ImageDataModule."
                )
            self.batch = data.reference_images(size, self.seed)
        if len(self.batch) < size:
            raise ValueError(
                f"Parameter `size` of ReferenceBatch is {size}, and there are {len(self.batch)} training images."
            )
        self._hand_over(pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the batch over, moved to the module's device."""
        self._hand_over(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand over the checkpoint's batch."""
        if self.batch is not None and trainer.state.fn != TrainerFn.FITTING:
            self._hand_over(pl_module)

    on_test_start = on_predict_start = on_validation_start

    def state_dict(self) -> dict[str, Any]:
        """The batch."""
        return {"batch": self.batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the checkpoint's batch."""
        self.batch = state_dict["batch"]

    def _network(self, pl_module: LightningModule) -> nn.Module:
        network = getattr(pl_module, self.network, None)
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"Parameter `network` of ReferenceBatch should name a network of {type(pl_module).__name__}. "
                f"Found {self.network!r}."
            )
        return network

    def _hand_over(self, pl_module: LightningModule) -> None:
        assert self.batch is not None  # setup or the checkpoint has set it
        network = self._network(pl_module)
        average = getattr(getattr(pl_module, f"{self.network}_average", None), "network", None)
        for receiver in (network, average):
            if receiver is None:
                continue
            batch = self.batch.to(next(network.parameters()))
            held = getattr(receiver, "reference_input", None)
            if callable(set_reference := getattr(held, "set", getattr(receiver, "set_reference", None))):
                set_reference(batch)
            else:
                receiver.reference = batch  # the checkpoint has it in this callback's state
        with torch.no_grad():
            self.batch = batch.detach().cpu()
