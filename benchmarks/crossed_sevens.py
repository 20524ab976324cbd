"""Why runs of MNIST with 100 labels end in two groups: sevens with a bar.

    python benchmarks/crossed_sevens.py [--ckpt_path runs/mnist_ssl/0/checkpoints/last.ckpt] [--data data]

With ``--ckpt_path``, of a run of configs/mnist_ssl.yaml on a subset without such a seven: finds the training sevens
that its averaged discriminator takes for twos, and keeps their rows in benchmarks/results/crossed_sevens.json and 64 of
them in benchmarks/results/crossed_sevens.png. The committed ones are of ``--seed_everything 1 --data.released_labels
false`` after 84 epochs. Without it, reads the rows from there. Prints how many of them are among the labelled
images of each run of benchmarks/results/gpu/bare_mnist_ssl.json beside its wrong test digits, how many are among those
of the released script for ``--seed_data`` 1 to 10, and how likely a subset has none.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from command import ROOT
from torch import Tensor
from torchvision.utils import save_image

from lit_improved_gan import MNISTDataModule, SemiSupervisedGAN
from lit_improved_gan.data.labels import labelled_rows
from lit_improved_gan.networks import MLPDiscriminator, MLPGenerator

RESULTS = ROOT / "benchmarks" / "results"


@torch.no_grad()
def taken_for_twos(ckpt_path: Path, images: Tensor, labels: Tensor) -> Tensor:
    """Rows of the sevens that a run's averaged discriminator takes for twos."""
    module = SemiSupervisedGAN(MLPGenerator((1, 28, 28)), MLPDiscriminator((1, 28, 28)))
    module.load_state_dict(torch.load(ckpt_path, map_location="cpu", weights_only=True)["state_dict"])
    judge = module.discriminator_average
    classes = torch.cat([judge(part.float() / 127.5 - 1).logits.argmax(1) for part in images.split(5000)])
    return ((labels == 7) & (classes == 2)).nonzero().squeeze(1)


def counts(labels: Tensor, crossed: Tensor) -> dict[str, Any]:
    """How many of the crossed sevens are among the labelled images of each subset, and how rare a subset without is."""
    bare = json.loads((RESULTS / "gpu" / "bare_mnist_ssl.json").read_text())

    def among(of_class: int, seed: int, released: bool) -> int:
        return int(torch.isin(labelled_rows(labels, 10, of_class, seed, released), crossed).sum())

    members = zip(bare["members (labels, seed)"], bare["curve"][-1]["averaged"], strict=True)
    of_seven, sevens = len(crossed), int((labels == 7).sum())
    none = {str(10 * k): ((sevens - of_seven) / sevens) ** k for k in (2, 5, 10, 20)}
    return {
        "runs (labels, seed, crossed sevens, wrong)": [[n, s, among(n // 10, s, False), w] for (n, s), w in members],
        "released subsets 1 to 10 with 100 labels": [among(10, seed, True) for seed in range(1, 11)],
        "training sevens": sevens,
        "chance of none by number of labels": none,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", type=Path)
    parser.add_argument("--data", default="data")
    options = parser.parse_args()
    data = MNISTDataModule(root=options.data)
    data.setup()
    assert data.training_set is not None  # setup has set it
    images, labels = data.training_set
    path = RESULTS / "crossed_sevens.json"
    if options.ckpt_path:
        crossed = taken_for_twos(options.ckpt_path, images, labels)
        save_image(1 - images[crossed[:64]].float() / 255, path.with_suffix(".png"), nrow=16)
    else:
        crossed = torch.tensor(json.loads(path.read_text())["rows"])
    found = {"command": "python benchmarks/crossed_sevens.py", **counts(labels, crossed), "rows": crossed.tolist()}
    path.write_text(json.dumps(found) + "\n")
    print("| labels | seed | crossed sevens among the labelled | wrong test digits |\n|---|---|---|---|")
    for run in sorted(found["runs (labels, seed, crossed sevens, wrong)"], key=lambda run: (run[0], run[3])):
        print(f"| {' | '.join(map(str, run))} |")
    print({name: value for name, value in found.items() if name[:4] not in ("runs", "rows")})


if __name__ == "__main__":
    main()
