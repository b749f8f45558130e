"""The detectors of leakage that need no sandbox, as one: rows go in once, a report comes out.

Promises: rows may come in any order and in any portions, and the report is the same; memory holds
the benchmark, one portion, and what may be a leak. Hits of other detectors (execution) are taken
in as they are; one that ran and found nothing is among those that ran. A row in any odd shape is
looked at like all others.

    leaks = Leaks(items, embedder)
    for portion in portions:
        leaks.look(portion)
    report = await leaks.report([Drop.ANY], judge=role, others={Detector.EXECUTION: hits})
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolcoder.clean import judge as judges
from evolcoder.clean import neighbours
from evolcoder.clean.embed import Embedder
from evolcoder.clean.evidence import Detector, Drop, Hit
from evolcoder.clean.items import Item
from evolcoder.clean.judge import judge_pairs
from evolcoder.clean.neighbours import Bounds, Neighbours, Pair
from evolcoder.clean.ngrams import Ngrams
from evolcoder.clean.normal import read
from evolcoder.clean.report import Report, report_of
from evolcoder.clean.runs import Runs
from evolcoder.engine.base import Role
from evolcoder.text import clean


@dataclass(frozen=True, slots=True)
class Texts:
    """A row as it is looked at."""

    row: str
    """Id of the row."""
    task: str
    """Its instruction, with its input."""
    answer: str
    """Its answer; empty where it has none."""


class Leaks:
    """What rows seen so far have in common with a benchmark's problems."""

    def __init__(self, items: Sequence[Item], embedder: Embedder | None) -> None:
        """Index the problems; without an embedder nobody looks for neighbours."""
        self._grams = Ngrams(items)
        self._runs = Runs(items)
        self._embedder = embedder
        self._near = None if embedder is None else Neighbours(items, embedder)
        self._hits: list[Hit] = []
        self._n_rows = 0

    def look(self, rows: Sequence[Texts]) -> None:
        """Look at a portion of rows."""
        self._n_rows += len(rows)
        for each in rows:
            task, answer = read(clean(each.task)), read(clean(each.answer))
            self._grams.look(each.row, task, answer)
            self._hits += self._runs.look(each.row, task, answer)
        if self._near is not None:
            self._near.look([(each.row, clean(each.task)) for each in rows])

    def pairs(self) -> list[Pair]:
        """Return every problem with its nearest rows, for the judge."""
        return [] if self._near is None else self._near.pairs()

    async def report(
        self,
        drops: Sequence[Drop],
        *,
        judge: Role | None = None,
        most: int | None = None,
        others: Mapping[Detector, Sequence[Hit]] | None = None,
        bounds: Bounds | None = None,
    ) -> Report:
        """Weigh all that was seen, ask the judge about near rows, and count."""
        pairs = self.pairs()
        judged = [] if judge is None else await judge_pairs(pairs, judge, most=most)
        near = neighbours.hits_of(pairs, bounds or Bounds())
        hits = [*self._hits, *self._grams.hits(), *near, *judges.hits_of(judged)]
        for found in (others or {}).values():
            hits += found
        return report_of(
            hits,
            n_rows=self._n_rows,
            ran=[*self._ran(judge), *(others or {})],
            drops=drops,
            judged=judged,
            models=self._models(judge),
        )

    def _ran(self, judge: Role | None) -> list[Detector]:
        ran = [Detector.NGRAMS, Detector.SUBSTRING]
        ran += [Detector.NEIGHBOURS] if self._near is not None else []
        return ran if judge is None else [*ran, Detector.JUDGE]

    def _models(self, judge: Role | None) -> list[tuple[Detector, str]]:
        named = [] if self._embedder is None else [(Detector.NEIGHBOURS, self._embedder.name)]
        return named if judge is None else [*named, (Detector.JUDGE, judge.identity)]
