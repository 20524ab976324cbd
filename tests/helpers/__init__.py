"""What several tests use."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# a very short run
SMALL = (
    "--trainer.max_epochs=-1",
    "--trainer.max_steps=4",
    "--trainer.log_every_n_steps=2",
    "--trainer.accelerator=cpu",
)


def expect(result: Any, *words: str) -> None:
    """Bad input: exit status 2 and one message, which has these words, and no traceback."""
    assert result.status == 2, result.out + result.err
    assert "Traceback" not in result.err, result.err
    assert result.err.count("error: ") == 1, result.err
    message = result.err.split("error: ", 1)[1]
    for word in words:
        assert word in message, message
