"""What goes wrong with a checkpoint: one clear error, and nothing that was saved is lost."""

import pytest
import torch
from helpers import SMALL, expect

FIT = ("fit", "-c", "configs/digits.yaml")
OVERLAY = "configs/technique/label_smoothing.yaml"


@pytest.mark.parametrize("subcommand", ["test", "predict"])
def test_a_checkpoint_is_asked_for_where_nothing_is_given(run, subcommand: str) -> None:
    expect(run(subcommand), f"`{subcommand}` needs --ckpt_path")


@pytest.fixture
def trained(run, tmp_path):
    """A run of four batches."""
    assert run(*FIT, *SMALL).status == 0
    return tmp_path / "runs" / "digits" / "0" / "checkpoints" / "last.ckpt"


def test_options_that_the_checkpoint_would_override_are_reported(run, trained) -> None:
    result = run("fit", "--ckpt_path", trained, "--model.discriminator_loss.unlabelled_weight=0.33")
    expect(result, "--model.discriminator_loss.unlabelled_weight", "0.33", "4.0")
    config = run(*FIT, *SMALL, "--ckpt_path", trained, "--model.generator_average=0.5")
    expect(config, "--model.generator_average", "0.5")


def test_a_checkpoint_from_before_an_option_existed_goes_on(run, trained) -> None:
    state = torch.load(trained, weights_only=True)
    options = state["hyper_parameters"]
    del options["generator"]["init_args"]["activation"], options["d_updates_per_batch"]
    del options["discriminator"]["init_args"]["layer"], options["discriminator"]["init_args"]["packing"]
    torch.save(state, trained)
    for option, value in [("generator.activation", "torch.nn.ReLU"), ("d_updates_per_batch", "2")]:
        other = f"--model.{option}={value}"
        expect(run("fit", "--ckpt_path", trained, "--trainer.max_steps=6", other), f"--model.{option}: given", value)
    assert run("fit", "--ckpt_path", trained, "--trainer.max_steps=6").status == 0


def test_a_seed_that_the_checkpoint_would_override_is_reported(run, trained) -> None:
    expect(run("fit", "--ckpt_path", trained, "--data.label_seed=7"), "--data.label_seed: given 7", "has 0")
    result = run("fit", "--ckpt_path", trained, "--trainer.max_steps=6", "--seed_everything=7")
    assert result.status == 0, result.err
    assert "goes on with its own seed 0, not with --seed_everything 7" in result.out
    assert "Seed set to 7" not in result.out + result.err


@pytest.mark.parametrize("limit", [("--trainer.max_steps=4",), ("--trainer.max_steps=-1", "--trainer.max_epochs=1")])
def test_nothing_left_to_do_is_said(run, trained, tmp_path, limit: tuple[str, ...]) -> None:
    folder = tmp_path / "runs/digits/0"
    if len(limit) == 2:
        assert run("fit", "--ckpt_path", trained, *limit).status == 0  # to the end of the epoch
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    expect(run("fit", "--ckpt_path", trained, *limit), "nothing would be left to do", "Give a higher limit")
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_data_on_resuming_are_said(run, trained, tmp_path) -> None:
    for steps in (6, 8):
        result = run("fit", "--ckpt_path", trained, f"--trainer.max_steps={steps}", "--data.labels_per_class=3")
        assert result.status == 0, result.err
        assert "goes on with other data: --data.labels_per_class 3, was 5" in result.out or steps == 8
    assert {path.name for path in (tmp_path / "runs/digits/0").glob("config*")} == {
        "config.yaml",
        "config-from-000004.yaml",
        "config-from-000006.yaml",
    }


def test_other_data_of_a_config_file_are_refused_on_resuming(run, tmp_path) -> None:
    limits = ["--trainer.max_steps=4", "--trainer.limit_train_batches=3"]
    assert run(*FIT, *SMALL, *limits, "--data.labels_per_class=3").status == 0
    folder = tmp_path / "runs/digits/0"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = (*FIT, *SMALL, "--ckpt_path=last", "--trainer.max_steps=6")
    result = run(*again)
    expect(
        result, "would go on with other data", "--data.labels_per_class 5, was 3", "Give --data.labels_per_class=3 to"
    )
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = run(*again, "--data.labels_per_class=3")
    assert result.status == 0, result.err
    assert "other data" not in result.out
    assert "goes on with --trainer.limit_train_batches None, was 3" in result.out
    assert "--trainer.max_steps" not in result.out  # given


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_nothing_but_fit_runs_without_a_checkpoint(run, tmp_path, subcommand: str) -> None:
    expect(run(subcommand, "-c", "configs/digits.yaml"), f"`{subcommand}` needs --ckpt_path")
    assert not (tmp_path / "runs").exists()


