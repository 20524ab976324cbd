"""What is checked, and taken from the data, before training starts."""

import inspect
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_improved_gan.seeding import generator, mix
from lit_improved_gan.types import DiscriminatorOutput, OptimizerFactory, Prior, SchedulerFactory
from lit_improved_gan.untouched import evaluating

__all__ = [
    "awaits_reference",
    "check_discriminator",
    "check_generator",
    "check_loss",
    "datamodule_of",
    "initialize_networks",
    "make_optimizer",
    "make_schedule",
    "needs_images",
    "reference_images",
]


def datamodule_of(module: LightningModule) -> Any:
    """The datamodule that the module is trained or evaluated with, or ``None``."""
    return getattr(module.trainer, "datamodule", None)


def needs_images(*networks: nn.Module) -> bool:
    """Whether a network has a data-dependent initialisation."""
    return any(callable(getattr(network, "initialize", None)) for network in networks)


def awaits_reference(*networks: nn.Module) -> bool:
    """Whether a network with virtual batch normalisation has no reference batch yet."""
    return any(getattr(getattr(network, "reference_input", None), "number", None) == 0 for network in networks)


def reference_images(module: LightningModule, n: int, seed: int) -> Tensor:
    """``n`` real images of the datamodule, chosen by ``seed``, the same on every process.

    Raises:
        ValueError: there is no datamodule that offers them.
    """
    source = getattr(datamodule_of(module), "reference_images", None)
    if source is None:
        raise ValueError(
            f"A network of {type(module).__name__} is initialised from real images, and the training data offers no "
            "`reference_images(n, seed)`: use an ImageDataModule, or call module.initialize(images) before fit."
        )
    images: Tensor = source(n, seed)
    return images.to(next(module.parameters()))


def initialize_networks(generator: nn.Module, discriminator: nn.Module, images: Tensor, seed: int) -> None:
    """Initialise the networks that have a method ``initialize``: D from real images, G from noise.

    Args:
        generator: a network with ``prior(n, generator)``.
        discriminator: the other one.
        images: real images ``(N, C, H, W)``.
        seed: of the noise; the global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, "initialize"))
        if hasattr(discriminator, "initialize"):
            discriminator.initialize(images)  # type: ignore[operator]  # it has one
        if hasattr(generator, "initialize"):
            noise = generator.prior(len(images), torch.default_generator)  # type: ignore[operator]  # checked in setup
            generator.initialize(noise.to(images.dtype))  # type: ignore[operator]  # it has one


def make_optimizer(parameter: str, make: OptimizerFactory, network: nn.Module) -> Optimizer:
    """The optimizer of a network's trained parameters.

    Raises:
        ValueError: it cannot be made; the message names ``parameter``.
    """
    try:
        return make([p for p in network.parameters() if p.requires_grad])
    except (TypeError, ValueError) as error:
        raise ValueError(f"Parameter `{parameter}`: {error}") from error


def make_schedule(make: SchedulerFactory, optimizer: Optimizer) -> LRScheduler:
    """A learning-rate schedule that is stepped once per training batch.

    Raises:
        ValueError: it wants a metric at each step.
    """
    schedule = make(optimizer)
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            "A schedule is stepped once per training batch, without a metric. Found ReduceLROnPlateau: use one that "
            "depends on the step alone, such as LinearDecay."
        )
    return schedule


def check_loss(parameter: str, loss: nn.Module, *arguments: str) -> None:
    """Check that a loss can be called with these arguments.

    Raises:
        ValueError: it takes others.
    """
    try:
        inspect.signature(loss.forward).bind(*arguments)
    except TypeError as error:
        raise ValueError(
            f"Parameter `{parameter}` is called with ({', '.join(arguments)}). {type(loss).__name__} takes "
            f"{inspect.signature(loss.forward)}."
        ) from error


@torch.no_grad()
def check_generator(network: nn.Module, data: Any) -> Tensor:
    """Check that a generator draws its noise and makes images, and return two of them.

    Args:
        network: the generator.
        data: a datamodule, whose ``image_shape`` they should have, and whose range; ``None``: any shape, in [-1, 1].

    Raises:
        ValueError: it has no ``prior``, or its images have another shape or range.
    """
    if not isinstance(network, Prior):
        raise ValueError(
            f"Parameter `generator`: {type(network).__name__} should have a method prior(n, generator) that returns "
            "n rows of input noise. Found none: add it to the network."
        )
    image_shape = getattr(data, "image_shape", None)
    with evaluating(network):
        images: Tensor = network(network.prior(2, generator("check")).to(next(network.parameters())))
    wanted = "(N, C, H, W)" if image_shape is None else f"(N, {', '.join(map(str, image_shape))})"
    if images.dim() < 2 or (image_shape is not None and tuple(images.shape[1:]) != tuple(image_shape)):
        raise ValueError(
            f"Parameter `generator`: {type(network).__name__} should make images of shape {wanted}, as the data has "
            f"them. Found {tuple(images.shape)}: set its image_shape."
        )
    if not getattr(data, "unbounded", False) and not bool((images.abs() <= 1 + 1e-4).all()):
        raise ValueError(
            f"Parameter `generator`: {type(network).__name__} should make images in [-1, 1]. "
            f"Found values up to {float(images.abs().max()):g}: end it with tanh."
        )
    return images


@torch.no_grad()
def check_discriminator(network: nn.Module, images: Tensor, outputs: int | None) -> None:
    """Check that a discriminator takes such images and returns logits ``(N, outputs)``.

    Raises:
        ValueError: it does not.
    """
    shape = getattr(network, "image_shape", None)
    if isinstance(shape, (tuple, list)) and tuple(shape) != tuple(images.shape[1:]):
        raise ValueError(
            f"Parameter `discriminator`: {type(network).__name__} should take images of shape "
            f"(N, {', '.join(map(str, images.shape[1:]))}). Found image_shape={list(shape)}: set its image_shape."
        )
    try:
        with evaluating(network):
            output = network(images)
    except RuntimeError as error:
        raise ValueError(
            f"Parameter `discriminator`: {type(network).__name__} does not take images of shape "
            f"{tuple(images.shape)}: {error}"
        ) from error
    logits = output.logits if isinstance(output, DiscriminatorOutput) else output
    if not isinstance(logits, Tensor) or logits.dim() != 2 or (outputs is not None and logits.shape[1] != outputs):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"Parameter `discriminator`: {type(network).__name__} should return logits (N, {outputs or 'K'}). "
            f"Found {found}: set its num_outputs."
        )
