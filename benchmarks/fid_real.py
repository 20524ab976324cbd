"""FID between sets of real CIFAR-10 images, with the real Inception weights up to the layer of 768 features.

    python benchmarks/fid_real.py --data cifar10.npz --weights FILE [--features FOLDER] [--images 10000]

Training against test images, two parts of the training images, and training images against the same with Gaussian
noise of four strengths added. The features of each set are kept in FOLDER, a file for each thousand images, so
that a run that was stopped goes on, and what is there is not computed again. Prints a table; raw numbers go to
benchmarks/results/fid_real.json.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from command import ROOT
from torch import Tensor

from lit_improved_gan.metrics import FrechetInceptionDistance, InceptionFeatures

STRENGTHS = (4, 8, 16, 32)  # standard deviations of the noise, in levels of 0..255


def features(extractor: InceptionFeatures, images: Tensor, folder: Path, name: str) -> Tensor:
    """Features ``(n, 768)`` of images ``(n, 3, 32, 32)``, uint8."""
    found = []
    for i, part in enumerate(images.split(1000)):
        path = folder / f"{name}-{extractor.fingerprint}-{i}-{len(part)}.npy"
        if not path.is_file():
            batch = torch.cat([extractor(few)["768"] for few in part.split(50)])
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path.with_suffix(".tmp.npy"), batch.numpy())
            path.with_suffix(".tmp.npy").rename(path)
            print(f"{name}: {1000 * i + len(part)} images", file=sys.stderr, flush=True)
        found.append(torch.from_numpy(np.load(path)))
    return torch.cat(found)


def noisy(images: Tensor, strength: float) -> Tensor:
    """The images with the same noise, scaled, added."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + strength * noise).round().clamp(0, 255).to(torch.uint8)


def distance(real: Tensor, other: Tensor) -> float:
    """FID of two sets of features."""
    metric = FrechetInceptionDistance(num_features=real.shape[1])
    metric.update(real, real=True)
    metric.update(other)
    return float(metric.compute()["fid"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--features", type=Path, default=Path("runs/fid_real"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    n = options.images
    with np.load(options.data) as archive:
        train, test = (torch.from_numpy(archive[name]) for name in ("train_x", "test_x"))
    extractor = InceptionFeatures(options.weights)
    extractor.want("768")
    first = features(extractor, train[:n], options.features, "train")
    sets = [("test", "test", test[:n]), ("other training images", "other", train[n : 2 * n])]
    sets += [(f"the same with noise of {s} levels", f"noise{s}", noisy(train[:n], s)) for s in STRENGTHS]
    rows = {}
    for title, name, images in sets:
        rows[title] = distance(first, features(extractor, images, options.features, name))
        print(f"| {title} | {rows[title]:.4f} |", flush=True)
    result = {
        "command": f"python benchmarks/fid_real.py --images {n}",
        "features": extractor.fingerprint,
        "torch": torch.__version__,
        "images of each set": n,
        "fid768 of the first training images against": rows,
    }
    (ROOT / "benchmarks" / "results" / "fid_real.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
