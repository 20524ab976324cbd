"""Randomness as a function of its parts."""

import lightning
import torch

from lit_improved_gan.seeding import current_seed, generator, mix, permutation


def test_mix_is_the_same_everywhere_and_always() -> None:
    assert (mix(0), mix(0, "noise", 7)) == (7210762507766007076, 6812654027350015150)
    assert mix(0, "noise", 7) != mix(0, "noise", 8) != mix(1, "noise", 7)
    assert mix(1, 2) != mix(2, 1) != mix(12)
    assert all(0 <= mix(seed) < 2**63 for seed in range(100))


def test_generators_leave_the_global_one_alone() -> None:
    state = torch.get_rng_state()
    a, b, c = (torch.rand(3, generator=generator(*parts)) for parts in [(1, "x"), (1, "x"), (2, "x")])
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_permutations_depend_on_their_parts() -> None:
    a, b = permutation(50, 1, "a"), permutation(50, 1, "b")
    assert torch.equal(a.sort().values, torch.arange(50))
    assert not torch.equal(a, b)
    assert torch.equal(a, permutation(50, 1, "a"))


def test_the_seed_is_lightnings(monkeypatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert current_seed() == 0
    lightning.seed_everything(17, verbose=False)
    assert current_seed() == 17
