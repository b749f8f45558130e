"""All tables of a run's folder, without its clocks, for a comparison of two runs."""

import json

from evolcoder.storage.run_store import RunStore

CLOCKS = {"rounds": {"started"}, "events": {"time"}}
"""Columns that hold times, by table."""
SUMS = {"throughput": ("requests", "sent", "received")}
"""Columns of which only the sums are compared, by table: its rows are spans of time, so that which
there are depends on when answers came."""
PLACES = {"seconds", "provenance", "config", "asked"}
"""Facts about times, the machine and the address of the model's server."""


def tables_of(folder):
    """Return name -> rows, in an order that does not depend on when each was written."""
    with RunStore.read(folder) as store:
        names = [name for (name,) in store.db.read(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )]  # fmt: skip
        found = {}
        for name in names:
            columns = [
                one for (one,) in store.db.read("SELECT name FROM pragma_table_info(?)", (name,))
            ]
            kept = ", ".join(one for one in columns if one not in CLOCKS.get(name, ()))
            if name in SUMS:
                kept = ", ".join(f"SUM({one})" for one in SUMS[name])
            found[name] = sorted(store.db.read(f"SELECT {kept} FROM {name}"), key=repr)
    found["meta"] = [(key, json.loads(value)) for key, value in found["meta"] if key not in PLACES]
    return found
