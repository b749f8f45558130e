"""Toy rows: seeds with their responses, and the child of each from one round."""

import pytest

from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.exports.write import CardFacts, ModelUsed
from evolcoder.records import Response, Row, Stage, Task, Usage
from evolcoder.storage.stats import FunnelLine

ODD = 'Under 1 s.\n\u2028Ünïcödé | ```x``` "quoted" \\n'


def seeds(n_rows, *, filler=""):
    for n in range(n_rows):
        task = Task.seed(f"Write a Python function {n}.{filler}", ordinal=n, language="python")
        yield Row(task, Response.to(task, f"answer {n}", made=None), None)


def children(n_rows, *, filler=""):
    for seed in seeds(n_rows, filler=filler):
        task = seed.task.child(
            f"{seed.task.instruction} {ODD}",
            round=1,
            heuristic="constraints",
            language=None,
            made=Usage("server#evolver", 10, 20, 2),
        )
        made = Usage("server#responder", 5, 6, 1)
        answer = Response.to(task, "```python\npass\n```", reasoning="hm", made=made)
        yield Row(task, answer, seed.task.instruction)


@pytest.fixture
def seed_rows():
    """Makes rows of round 0: nothing evolved, so half of the lineage is missing."""
    return seeds


@pytest.fixture
def rows():
    """Makes the rows of a run of one round, in their order: all seeds, then all children."""

    def make(n_rows=3, *, filler=""):
        yield from seeds(n_rows, filler=filler)
        yield from children(n_rows, filler=filler)

    return make


@pytest.fixture
def facts():
    return CardFacts(
        title="First try",
        license="unknown",
        seeds="bundled, 3 rows",
        command="evolcoder run --limit 3 --out runs/first",
        models=(ModelUsed("evolver", "evolver|m", "Apache-2.0"), ModelUsed("judge", "j", "")),
        funnel=(
            FunnelLine(Stage.SEEDS, 0, 4, 3, {"duplicate": 1}),
            FunnelLine(Stage.EVOLVE, 1, 3, 3, {}),
            FunnelLine(Stage.RESPOND, 1, 3, 1, {"refusal": 1}),
        ),
        versions=(("evolcoder", "0.1.0"), ("python", "3.11")),
    )
