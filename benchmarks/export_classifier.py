"""Put a trained classifier into the package.

    python benchmarks/export_classifier.py CHECKPOINT

Keeps what ``lit_improved_gan.metrics.load_classifier`` reads: the averaged weights and how to build the network.
"""

import argparse
from pathlib import Path

import torch

import lit_improved_gan.metrics as home

PREFIX = "average.network."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    state = torch.load(parser.parse_args().checkpoint, map_location="cpu", weights_only=True)
    kept = {
        "state_dict": {key: value for key, value in state["state_dict"].items() if key.startswith(PREFIX)},
        "hyper_parameters": {"network": state["hyper_parameters"]["network"]},
    }
    target = Path(home.__file__).parent / "digits_classifier.ckpt"
    torch.save(kept, target)
    print(f"{target}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
