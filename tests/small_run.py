"""A run of two rows with a record of every kind, for tests of what reads it."""

from evolcoder.records import Check, CheckResult, Drop, Reason, Response, Stage, Task, Usage

MADE = Usage("scripted#toy", 10, 20, 2)
SEED = Task.seed("Sort a list.", ordinal=0, language="python")
CHILD = SEED.child("Sort dates.", round=1, heuristic="deepen", language="python", made=MADE)
ANSWERS = [
    Response.to(SEED, "```python\nprint(1)\n```", made=None),
    Response.to(CHILD, "```python\nprint(2)\n```", reasoning="hm", made=MADE),
]
FACTS = {
    "seeds": {"source": "x", "format": "alpaca", "n_rows": 1},
    "verify": {"checks": ["runs"], "languages": ["python"], "seeds": False, "why_not": ""},
    "clean": {"n_rows": 2, "dropped": {}, "embedder": None},
    "provenance": {"command": "x", "models": [], "versions": {}},
}


def fill(store):
    store.add_seeds([SEED, ANSWERS[0]])
    for record in (
        CHILD, ANSWERS[1], CheckResult.of(ANSWERS[1], Check.RUNS, "passed", detail={"n": 1}),
        Drop(Stage.EVOLVE, Reason.EMPTY, CHILD.id, 2, 0, "constrain", "", "nothing came", MADE),
    ):  # fmt: skip
        store.add(record)
    for key, value in FACTS.items():
        store.set_meta(key, value)
    for round in (0, 1):
        store.open_round(round, 1)


def without_purposes(db, *tables):
    """Take from tables of calls the columns that the first versions did not have."""
    for table in tables:
        for column in ("stage", "heuristic"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")


def contents(folder):
    """Return what is in a folder, but for the log's index, which SQLite makes anew."""
    return {
        path.name: path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.iterdir()
        if not path.name.endswith("-shm")
    }
