"""The first process of a run outlives another one for long enough to say so."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, subprocess, sys, time
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lit_improved_gan.cli.last_words import LastWords

child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
child.wait()
_ChildProcessObserver(os.getpid(), [child], sleep_period=0.2).start()
for seconds in map(float, sys.argv[1:]):
    LastWords(seconds).setup(None, None, "fit")
time.sleep(2)
print("why it ends", flush=True)
raise SystemExit(1)
"""


@pytest.mark.parametrize(
    ("seconds", "status", "said"),
    [
        (["30"], 1, "why it ends\n"),
        ([], -9, ""),  # what Lightning does
        (["0.1"], -9, ""),  # one that hangs does not stay
    ],
)
def test_the_first_process_may_say_why_it_ends(seconds: list[str], status: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *seconds], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, said), done.stderr


def test_twice_is_not_twice_as_long() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, "1", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stdout
