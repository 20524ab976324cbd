"""The notebooks run, and show what they say."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from helpers import ROOT
from nbclient import NotebookClient


def test_the_gan_of_the_notebook_collapses_and_is_cured(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "notebooks" / "mode_collapse.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    said = [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith("!")
    ]
    collapse, cured = said
    assert "the generator is collapsing" in collapse
    assert modes(cured) >= 7 > 5 > modes(collapse)
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/gif" in output.get("data", {})
    ]
    assert len(pictures) == 2


def modes(text: str) -> float:
    return float(text.split("test/modes ")[1].split(maxsplit=1)[0])


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    """What they print names the machine."""
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
