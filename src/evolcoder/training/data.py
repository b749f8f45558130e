"""Rows of data files as training pairs, in every format that seeds are read in."""

from collections.abc import Iterator, Sequence

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.formats import FORMATS, SeedPair, matching_formats, read
from evolcoder.seeds.sources import rows_of
from evolcoder.training.examples import TrainingPair


def lessons_of(paths: Sequence[str]) -> Iterator[TrainingPair]:
    """Read files, or Hub data sets, one after another; a row that no format fits has no task."""
    for path in paths:
        for raw in rows_of(SeedsConfig(path=path)):
            pair = pair_of(raw.value)
            yield TrainingPair(pair.instruction, pair.answer, f"{path} {raw.place}")


def pair_of(row: object) -> SeedPair:
    """Take task and answer out of a row, whichever format it is in."""
    fits = matching_formats(row)
    return next((read(row, name) for name in FORMATS if name in fits), SeedPair("", ""))
