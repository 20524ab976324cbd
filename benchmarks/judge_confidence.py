"""How sure the bundled classifier of digits should be before it counts a sample.

    python benchmarks/judge_confidence.py

A classifier that was stopped early is right more often than its probabilities say. On the digits that
configs/digits_classifier.yaml held out, finds the temperature at which they say what they should (the least
cross-entropy, arXiv:1706.04599), and which of its own probabilities passes the same share of them as 0.9 would then.
Prints what passes that and 0.9 of real stacks of three digits and of uniform noise. Writes
benchmarks/results/judge_confidence.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import seed_everything
from torch import Tensor

from lit_improved_gan import ClassifiedModes, DigitsDataModule, StackedDigitsDataModule
from lit_improved_gan.metrics import load_classifier

WANTED = 0.9


def to_float(images: Tensor) -> Tensor:
    return images / 127.5 - 1


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    seed_everything(0, verbose=False)  # the seed of the configuration: the same digits are held out
    data, stacks = DigitsDataModule(val_size=200), StackedDigitsDataModule()
    data.setup()
    stacks.setup()
    logits = load_classifier()(to_float(data.val.images))
    losses = {t / 100: float(F.cross_entropy(100 * logits / t, data.val.labels)) for t in range(10, 151)}
    temperature = min(losses, key=losses.__getitem__)
    share = float(((logits / temperature).softmax(1).amax(1) > WANTED).double().mean())
    own = logits.softmax(1).amax(1).sort().values
    confidence = float(own[round((1 - share) * len(own))])  # as large a share is above it
    samples = {
        "real, training": to_float(stacks.real_images("train")[:26_000]),
        "real, test": to_float(stacks.real_images("test")),
        "noise": torch.rand(26_000, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1,
    }
    result: dict[str, Any] = {
        "command": "python benchmarks/judge_confidence.py",
        "held out": len(own),
        "accuracy": float((logits.argmax(1) == data.val.labels).double().mean()),
        "mean probability": float(own.mean()),
        "temperature": temperature,
        f"share above {WANTED} at it": share,
        "confidence with the same share": confidence,
        "passes": {},
    }
    for threshold in (WANTED, 0.7):
        judge = ClassifiedModes(confidence=threshold)
        result["passes"][threshold] = {name: float(judge(x)[1].double().mean()) for name, x in samples.items()}
    print(json.dumps(result, indent=1))
    path = Path(__file__).parent / "results" / "judge_confidence.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