def test_nothing_to_validate_on_or_to_sample_from_is_said(run, trained, tmp_path) -> None:
    expect(run("validate", "--ckpt_path", trained, "--data.val_size=0"), "no held-out images", "--data.val_size")
    assert run("fit", "-c", "configs/digits_supervised.yaml", *SMALL).status == 0
    result = run("predict", "--ckpt_path", "runs/digits_supervised/0/checkpoints/last.ckpt")
    expect(result, "`predict` writes samples", "Classifier")
    assert {path.name for path in (tmp_path / "runs" / "digits_supervised").iterdir()} == {"0"}


def test_a_checkpoint_of_another_module_is_refused(run, trained) -> None:
    state = torch.load(trained, weights_only=True)
    del state["improved_gan"], state["hyper_parameters"]
    torch.save(state, trained)
    expect(run("test", "--ckpt_path", trained), "not one of a SemiSupervisedGAN")


def test_a_damaged_checkpoint_is_named(run, trained) -> None:
    whole = trained.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        trained.write_bytes(damaged)
        result = run("test", "--ckpt_path", trained)
        expect(result, "last.ckpt is damaged", "no other state of this run: start anew")
        assert len(result.err.split("error: ", 1)[1].splitlines()) == 2


def test_the_checkpoint_before_a_damaged_one_is_offered(run, trained) -> None:
    earlier = trained.with_name("step=2.ckpt")
    state = torch.load(trained, weights_only=True)
    torch.save({**state, "global_step": 2}, earlier)
    torch.save({**state, "global_step": 1}, trained.with_name("step=1.ckpt"))
    trained.write_bytes(trained.read_bytes()[:1000])
    result = run("fit", "--ckpt_path", trained, "--trainer.max_steps=6")
    expect(result, "last.ckpt is damaged", f"Give --ckpt_path {earlier}, the state after 2 training batches")
    assert run("fit", "--ckpt_path", earlier, "--trainer.max_steps=6").status == 0


def test_one_directory_is_of_one_fit(run, trained, monkeypatch) -> None:
    from lit_improved_gan.cli.lock import Lock

    monkeypatch.setattr(Lock, "patience", 0.2)
    other = Lock(trained.parents[1])
    result = run("fit", "--ckpt_path", trained, "--trainer.max_steps=6")
    expect(result, "Another process trains in", "runs/digits/0", "--ckpt_path")
    other.release()
    assert run("fit", "--ckpt_path", trained, "--trainer.max_steps=6").status == 0


def test_code_in_a_checkpoint_is_refused_and_never_run(run, trained, tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_run"), "w"))

    torch.save({"state_dict": {}, "evil": Evil()}, trained)
    expect(run("test", "--ckpt_path", trained), "last.ckpt", "damaged, or no checkpoint")
    assert not (tmp_path / "was_run").exists()


def test_a_file_that_is_no_checkpoint_is_refused(run, trained) -> None:
    torch.save({"something": 1}, trained)
    expect(run("test", "--ckpt_path", trained), "no checkpoint of Lightning")


def test_a_checkpoint_away_from_its_run_needs_a_config(run, trained, tmp_path) -> None:
    lonely = tmp_path / "lonely.ckpt"
    lonely.write_bytes(trained.read_bytes())
    expect(run("test", "--ckpt_path", lonely), "config.yaml", "--config")
    assert run("test", "-c", "configs/digits.yaml", "--ckpt_path", lonely).status == 0


def test_resuming_with_both_limits_is_refused(run, trained) -> None:
    result = run("fit", "--ckpt_path", trained, "--trainer.max_epochs=3", "--trainer.max_steps=20")
    expect(result, "--trainer.max_epochs (now 3)", "--trainer.max_steps (now 20)")
