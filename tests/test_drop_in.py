"""Techniques in somebody's own training loop, each added in at most three lines.

``own_module`` holds a LightningModule with its own networks and loop. A line that adds a technique ends in ``# +`` and
the technique's letters; nothing else in this file is the library's. A test takes the lines of the techniques it does
not want away and runs what is left.
"""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.utils.data import DataLoader

TECHNIQUES = {"FM": "feature matching", "MBD": "minibatch discrimination", "VBN": "virtual batch norm",
              "LS": "label smoothing"}  # fmt: skip


def own_module(automatic: bool) -> tuple[LightningModule, list[Callback]]:
    from lit_improved_gan import MinibatchDiscrimination  # + MBD
    from lit_improved_gan.callbacks import LabelSmoothing  # + LS
    from lit_improved_gan.layers import convert_batch_norm, set_reference  # + VBN
    from lit_improved_gan.losses import feature_matching  # + FM

    class OwnGAN(LightningModule):
        real_target = 1.0  # + LS

        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = automatic
            self.generator = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))
            self.body = nn.Sequential(nn.Linear(10, 12), nn.LeakyReLU(0.2))
            self.head = nn.Linear(12, 1)
            self.body.append(MinibatchDiscrimination(12, num_kernels=4))  # + MBD
            self.head = nn.Linear(12 + 4, 1)  # + MBD
            set_reference(convert_batch_norm(self.generator), torch.randn(20, 6))  # + VBN
            self.seen: list[dict[str, Any]] = []

        def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
            on_real, on_fake = self.head(self.body(real)), self.head(self.body(fake.detach()))
            ones, zeros = torch.ones_like(on_real), torch.zeros_like(on_fake)
            ones = ones * self.real_target  # + LS
            self.seen.append({"target": ones.mean().item(), "real": real})
            return cross_entropy(on_real, ones) + cross_entropy(on_fake, zeros)

        def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
            on_fake = self.head(self.body(fake))
            loss = cross_entropy(on_fake, torch.ones_like(on_fake))
            loss = loss + feature_matching(self.body(real), self.body(fake))  # + FM
            self.seen[-1].update(fake=fake.detach(), loss=loss.item(), state=self.snapshot())
            return loss

        def training_step(self, real: Tensor, batch_idx: int) -> Tensor | None:
            fake = self.generator(torch.randn(len(real), 6))
            if automatic:  # one optimizer: D is a constant for G's loss
                d_loss = self.discriminator_loss(real, fake)
                self.body.requires_grad_(False), self.head.requires_grad_(False)
                g_loss = self.generator_loss(real, fake)
                self.body.requires_grad_(True), self.head.requires_grad_(True)
                return d_loss + g_loss
            d_optimizer, g_optimizer = self.optimizers()
            for optimizer, loss in [(d_optimizer, self.discriminator_loss), (g_optimizer, self.generator_loss)]:
                optimizer.zero_grad()
                self.manual_backward(loss(real, fake))
                optimizer.step()
            return None

        def configure_optimizers(self) -> Any:
            d_parameters = [*self.body.parameters(), *self.head.parameters()]
            if automatic:
                return torch.optim.Adam([*d_parameters, *self.generator.parameters()], lr=1e-2)
            return [torch.optim.Adam(p, lr=1e-2) for p in (d_parameters, self.generator.parameters())]

        def snapshot(self) -> dict[str, Tensor]:
            return {name: value.clone() for name, value in self.state_dict().items()}

    callbacks: list[Callback] = []
    callbacks.append(LabelSmoothing(0.9))  # + LS
    return OwnGAN(), callbacks


def lines_of(technique: str) -> list[str]:
    return [line for line in inspect.getsource(own_module).splitlines() if line.endswith(f"# + {technique}")]


def trained(automatic: bool, *techniques: str) -> LightningModule:
    """Three steps of the module with the lines of these techniques, and none of the others'."""
    source = inspect.getsource(own_module).splitlines()
    unwanted = tuple(f"# + {name}" for name in TECHNIQUES if name not in techniques)
    scope: dict[str, Any] = {}
    exec("\n".join(line for line in source if not line.endswith(unwanted)), globals(), scope)
    torch.manual_seed(0)
    module, callbacks = scope["own_module"](automatic)
    module.first = module.snapshot()
    torch.manual_seed(1)
    trainer = Trainer(
        max_steps=3 if automatic else 6, max_epochs=-1, callbacks=callbacks, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(torch.randn(60, 10) + 1, batch_size=20))
    assert len(module.seen) == 3
    for name, value in module.first.items():
        if name.endswith("weight"):
            assert not torch.equal(value, module.state_dict()[name]), name
    return module


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_each_technique_is_at_most_three_lines(technique: str) -> None:
    added = [line for line in lines_of(technique) if "import" not in line]
    assert 1 <= len(added) <= 3
    assert len(lines_of(technique)) == len(added) + 1  # and one import


