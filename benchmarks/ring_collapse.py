"""The commands of docs/mode-collapse.md: a ring that collapses, and that with minibatch discrimination.

    python benchmarks/ring_collapse.py [--seeds 0 1 2 3]

Runs both for each seed and keeps what they say, the monitor's messages and the modes at the end, in
benchmarks/results/ring_collapse.txt, and the first seed's animations in docs/.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from command import ROOT

FILES = ["ring_gan.yaml", "fast/ring_collapse.yaml", "picture/points.yaml"]
CURE = "technique/minibatch_discrimination_points.yaml"
SAID = re.compile(
    r"batch \d+: the .*|^  (?:generated|real|noise) .*|test/modes \S+  test/quality \S+  test/kl \S+", re.M
)


def run(files: list[str], seed: int, picture: Path | None) -> str:
    """A command, and what it says of the modes; its animation becomes ``picture``."""
    command = ["fit", *(part for file in files for part in ("-c", f"configs/{file}")), "--seed_everything", str(seed)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "lit_improved_gan", *command, "--runs", folder],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
        )  # fmt: skip
        if picture is not None:
            (animation,) = Path(folder).rglob("points.gif")
            shutil.copy(animation, picture)
    return "\n".join([f"$ lit-improved-gan {shlex.join(command)}", *SAID.findall(done.stdout)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    options = parser.parse_args()
    texts = []
    for name, files in [("ring_collapse", FILES), ("ring_cured", [*FILES, CURE])]:
        for seed in options.seeds:
            texts.append(run(files, seed, ROOT / "docs" / f"{name}.gif" if seed == options.seeds[0] else None))
            print(texts[-1], flush=True)
    (ROOT / "benchmarks" / "results" / "ring_collapse.txt").write_text("\n".join(texts))


if __name__ == "__main__":
    main()
