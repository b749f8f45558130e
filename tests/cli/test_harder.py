"""`evolcoder inspect RUN --harder`, on a run that really was."""

import json

import toys
from evolcoder.cli.main import main
from evolcoder.storage.run_store import RunStore
from loopback import Loopback, in_thread


def test_children_are_compared_with_their_parents(capsys, tmp_path):
    """Every evolved row is counted once for all, and the toy's longer tasks show as longer."""
    seeds, out = toys.seeds_file(tmp_path / "seeds.jsonl", 25), tmp_path / "out"
    with in_thread(Loopback(answer=toys.answer)) as server:
        model = f"{server.base_url}#toy"
        assert main(["run", "--seeds", str(seeds), "--model", model, "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(out), "--harder", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    with RunStore.read(out) as store:
        n_evolved = sum(row.task.round > 0 for row in store.rows())
    (whole,) = [
        line
        for line in lines
        if (line["measure"], line["heuristic"], line["round"]) == ("task_tokens", "all", None)
    ]
    assert whole["n"] == n_evolved
    assert 0 < whole["low"] <= whole["difference"] <= whole["high"]
    assert main(["inspect", str(out), "--harder"]) == 0
    assert "task_tokens" in capsys.readouterr().out
