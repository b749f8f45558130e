"""Reads training data: every seed format, and TRL's prompt/completion rows."""

from collections.abc import Iterator, Mapping, Sequence

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.formats import FORMATS, SeedPair, fitting, read
from evolcoder.seeds.sources import rows_of
from evolcoder.training.examples import TrainingPair


def read_pairs(paths: Sequence[str]) -> Iterator[TrainingPair]:
    """Read files or Hub data sets in order; a row in no known format gives an empty task."""
    for path in paths:
        for raw in rows_of(SeedsConfig(path=path)):
            pair = pair_of(raw.value)
            yield TrainingPair(pair.instruction, pair.answer, f"{path} {raw.place}")


def pair_of(row: object) -> SeedPair:
    """Return the task and answer of a row in any format."""
    if isinstance(row, Mapping) and "prompt" in row and "completion" in row:
        return _prompt_and_completion(row["prompt"], row["completion"])
    fits = fitting(row)
    return next((read(row, name) for name in FORMATS if name in fits), SeedPair("", ""))


def _prompt_and_completion(prompt: object, completion: object) -> SeedPair:
    """Read TRL's rows: two texts, or two lists of turns."""
    if isinstance(prompt, list) and isinstance(completion, list):
        return read({"messages": [*prompt, *completion]}, "messages")
    return read({"instruction": prompt, "output": completion}, "output")
