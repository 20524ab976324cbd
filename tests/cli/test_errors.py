"""Bad input: one message that names what is wrong, exit status 2, no traceback, no directory left behind."""

import errno
import os
import warnings
from pathlib import Path

import pytest
import torch
from helpers import SMALL, expect

import lit_improved_gan.callbacks

FIT = ("fit", "-c", "configs/digits.yaml")
OVERLAY = "configs/technique/label_smoothing.yaml"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model.d_updates=3"], ["'d_updates' is not accepted", "Did you mean `d_updates_per_batch`?"]),
        (["--model.discriminator.hiden=[3]"], ["'hiden' is not accepted", "Did you mean `hidden`?"]),
        (["--labels=50"], ["--labels", "Did you mean `--data.labels_per_class`?"]),
        (["--labels_per_class", "5"], ["--labels_per_class", "Did you mean `--data.labels_per_class`?"]),
        (["--seed=5"], ["--seed", "Did you mean `--seed_everything` or `--seeds`?"]),
        (["--seed_everything=true"], ["--seed_everything should be in 0..4294967295. Found True"]),
        (["--trainer.max_epoch=3"], ["--trainer.max_epoch", "Did you mean `max_epochs`?"]),
        (["--trainer.max_epochs=x"], ["trainer.max_epochs", "x"]),
        (["--model.generator=no.Such"], ["generator", "no.Such"]),
        (["--data.labels_per_class=0"], ["labels_per_class", "1 or more", "labels_per_class=0"]),
        (["--data.labels_per_class=500"], ["labels_per_class=500", "class 4 has 95"]),
        (["--data.batch_size=0"], ["batch_size"]),
        (["--data.batch_size=5000"], ["batch_size", "smaller"]),
        (["--data.val_size=5000"], ["val_size=5000", "1297"]),
        (["--model.d_updates_per_batch=0"], ["d_updates_per_batch=0"]),
        (["--model.generator_optimizer.lr=-1"], ["lr", "greater than 0"]),
        (["--model.discriminator_average=0"], ["`discriminator_average`", "(0, 1]", "=0"]),
        (["--model.discriminator_loss.unlabelled_weight=-1"], ["unlabelled_weight=-1"]),
        (["--model.generator.image_shape=[1,9,9]"], ["generator", "(N, 1, 8, 8)", "(2, 1, 9, 9)", "image_shape"]),
        (["--model.discriminator.image_shape=[1,9,9]"], ["discriminator", "(N, 1, 8, 8)", "[1, 9, 9]: set"]),
        (["--model.discriminator.num_outputs=7"], ["discriminator", "(N, 10)", "(2, 7)", "num_outputs"]),
        (["--model.generator_loss=lit_improved_gan.FeatureMatchingLoss", "--model.generator_loss.layers=nope"],
         ["layers", "'nope'", "hidden1"]),
        (["--trainer.limit_val_batches=1"], ["limit_val_batches", "all batches"]),
        (["--trainer.limit_test_batches=1.0"], ["limit_test_batches"]),
        (["--trainer.gradient_clip_val=1"], ["gradient clipping"]),
        (["--trainer.accumulate_grad_batches=2"], ["gradient accumulation"]),
        (["--trainer.default_root_dir=here"], ["default_root_dir", "--runs"]),
        (["--trainer.callbacks=lit_improved_gan.Curves"], ["--trainer.callbacks", "replace", "--trainer.callbacks+="]),
        (["--ckpt_path=none.ckpt"], ["none.ckpt"]),
        (["--seed_everything=5000000000"], ["--seed_everything", "0..4294967295", "Found 5000000000"]),
        (["--model.generator_optimizer.lr=1e300"], ["`model.generator_optimizer.lr`", "float32", "1e+300"]),
        (["--model.generator.hidden=[16,3000000000]"], ["`model.generator.hidden[1]`", "2^31", "3000000000"]),
        (["--model.discriminator_loss=torch.nn.Module"], ["`model.discriminator_loss` has no class_path"]),
        (["--trainer.log_every_n_steps=0"], ["log_every_n_steps should be 1 or more"]),
        (["--trainer.check_val_every_n_epoch=0"], ["check_val_every_n_epoch should be 1 or more"]),
        (["--trainer.overfit_batches=1"], ["overfit_batches"]),
        (["--trainer.max_steps=0"], ["max_steps 0", "nothing"]),
        (["--trainer.max_epochs=0"], ["max_epochs 0", "nothing"]),
        (["--trainer.limit_train_batches=0"], ["limit_train_batches 0", "nothing"]),
        (["--trainer.limit_test_batches=0"], ["limit_test_batches 0", "nothing"]),
        (['--trainer={"callbacks": []}'], ["`--trainer` would replace", "--trainer.OPTION"]),
        (["--threads=0"], ["--threads", "Found 0"]),
        (["--threads=1000000000000000000"], ["--threads", "1 to 1024"]),
        (["--name="], ["--name", "''"]),
        (["--name=../elsewhere"], ["--name", "../elsewhere"]),
        (["--model.generator.latent_size=0"], ["`latent_size` of MLPGenerator", "[0]"]),
        (["--model.generator.hidden=[20,0]"], ["`hidden` of MLPGenerator", "[20, 0]"]),
        (["--model.discriminator.image_shape=[8,8]"], ["`image_shape` of MLPDiscriminator", "(C, H, W)", "[8, 8]"]),
        (["--model.discriminator.input_noise=-1"], ["`input_noise` of MLPDiscriminator", "-1"]),
        (["--model.init_images=1"], ["init_images=1"]),
        (["--model.generator_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau"], ["ReduceLROnPlateau"]),
        (["--model.discriminator_loss=lit_improved_gan.AdversarialLoss"],
         ["`discriminator_loss`", "labelled, labels, unlabelled, fake", "AdversarialLoss takes"]),
        (["--ckpt_path=last"], ["--ckpt_path last", "runs/digits/*/checkpoints/last.ckpt"]),
    ],
    ids=lambda value: value[0].lstrip("-") if isinstance(value, list) and value[0].startswith("-") else "",
)  # fmt: skip
def test_bad_option(run, tmp_path, arguments: list[str], words: list[str]) -> None:
    expect(run(*FIT, *SMALL, *arguments), *words)
    assert not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "trainer: {callbacks+: [{class_path: lit_improved_gan.LabelSmoothing, init_args: {target: 1.9}}]}",
            ["target=1.9"],
        ),
        (
            "trainer: {callbacks+: [{class_path: lit_improved_gan.LabelSmoothing, init_args: {targt: 0.9}}]}",
            ["'targt'"],
        ),
        ("trainer: {callbacks+: [{class_path: lit_improved_gan.LabelSmothing}]}", ["LabelSmothing"]),
        (
            "trainer: {callbacks: [{class_path: lit_improved_gan.Curves}]}",
            ["`trainer.callbacks`", "would replace", "callbacks+:"],
        ),
        (
            "trainer: {logger: [{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: .}}]}",
            ["metrics.csv is written anyway"],
        ),
        (
            "trainer: {callbacks+: [{class_path: lit_improved_gan.ReferenceBatch},"
            " {class_path: lit_improved_gan.ReferenceBatch}]}",
            ["more than one stateful callback"],
        ),
        ("trainer:", ["trainer", "nothing"]),
        ("modl: {}", ["modl"]),
        ("seed_everything:", ["seed_everything"]),
        (
            "model: {init_args: {discriminator: {init_args: {input_noise: }}}}",
            ["`model.discriminator.input_noise` should be float", "Found nothing"],
        ),
        ("data: {init_args: {val_size: 3, val_size: 4}}", ["`val_size` stands twice, in line 1 and in line 1"]),
        (
            "data: {class_path: lit_improved_gan.DigitsDataModule, val_size: 3}",
            ["`data.val_size`", "below its init_args"],
        ),
        ("trainer: 3", ["trainer", "3"]),
        ("- a\n- b", ["should hold options"]),
        ("a: [", ["is not YAML"]),
    ],
)
def test_bad_overlay(run, tmp_path, text: str, words: list[str]) -> None:
    (tmp_path / "overlay.yaml").write_text(text)
    expect(run(*FIT, "-c", "overlay.yaml", *SMALL), *words)


