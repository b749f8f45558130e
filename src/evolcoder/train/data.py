"""Rows of data files as lessons: every format of seeds, and TRL's prompt and completion."""

from collections.abc import Iterator, Mapping, Sequence

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.formats import FORMATS, Pair, fitting, read
from evolcoder.seeds.sources import rows_of
from evolcoder.train.examples import Lesson


def lessons_of(paths: Sequence[str]) -> Iterator[Lesson]:
    """Read files, or Hub data sets, one after another; a row that no format fits has no task."""
    for path in paths:
        for raw in rows_of(SeedsConfig(path=path)):
            pair = pair_of(raw.value)
            yield Lesson(pair.instruction, pair.answer, f"{path} {raw.place}")


def pair_of(row: object) -> Pair:
    """Take task and answer out of a row, whichever format it is in."""
    if isinstance(row, Mapping) and "prompt" in row and "completion" in row:
        return _prompt_and_completion(row["prompt"], row["completion"])
    fits = fitting(row)
    return next((read(row, name) for name in FORMATS if name in fits), Pair("", ""))


def _prompt_and_completion(prompt: object, completion: object) -> Pair:
    """Read TRL's rows: two texts, or two lists of turns."""
    if isinstance(prompt, list) and isinstance(completion, list):
        return read({"messages": [*prompt, *completion]}, "messages")
    return read({"instruction": prompt, "output": completion}, "output")
