"""Hyperparameters that a checkpoint can hold and a safe loader can read."""

from lightning.pytorch import LightningModule
from torch import nn

__all__ = ["save_plain_hyperparameters"]


def save_plain_hyperparameters(module: LightningModule) -> None:
    """Save the arguments of ``__init__``, less networks and functions built in Python.

    Networks given as objects would be pickled, and then no checkpoint of theirs could be loaded with
    ``weights_only=True``. From the command line arguments are plain text, and all of them stay:
    ``load_from_checkpoint(path)`` then needs nothing else. From Python it needs the networks.
    """
    module.save_hyperparameters()
    for name, value in list(module.hparams.items()):
        objects = value if isinstance(value, list) else [value]
        if any(isinstance(item, nn.Module) or callable(item) for item in objects):
            module.hparams.pop(name)
