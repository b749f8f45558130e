"""The notebook in `examples` runs from its first cell to its last."""

import json
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.ipynb"


@pytest.fixture
def scripted(tmp_path):
    """The toy model's answers to whatever is asked, as a script."""
    demand = "Also reject every empty line, log the rejected ones, and group entries by length."
    answer = "```python\ndef solve(x):\n    return x\n```"
    rules = [
        {
            "match": "Task: ",
            "answer": f"Needs: checks\nNew task: Sort the lines of a file. {demand}",
        },
        {"match": "", "answer": answer},
    ]
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"rules": rules}), encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs(tmp_path, monkeypatch, scripted, shared):
    """On a scripted model and a folder of benchmark files, in a kernel of its own."""
    monkeypatch.setenv("EVOLCODER_MODEL", f"scripted:{scripted}")
    monkeypatch.setenv("EVOLCODER_DATA", str(shared))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    said = [
        "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert "seeds 0 in 4 kept 4" in said[1]
    assert "no network" in said[3]
    assert "messages" in said[5]
    assert said[6] == "b'42\\n'\n"
    assert (tmp_path / "export" / "messages" / "data.jsonl").exists()
