"""Every benchmark can be imported: what it takes from the library is there."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

IMPORT_ALL = """
import importlib, sys, traceback
wrong = 0
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        wrong += 1
        traceback.print_exc()
sys.exit(min(wrong, 1))
"""


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    names = sorted(path.stem for path in folder.glob("*.py"))
    assert names
    command = [sys.executable, "-c", IMPORT_ALL, *names]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_benchmark_can_be_imported() -> None:
    found = imported(BENCHMARKS)
    assert not found.returncode, found.stderr


def test_one_that_cannot_is_found(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text("from lit_improved_gan.seeding import generator\n")
    (tmp_path / "wrong.py").write_text("from lit_improved_gan.seeding import nothing_of_that_name\n")
    found = imported(tmp_path)
    assert found.returncode == 1
    assert "nothing_of_that_name" in found.stderr
