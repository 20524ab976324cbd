"""What a finished run says."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lit_improved_gan.callbacks import LastCheckpoint

__all__ = ["best_checkpoint", "result_line", "say"]


def best_checkpoint(trainer: Trainer) -> tuple[str | None, str]:
    """The checkpoint that is best by validation, or the last where there is none, and which of the two it is."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback.best_model_path:
            return callback.best_model_path, f"best {callback.monitor}: {float(callback.best_model_score or 0):.4g}"
    for callback in callbacks:
        if isinstance(callback, LastCheckpoint) and callback.path(trainer).is_file():
            return str(callback.path(trainer)), "the last"
    return None, ""


def result_line(metrics: Mapping[str, Any]) -> str:
    """The result of a test in one line: the test error, else the classifier score, else every metric."""
    if "test/error_percent" in metrics:
        return f"test error: {float(metrics['test/error_percent']):.2f} %"
    if "test/classifier_score" in metrics:
        score, std = float(metrics["test/classifier_score"]), float(metrics["test/classifier_score_std"])
        return f"classifier score: {score:.3f} +- {std:.3f}"
    return "  ".join(f"{name} {float(value):.4g}" for name, value in metrics.items() if name.startswith("test/"))


@rank_zero_only
def say(line: str) -> None:
    """Print a line, once over all processes."""
    print(line, flush=True)
