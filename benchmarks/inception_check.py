"""Is the Inception score right? The paper's number for the CIFAR-10 training images is 11.24 +- 0.12.

    python benchmarks/inception_check.py --data cifar10.npz [--weights FILE]

Takes the score of all 50,000 training images, in their order and 10 groups, with the published weights (downloaded, or
FILE), and says whether it is the paper's. Ends with status 0 where it is, and 1 where it is not.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lit_improved_gan.metrics import InceptionFeatures, InceptionScore

PAPER, TOLERANCE = 11.24, 0.12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an .npz with train_x, (50000, 3, 32, 32), uint8")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    with np.load(options.data) as archive:
        images = torch.from_numpy(archive["train_x"])
    extractor = InceptionFeatures(options.weights).to(options.device)
    metric = InceptionScore(extractor, num_samples=len(images)).to(options.device)
    for part in tqdm(images.split(50)):
        metric.update(part.to(options.device))
    score, std = (float(value) for value in metric.compute().values())
    passed = abs(score - PAPER) <= TOLERANCE and extractor.weights_are_published and len(images) == 50_000
    print(f"Inception score of {len(images)} training images: {score:.3f} +- {std:.3f} (paper: {PAPER} +- {TOLERANCE})")
    if not extractor.weights_are_published:
        print("the weights are not the published ones")
    print("pass" if passed else "fail")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
