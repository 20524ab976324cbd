"""Mistakes in config files, each said in one message that names it; benchmarks/fuzz_configs.py makes more of them."""

import sys
from collections import Counter

import pytest
from helpers import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from config_mutations import mutations
from fuzz_configs import experiments, in_this_process, judge, overlays, small_and_short


def test_a_mistake_is_named_or_the_run_goes_on() -> None:
    digits = {name: tree for name, tree in experiments().items() if name.startswith("digits")}
    seen: Counter[str] = Counter()
    with small_and_short():
        for case in mutations(digits, overlays(), 60, 12):
            verdict, why = judge(case, *in_this_process(case))
            assert verdict != "WRONG", (case, why)
            seen[verdict] += 1
    assert seen["refused"] > 20
    assert seen["runs"] > 3


@pytest.mark.parametrize(("status", "said", "why"), [
    (0, "", "it ran"),
    (2, "error: something is wrong", "is named"),
    (2, "error: `max_epoch`\nerror: again", "2 messages"),
    (1, "Traceback (most recent call last)", "a traceback"),
    (1, "error: `max_epoch`", "exit status 1"),
])  # fmt: skip
def test_the_judge_sees_what_is_wrong(status: int, said: str, why: str) -> None:
    case = next(case for case in mutations(experiments(), overlays(), 200, 0) if case.kind == "key misspelt")
    assert case.refused
    verdict, found = judge(case, status, said)
    assert verdict == "WRONG"
    assert why in found
    assert judge(case, 2, f"error: Option {case.names[0]} is not accepted") == ("refused", "")
