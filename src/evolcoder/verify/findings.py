"""What checks found in a run, counted over its rows.

>>> note_of_unjudged(store)   # doctest: +SKIP
''
"""

from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox.base import Kind
from evolcoder.storage.run_store import RunStore, verdict_from
from evolcoder.verify import pipeline

_KIND = (
    f"""CASE WHEN kind = '{Kind.ERROR}' AND detail LIKE '%"why": "{pipeline.UNJUDGED}"%' """
    f"THEN '{UNJUDGED}' ELSE kind END"
)
"""SQL for a finding, in which a failure of the check is told from an error of the answer."""


def counted(store: RunStore) -> dict[tuple[str, str], int]:
    """Count findings by check and kind, most first; that a row could not be judged is a kind."""
    query = f"SELECT check_name, {_KIND}, COUNT(*) FROM verdicts GROUP BY 1, 2 ORDER BY 3 DESC"
    return {(str(check), str(kind)): int(str(n)) for check, kind, n in store.db.read(query)}


def note_of_unjudged(store: RunStore) -> str:
    """Say how many findings are that a row could not be judged, and name one; empty if none."""
    n = sum(n for (_, kind), n in counted(store).items() if kind == UNJUDGED)
    query = f"SELECT * FROM verdicts WHERE {_KIND} = '{UNJUDGED}' ORDER BY round, ordinal LIMIT 1"
    for one in map(verdict_from, store.db.read(query)):
        such = f"round {one.round}, row {one.ordinal}, {one.check}: {one.detail['said']}"
        return f"{n} findings are that a row {UNJUDGED}, such as {such}"
    return ""
