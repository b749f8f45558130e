"""A step is a process: what it ends with becomes the error that it stands for."""

import json
import sys
import urllib.request

import pytest

from evolcoder.cli.steps import ServeSteps, TrainSteps, filled, run_step
from evolcoder.errors import BudgetReached, StepFailed, UserError
from evolcoder.loop.parts import Training
from evolcoder.loop.settings import LoopConfig, ServeConfig

NAMED = """
import http.server, sys
name, port = sys.argv[1].encode(), int(sys.argv[2])

class Says(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(name)

http.server.HTTPServer(("127.0.0.1", port), Says).serve_forever()
"""


def ends(code, said="it went so"):
    return [sys.executable, "-c", f"import sys; print({said!r}); sys.exit({code})"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, StepFailed),
        (2, UserError),
        (3, BudgetReached),
        (130, KeyboardInterrupt),
        (-9, StepFailed),
    ],
)
def test_an_exit_code_becomes_its_error(tmp_path, code, kind):
    """The last words of a step are in the message, and all of them in its log."""
    command = ends(code) if code >= 0 else [*ends(0)[:2], "import os; print('it went so', flush=True); os.kill(os.getpid(), 9)"]  # fmt: skip
    with pytest.raises(kind, match=r"^step: it went so \(all of it in "):
        run_step(command, tmp_path / "step.txt")
    assert (tmp_path / "step.txt").read_text().startswith(f"$ {sys.executable} -c")


def test_a_step_that_ends_well_raises_nothing_and_one_that_hangs_is_ended(tmp_path):
    """A bound in time is the user's, and what is over it is put away."""
    run_step(ends(0), tmp_path / "log" / "fine.txt")
    with pytest.raises(StepFailed, match=r"slow: not done within 0\.5 s"):
        run_step([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "slow.txt", timeout_s=0.5)  # fmt: skip


def test_models_of_one_step_are_served_side_by_side(tmp_path):
    """Each has a port and a name of its own, and its spec leads to it."""
    (tmp_path / "named.py").write_text(NAMED)
    command = ("{python}", str(tmp_path / "named.py"), "{name}:{model}", "{port}")
    config = ServeConfig(command=command, port=18791, ready_s=60)
    with ServeSteps(tmp_path, config).serving([("a", "one"), ("b", "two")]) as served:
        assert [one.spec for one in served] == [
            "http://127.0.0.1:18791/v1#one", "http://127.0.0.1:18792/v1#two",
        ]  # fmt: skip
        said = [urllib.request.urlopen(one.spec.split("#")[0]).read() for one in served]
    assert said == [b"one:a", b"two:b"]


def test_a_training_is_told_its_seed_and_steps(tmp_path):
    """What decides a model is in its command; steps are named only where they are set."""
    script = "import json, sys; json.dump(sys.argv[1:], open(sys.argv[1], 'w'))"
    train = {"command": ["{python}", "-c", script, "{out}", "{base}", "{data}", "{seed}"]}
    config = LoopConfig.model_validate({"student": {"path": "weights"}, "train": train})
    for steps in (None, 7):
        one = Training("seed", 3, "key", "data", 10, 100, steps)
        TrainSteps(tmp_path, config).train(one, tmp_path / "rows", tmp_path / "out")
        told = json.loads((tmp_path / "out").read_text())
        assert told[1:4] == ["weights", str(tmp_path / "rows"), "3"]
        assert told[4:] == ([] if steps is None else ["--set", "steps=7"])
    assert filled(["{x}", "{python}"], x=1) == ["1", sys.executable]
