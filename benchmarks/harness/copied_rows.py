"""Statements that multiply the rows of a run, so that a large one need not be written row by row.

>>> copying("kept", round=1, copy=2, n_seeds=10).split(" FROM ")[0]
'INSERT INTO kept SELECT round, ordinal + 20'
"""

_COLUMNS = {
    "tasks": "{id}, instruction, round, {ordinal}, {root}, {parent}, heuristic, language, {made}",
    "responses": "{id}, {task}, round, {ordinal}, text, reasoning, {made}",
    "verdicts": "{task}, {response}, round, {ordinal}, check_name, kind, score, detail",
    "drops": "stage, reason, {subject}, round, {ordinal}, heuristic, seen, detail, {made}",
    "kept": "round, {ordinal}",
}
"""Columns of a copied row, by table; ids get another beginning."""
_MADE = "model, prompt_tokens, completion_tokens, attempts"
_IDS = ("id", "root", "parent", "task", "response", "subject")
TABLES = tuple(_COLUMNS)
"""Tables of rows, in an order in which they may be copied."""


def copying(table: str, *, round: int, copy: int, n_seeds: int) -> str:
    """Return the statement that copies the rows of the first seeds under other ids and seeds."""
    ids = {name: f"printf('%08x', {copy}) || substr({name}, 9)" for name in _IDS}
    columns = _COLUMNS[table].format(**ids, ordinal=f"ordinal + {copy * n_seeds}", made=_MADE)
    where = f"round = {round} AND ordinal < {n_seeds}"
    return f"INSERT INTO {table} SELECT {columns} FROM {table} WHERE {where}"
