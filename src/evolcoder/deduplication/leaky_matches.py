"""Finds duplicates and leaks so that no row is lost as the duplicate of a leak.

Duplicates are found first, so that leaks are searched for once per text. A row whose match is a
leak is looked at again: it stays if it is no leak itself and no duplicate of a row that stays. The
same task as a leak leaves with it if only running the leak's answer gave it away
(`shares_its_task`); the drop of such a duplicate names its match, whose own drop has the evidence.

>>> duplicates, leaks, counts = await find_both(find, search)   # doctest: +SKIP
"""

from collections.abc import Awaitable, Callable, Collection, Mapping

from evolcoder.deduplication.find import Duplicate, DuplicateKind
from evolcoder.deduplication.summary import Evidence, LeakCounts, shares_its_task

Leaks = dict[int, Evidence]
"""Evidence of leaks by the number of the document."""
Find = Callable[[Mapping[int, Collection[DuplicateKind]]], list[Duplicate]]
"""Takes leaks with the kinds of duplicates that leave with each; returns the duplicates."""
Search = Callable[[Callable[[int], bool]], Awaitable[tuple[Leaks, LeakCounts]]]
"""Takes which documents to search, by their numbers; returns the leaks among them."""


async def find_both(find: Find, search: Search) -> tuple[list[Duplicate], Leaks, LeakCounts]:
    """Return duplicates, leaks, and what the last search returned; no document is in both."""
    duplicates = find({})
    gone = {duplicate.number for duplicate in duplicates}
    leaks, counts = await search(lambda number: number not in gone)
    new = leaks
    while any(_is_lost(duplicate, new) for duplicate in duplicates):
        duplicates = find({number: _kinds(hits) for number, hits in leaks.items()})
        left = gone - {duplicate.number for duplicate in duplicates}
        gone -= left
        if not left:
            break
        new, counts = await search(left.__contains__)
        leaks = leaks | new
    return [one for one in duplicates if one.number not in leaks], leaks, counts


def _is_lost(duplicate: Duplicate, leaks: Leaks) -> bool:
    """Whether a duplicate's match leaves as a leak, which says nothing of the duplicate."""
    hits = leaks.get(duplicate.match_number)
    return hits is not None and duplicate.kind not in _kinds(hits)


def _kinds(hits: Evidence) -> Collection[DuplicateKind]:
    return (DuplicateKind.EXACT,) if shares_its_task(hits) else ()
