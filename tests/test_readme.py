"""The README's figures are those of the committed results, and what it names exists."""

import json
import re
from pathlib import Path

import pytest
from helpers import ROOT

README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"


def test_the_two_commands_are_shown() -> None:
    assert "pip install . && lit-improved-gan fit --config configs/digits.yaml" in README
    assert "pip install -e '.[test]' && pytest" in README


def test_the_table_of_digits_is_the_committed_result() -> None:
    rows = json.loads((RESULTS / "digits_ssl.json").read_text())["rows"]
    assert len(rows) == 4
    for row in rows:
        errors = " | ".join(f"{run['test_error_percent']:.2f}" for run in row["runs"])
        assert f"| {row['labels']} | {row['training']} | {row['mean']:.2f} | {row['std']:.2f} | {errors} |" in README


def test_the_cost_of_the_machinery_is_the_committed_result() -> None:
    results = json.loads((RESULTS / "step_overhead.json").read_text())
    for name in ("digits", "mnist"):
        assert f"{results[name]['median_ratio']:.2f}x" in README


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in set(re.findall(r"\]\(([^)#:]+)\)", page.read_text())):
        assert (page.parent / link).exists(), link


def test_every_config_is_listed() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert str(path.relative_to(ROOT)) in README


EXAMPLES = [code for page in PAGES for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("code", EXAMPLES)
def test_python_examples_run(code: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(code.replace("max_epochs=100", "max_epochs=1, accelerator='cpu', logger=False"), {})
