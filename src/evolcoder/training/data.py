"""Rows of data files as lessons: every format of seeds, and TRL's prompt and completion."""

from collections.abc import Iterator, Mapping, Sequence

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.formats import FORMATS, SeedPair, fitting, read
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
    if isinstance(row, Mapping) and "prompt" in row and "completion" in row:
        return _prompt_and_completion(row["prompt"], row["completion"])
    fits = fitting(row)
    return next((read(row, name) for name in FORMATS if name in fits), SeedPair("", ""))


def _prompt_and_completion(prompt: object, completion: object) -> SeedPair:
    """Read TRL's rows: two texts, or two lists of turns."""
    if isinstance(prompt, list) and isinstance(completion, list):
        return read({"messages": [*prompt, *completion]}, "messages")
    return read({"instruction": prompt, "output": completion}, "output")
