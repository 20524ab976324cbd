"""What is imported when: the parts work in a bare torch environment, and the command line answers at once."""

import subprocess
import sys

import pytest
from helpers import ROOT

import lit_improved_gan


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = modules_after("import lit_improved_gan")
    assert not loaded & {"torch", "lightning", "numpy"}


@pytest.mark.parametrize("part", ["layers", "losses", "networks", "optim", "seeding", "types"])
def test_parts_need_torch_alone(part: str) -> None:
    loaded = modules_after(f"import lit_improved_gan.{part}")
    assert "torch" in loaded
    heavy = {
        "lightning",
        "torchmetrics",
        "torchvision",
        "wandb",
        "jsonargparse",
        "torch_fidelity",
        "matplotlib",
        "sklearn",
    }
    assert not loaded & heavy


def test_the_library_runs_without_what_only_the_command_line_needs() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('wandb', 'jsonargparse', 'tensorboard'): raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import lit_improved_gan.modules, lit_improved_gan.callbacks, lit_improved_gan.data"
    )
    assert "lightning" in modules_after(code)


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after("from lit_improved_gan.cli import main; assert main(['--help']) == 0")
    assert not loaded & {"torch", "lightning", "wandb", "jsonargparse", "torch_fidelity", "matplotlib"}


def test_a_run_never_imports_wandb(tmp_path) -> None:
    config = ROOT / "configs" / "digits.yaml"
    code = (
        f"import os; os.chdir({str(tmp_path)!r})\n"
        "from lit_improved_gan.cli import main\n"
        f"assert main(['fit', '-c', {str(config)!r}, '--trainer.max_epochs=-1', '--trainer.max_steps=2']) == 0"
    )
    assert not {"wandb", "tensorboard"} & modules_after(code)


def test_every_public_name_is_found() -> None:
    for name in lit_improved_gan.__all__:
        assert getattr(lit_improved_gan, name) is not None
    with pytest.raises(AttributeError, match="NoSuchName"):
        lit_improved_gan.NoSuchName  # noqa: B018
