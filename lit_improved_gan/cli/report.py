"""What a finished run says."""

import re
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lit_improved_gan.callbacks import LastCheckpoint

__all__ = ["best_checkpoint", "result_line", "say"]


def best_checkpoint(trainer: Trainer) -> tuple[str | None, str]:
    """The checkpoint that is best by validation, or the last where there is none, and which of the two it is."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # a connector sets it
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback.best_model_path:
            return callback.best_model_path, f"best {callback.monitor}: {float(callback.best_model_score or 0):.4g}"
    for callback in callbacks:
        if isinstance(callback, LastCheckpoint) and callback.path(trainer).is_file():
            return str(callback.path(trainer)), "the last"
    return None, ""


def result_line(stage: str, metrics: Mapping[str, Any]) -> str:
    """The result of ``test`` or ``val``: the error and what else was measured; without it the score, or every metric.

    Of seeds side by side it is their mean; a line for each of them and one for their ensemble follow.
    """
    if f"{stage}/error_percent" in metrics:
        word = "validation" if stage == "val" else stage
        lines, rest = [f"{word} error: {float(metrics[f'{stage}/error_percent']):.2f} %"], {}
        for name, value in metrics.items():
            if found := re.fullmatch(rf"{stage}/(?:error_percent_seed(\d+)|ensemble_error_percent)", name):
                lines.append(f"  {f'seed {found[1]}' if found[1] else 'their ensemble'}: {float(value):.2f} %")
            elif name != f"{stage}/error_percent":
                rest[name] = value
        others = result_line(stage, rest)
        lines = [lines[0], *sorted(lines[1:], key=lambda line: "ensemble" in line)]
        return "\n".join([*lines, others] if others else lines)
    if f"{stage}/classifier_score" in metrics:
        score, std = (float(metrics[f"{stage}/classifier_score{end}"]) for end in ("", "_std"))
        return f"classifier score: {score:.3f} +- {std:.3f}"
    return "  ".join(f"{name} {float(value):.4g}" for name, value in metrics.items() if name.startswith(f"{stage}/"))


@rank_zero_only
def say(line: str) -> None:
    """Print a line, once over all processes."""
    print(line, flush=True)
