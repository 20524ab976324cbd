"""A run that diverges says who, when, and what is kept."""

import torch


def test_it_ends_with_one_message_and_keeps_what_was_saved(run, tmp_path) -> None:
    short = ("--trainer.accelerator=cpu", "--trainer.limit_train_batches=2", "--name=x")
    begun = run("fit", "-c", "configs/digits_gan.yaml", *short, "--trainer.max_epochs=1")
    assert begun.status == 0, begun.err
    last = tmp_path / "runs/x/0/checkpoints/last.ckpt"
    saved = last.read_bytes()
    state = torch.load(last, weights_only=True)
    for group in state["optimizer_states"][0]["param_groups"]:
        group["lr"] = 1e38
    wild = last.with_name("wild.ckpt")
    torch.save(state, wild)
    result = run("fit", "-c", "configs/digits_gan.yaml", *short, "--trainer.max_epochs=3", "--ckpt_path", wild)
    assert result.status == 1, result.err
    assert "Traceback" not in result.err
    assert (
        "error: The generator's loss is nan in training batch 3; all weights are finite, the largest is" in result.err
    )
    assert "of discriminator." in result.err
    assert f"What was saved before is in {tmp_path}/runs/x/0" in result.err
    assert last.read_bytes() == saved
