"""The commands of docs/mode-collapse.md: a ring that collapses, and that with minibatch discrimination.

    python benchmarks/ring_collapse.py [--seeds 0 1 2 3]

Runs both for each seed and keeps what they say, the monitor's messages and the modes at the end, in
benchmarks/results/ring_collapse.txt, and the first seed's animations in docs/.
"""

import argparse
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from command import ROOT, run

FILES = ["ring_gan.yaml", "fast/ring_collapse.yaml", "picture/points.yaml"]
CURE = "technique/minibatch_discrimination_points.yaml"
KEPT = [r"batch \d+: the .*", r"^  (?:generated|real|noise) .*", r"test/modes \S+  test/quality \S+  test/kl \S+"]


def said(files: list[str], seed: int, picture: Path | None) -> str:
    """A command, and what it says of the modes; its animation becomes ``picture``."""
    command = ["fit", *(part for file in files for part in ("-c", f"configs/{file}")), "--seed_everything", str(seed)]
    overlays = [part for file in files[1:] for part in ("--config", str(ROOT / "configs" / file))]
    with tempfile.TemporaryDirectory() as folder:
        text, _ = run(files[0], *overlays, f"--seed_everything={seed}", f"--runs={folder}")
        if picture is not None:
            (animation,) = Path(folder).rglob("points.gif")
            shutil.copy(animation, picture)
    lines = [line for pattern in KEPT for line in re.findall(pattern, text, re.MULTILINE)]
    return "\n".join([f"$ lit-improved-gan {shlex.join(command)}", *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    options = parser.parse_args()
    texts = []
    for name, files in [("ring_collapse", FILES), ("ring_cured", [*FILES, CURE])]:
        for seed in options.seeds:
            texts.append(said(files, seed, ROOT / "docs" / f"{name}.gif" if seed == options.seeds[0] else None))
            print(texts[-1], flush=True)
    (ROOT / "benchmarks" / "results" / "ring_collapse.txt").write_text("\n".join(texts))


if __name__ == "__main__":
    main()
