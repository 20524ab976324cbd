"""``lit-improved-gan evaluate``: measure one set of images against another."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from tqdm import tqdm

from lit_improved_gan.cli.errors import OneMessage, UserError, shorten
from lit_improved_gan.cli.image_source import ImageSource, image_source
from lit_improved_gan.metrics import (
    FeatureExtractor,
    FeatureMetric,
    FrechetInceptionDistance,
    InceptionFeatures,
    InceptionScore,
    KernelInceptionDistance,
    PrecisionRecall,
    RealStatistics,
    cache_folder,
)

__all__ = ["evaluate", "main"]


def evaluate(
    generated: str,
    real: str | None = None,
    num_samples: int | None = None,
    weights: str | None = None,
    mode: Literal["tf1", "torchmetrics"] | None = None,
    layer: Literal["64", "192", "768", "2048"] | None = None,
    extractor: FeatureExtractor | None = None,
    metrics: list[Callable[[FeatureExtractor], FeatureMetric]] | None = None,
    batch_size: int = 50,
    root: str = "data",
    skip_broken: bool = False,
    cache: str | None = None,
    output: str | None = None,
) -> dict[str, float]:
    """Measure generated images, or a set of real ones against another.

    Args:
        generated: a folder of image files; ``FILE.npz`` (as ``predict`` writes it) or ``FILE.npz:ARRAY``; or a data
            set, ``lit_improved_gan.CIFAR10DataModule:test``.
        real: what they are measured against, of the same kinds; without it only the Inception score is taken.
        num_samples: the first images of both, >= 2; by default all.
        weights: file of the Inception network's weights, see InceptionFeatures.
        mode: how images are resized for the Inception network; by default tf1.
        layer: of the Inception network, for the distances; by default 2048.
        extractor: another network than Inception, with ``metrics``.
        metrics: make the measures; by default Inception score, FID, KID and precision and recall.
        batch_size: images that the network is given at once, >= 1.
        root: folder of the data sets.
        skip_broken: pass over image files that cannot be read, and say how many.
        cache: folder of what was measured of the real images; by default in the user's cache.
        output: file to write the values to, as JSON.

    Returns:
        the values by name.

    Raises:
        UserError: images are missing, broken, or too few.
        ValueError: the same of the other arguments.
    """
    if extractor is not None and not metrics:
        raise UserError("--extractor needs --metrics, which say what is measured of its layers.")
    _check_used(bool(metrics), layer=layer)
    _check_used(extractor is not None, weights=weights, mode=mode)
    if batch_size < 1:
        raise UserError(f"--batch_size should be 1 or more. Found {batch_size}.")
    if output is not None and not Path(output).parent.is_dir():
        raise UserError(f"--output {output}: there is no folder {Path(output).parent}.")
    sources = [image_source(spec, num_samples, root, skip_broken) for spec in (generated, real) if spec is not None]
    for source in sources:
        print(f"{source.name}: {len(source)} images{_skipped(source)}")
    used = InceptionFeatures(weights, mode or "tf1") if extractor is None else extractor
    chosen = [make(used) for make in metrics or _default(layer or "2048", [len(source) for source in sources])]
    if real is None and any(metric.needs_real for metric in chosen):
        raise UserError("--real is needed: a distance has two sides.")
    counts = len(sources[-1]) if real else 0, len(sources[0])
    for metric in chosen:
        metric.expect(*counts)
    with torch.no_grad():
        if real is not None:
            kept = RealStatistics(Path(cache) if cache else cache_folder(), sources[1].content)
            _update_real(chosen, sources[1], kept, batch_size)
        _update(chosen, sources[0], batch_size, real=False)
        found: dict[str, Tensor] = {}
        for metric in chosen:
            found |= metric.compute()
    values = {name: float(value) for name, value in found.items()}
    for name, value in values.items():
        print(f"{name}: {value:.6g}")
    if output is not None:
        record = {**values, "generated": generated, "real": real, "images": counts[::-1], "features": used.fingerprint}
        Path(output).write_text(json.dumps(record, indent=1) + "\n")
    return values


def _check_used(elsewhere: bool, **options: str | None) -> None:
    """Refuse options of the Inception network where something else is measured."""
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if elsewhere and given:
        raise UserError(
            f"{' and '.join(given)} would be ignored: --extractor and --metrics say what is measured. Leave it out."
        )


def _skipped(source: ImageSource) -> str:
    skipped = getattr(source, "skipped", [])
    return (
        f", {len(skipped)} that cannot be read are passed over: {', '.join(map(str, skipped[:5]))}" if skipped else ""
    )


def _default(layer: str, counts: list[int]) -> list[Callable[[FeatureExtractor], FeatureMetric]]:
    made: list[Callable[[FeatureExtractor], FeatureMetric]] = [InceptionScore]
    if len(counts) == 2:
        kept, size = max(counts), min(1000, *counts)
        if size < 1000:
            print(f"KID is taken of subsets of {size} images, as there are no more.")
        made += [
            lambda extractor: FrechetInceptionDistance(extractor, layer),
            lambda extractor: KernelInceptionDistance(extractor, layer, subset_size=size, max_samples=kept),
            lambda extractor: PrecisionRecall(extractor, layer, max_samples=kept),
        ]
    return made


def _update_real(metrics: list[FeatureMetric], source: ImageSource, kept: RealStatistics, batch_size: int) -> None:
    missing = [metric for metric in metrics if metric.needs_real and not kept.load(metric)]
    if missing:
        _update(missing, source, batch_size, real=True)
    for metric in missing:
        kept.save(metric)


def _update(metrics: list[FeatureMetric], source: ImageSource, batch_size: int, real: bool) -> None:
    first = 0
    with tqdm(total=len(source), desc=source.name[-40:], unit="image", leave=False) as bar:
        for images in source.batches(batch_size):
            for metric in metrics:
                metric.update(images, real=real, numbers=torch.arange(first, first + len(images)))
            first += len(images)
            bar.update(len(images))


class _Parser(OneMessage, ArgumentParser):
    """The command's."""


def main(args: list[str]) -> int:
    """Run the command.

    Returns:
        the exit status.

    Raises:
        UserError: what is wrong with the input.
    """
    parser = _Parser(prog="lit-improved-gan evaluate", description=evaluate.__doc__)
    parser.add_argument("-c", "--config", action="config", help="YAML file of the options.")
    parser.add_function_arguments(evaluate)
    options = parser.parse_args(args)
    try:
        made = parser.instantiate(options)
        made.pop("config", None)
        evaluate(**made.as_dict())
    except (ValueError, TypeError, OSError) as error:
        raise UserError(shorten(str(error))) from error
    return 0