def test_a_file_is_checked_however_it_is_given(run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text("trainer: {callbacks: [{class_path: lit_improved_gan.Curves}]}")
    for given in (["-coverlay.yaml"], ["--config=overlay.yaml"], ["-c", "overlay.yaml"]):
        expect(run(*FIT, *given, *SMALL), "`trainer.callbacks` in overlay.yaml would replace")


def test_loggers_of_two_overlays_add_up_and_are_not_replaced(run, tmp_path) -> None:
    both = ("-c", "configs/trainer/wandb.yaml", "-c", "configs/trainer/tensorboard.yaml")
    shown = run(*FIT, *both, "--print_config").out
    assert "WandbLogger" in shown
    assert "TensorBoardLogger" in shown
    (tmp_path / "overlay.yaml").write_text("trainer: {logger: [{class_path: lightning.pytorch.loggers.WandbLogger}]}")
    expect(run(*FIT, *both, "-c", "overlay.yaml", *SMALL), "`trainer.logger` in overlay.yaml would replace")


def test_an_option_wins_over_a_file_wherever_it_stands(run) -> None:
    result = run("fit", "--seed_everything=9", "--data.val_size=7", "-c", "configs/digits.yaml", "--print_config")
    assert "seed_everything: 9\n" in result.out
    assert "val_size: 7\n" in result.out


def test_a_file_that_is_given_twice_is_refused(run) -> None:
    both = ("-c", "configs/digits.yaml", "-c", OVERLAY)
    expect(run("fit", *both, "-c", f"./{OVERLAY}"), "label_smoothing", "given twice")


def test_an_overlay_before_the_experiment_is_refused(run) -> None:
    for overlay in (OVERLAY, "configs/technique/semi_supervised.yaml"):
        expect(run("fit", "-c", overlay, "-c", "configs/digits.yaml"), overlay, "stands before the experiment")


def test_a_warning_of_the_library_is_said_without_its_place(run) -> None:
    run(*FIT, "--print_config")
    own = warnings.formatwarning(
        UserWarning("a"), UserWarning, lit_improved_gan.callbacks.__file__, 3, "a line of code"
    )
    assert own == "warning: a\n"
    other = warnings.formatwarning(UserWarning("a"), UserWarning, "/some/where.py", 3, "a line of code")
    assert other == "/some/where.py:3: UserWarning: a\n"


def test_a_missing_config_is_named(run) -> None:
    expect(run("fit", "-c", "configs/none.yaml"), "configs/none.yaml", "No such file")


def test_no_config_at_all(run) -> None:
    expect(run("fit"), "model", "data")
    assert run().status == 2


def test_label_smoothing_without_a_target_says_so(run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text("model: {init_args: {discriminator_loss: {class_path: torch.nn.BCELoss}}}")
    result = run("fit", "-c", "configs/digits_gan.yaml", "-c", "overlay.yaml", "-c", OVERLAY, *SMALL)
    expect(result, "LabelSmoothing", "real_target")


def test_a_metric_that_is_never_logged_is_named(run, tmp_path) -> None:
    monitor = "{class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: val/nope}}"
    (tmp_path / "overlay.yaml").write_text(f"trainer: {{callbacks+: [{monitor}]}}")
    result = run(*FIT, "-c", "overlay.yaml", "--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=1")
    assert result.status == 2
    assert "val/nope" in result.err
    assert "Traceback" not in result.err


def test_an_interrupt_before_training_is_no_traceback(monkeypatch, capsys) -> None:
    from lit_improved_gan import cli

    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main(["fit"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("labels_per_class", "labels_per_clas", ["line 32, of lit_improved_gan.DigitsDataModule", "labels_per_class"]),
        ("generator_average", "generator_averge", ["SemiSupervisedGAN", "Did you mean `generator_average`?"]),
        ("unlabelled_weight", "weight", ["line 19, of lit_improved_gan.SemiSupervisedLoss. It accepts", "weight"]),
        ("max_epochs", "max_epoch", ["of lightning.pytorch.Trainer", "Did you mean `max_epochs`?"]),
        ("{lr", "{rate", ["of lit_improved_gan.ReleasedAdam. It accepts lr, beta1, beta2, eps."]),
    ],
)
def test_a_misspelt_key_is_found_in_its_file(run, tmp_path, right, wrong, words) -> None:
    config = tmp_path / "misspelt.yaml"
    text = Path("configs/digits.yaml").read_text()
    assert right in text
    config.write_text(text.replace(right, wrong))
    expect(run("fit", "-c", config), f"in {config}", *words)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_data_that_may_not_be_read_are_named(run, tmp_path) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "images").chmod(0)
    try:
        data = ("--data=lit_improved_gan.FolderDataModule", f"--data.root={tmp_path / 'images'}")
        expect(run(*FIT, *SMALL, *data), "Permission denied", "images")
    finally:
        (tmp_path / "images").chmod(0o700)


def test_data_that_may_not_be_read_are_named_by_root_too(run, tmp_path, monkeypatch) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    walk = Path.iterdir

    def denied(path: Path):
        if path.name == "train":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return walk(path)

    monkeypatch.setattr(Path, "iterdir", denied)
    data = ("--data=lit_improved_gan.FolderDataModule", f"--data.root={tmp_path / 'images'}")
    expect(run(*FIT, *SMALL, *data), "Permission denied", "images/train")
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_run_directory_that_cannot_be_made(run, tmp_path) -> None:
    (tmp_path / "runs").write_text("a file")
    expect(run(*FIT, *SMALL), "run directory", "runs/digits/0")


def test_a_full_disk_keeps_what_was_saved(run, tmp_path, monkeypatch) -> None:
    replace = os.replace
    calls = []

    def full(source, target, **kwargs):
        if str(target).endswith(".ckpt"):
            calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replace(source, target, **kwargs)

    monkeypatch.setattr("lit_improved_gan.callbacks.checkpoints.os.replace", full)
    result = run(*FIT, "--trainer.max_epochs=40", "--trainer.accelerator=cpu")
    expect(result, "disk is full", "runs/digits/0")
    saved = torch.load(tmp_path / "runs/digits/0/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 180


def test_tracebacks_are_shown_on_request(run, monkeypatch) -> None:
    from lit_improved_gan.cli.errors import UserError

    monkeypatch.setenv("LIT_IMPROVED_GAN_TRACEBACK", "1")
    with pytest.raises(UserError, match="No such file"):
        run("fit", "-c", "none.yaml")
