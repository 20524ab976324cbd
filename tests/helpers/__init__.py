"""What several tests use."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

# a very short run
SMALL = (
    "--trainer.max_epochs=-1",
    "--trainer.max_steps=4",
    "--trainer.log_every_n_steps=2",
    "--trainer.accelerator=cpu",
)