def test_nothing_else_of_the_librarys_is_used() -> None:
    text = Path(__file__).read_text()
    imports = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom | ast.Import)
        and "lit_improved_gan" in (getattr(node, "module", None) or node.names[0].name)
    ]
    assert len(imports) == len(TECHNIQUES)
    lines = text.splitlines()
    assert all(lines[node.lineno - 1].endswith(tuple(f"# + {name}" for name in TECHNIQUES)) for node in imports)
    scope: dict[str, Any] = {}
    left = [line for line in inspect.getsource(own_module).splitlines() if "# + " not in line]
    exec("\n".join(left), globals(), scope)
    module, callbacks = scope["own_module"](False)
    assert callbacks == []
    assert not any(type(part).__module__.startswith("lit_improved_gan") for part in module.modules())


@pytest.mark.parametrize("automatic", [False, True], ids=["manual", "automatic"])
def test_feature_matching_is_in_the_generators_loss(automatic: bool) -> None:
    module, plain = trained(automatic, "FM"), trained(automatic)
    for step in module.seen:
        body, head = (nn.Sequential(nn.Linear(10, 12), nn.LeakyReLU(0.2)), nn.Linear(12, 1))
        for part, prefix in ((body, "body."), (head, "head.")):
            part.load_state_dict({n.removeprefix(prefix): v for n, v in step["state"].items() if n.startswith(prefix)})
        on_fake, features = head(body(step["fake"])), [body(x).mean(0) for x in (step["real"], step["fake"])]
        own = cross_entropy(on_fake, torch.ones_like(on_fake)).item()
        matching = (features[0] - features[1]).square().mean().item()
        assert matching > 1e-3
        assert step["loss"] == pytest.approx(own + matching, rel=1e-5)
    assert not torch.equal(module.generator[0].weight, plain.generator[0].weight)


@pytest.mark.parametrize("automatic", [False, True], ids=["manual", "automatic"])
def test_minibatch_discrimination_looks_at_the_batch(automatic: bool) -> None:
    module, plain = trained(automatic, "MBD"), trained(automatic)
    x = torch.randn(8, 10)
    batches = [x, torch.cat([x[:1], torch.randn(7, 10)])]
    for one, looks in ((module, True), (plain, False)):
        first = [one.head(one.body(batch))[0] for batch in batches]
        assert torch.allclose(*first, atol=1e-6) != looks
    layer = module.body[2]
    assert layer.initialized
    assert not torch.equal(layer.theta, module.first["body.2.theta"])
    assert layer(x.expand(8, 10) @ torch.randn(10, 12))[:, 12:].std() > 0


@pytest.mark.parametrize("automatic", [False, True], ids=["manual", "automatic"])
def test_virtual_batch_norm_makes_an_example_independent_of_its_batch(automatic: bool) -> None:
    module, plain = trained(automatic, "VBN"), trained(automatic)
    z = torch.randn(8, 6)
    for one, independent in ((module, True), (plain, False)):
        one.train()
        assert torch.allclose(one.generator(z)[:3], one.generator(z[:3]), atol=1e-6) == independent
    assert module.generator(z[:1]).shape == (1, 10)
    assert module.snapshot()["generator.reference_input.input0"].shape == (20, 6)
    torch.testing.assert_close(module.eval().generator(z), module.train().generator(z))


@pytest.mark.parametrize("automatic", [False, True], ids=["manual", "automatic"])
def test_label_smoothing_sets_the_target(automatic: bool) -> None:
    module, plain = trained(automatic, "LS"), trained(automatic)
    assert [step["target"] for step in module.seen] == pytest.approx([0.9] * 3)
    assert [step["target"] for step in plain.seen] == [1.0] * 3
    assert module.real_target == 1.0  # its own again
    assert not torch.equal(module.head.weight, plain.head.weight)


@pytest.mark.parametrize("automatic", [False, True], ids=["manual", "automatic"])
def test_all_together(automatic: bool) -> None:
    module = trained(automatic, *TECHNIQUES)
    assert [step["target"] for step in module.seen] == pytest.approx([0.9] * 3)
    assert module.body[2].initialized
    assert torch.isfinite(torch.tensor([step["loss"] for step in module.seen])).all()
