"""The programs for every grader: published outputs, copied a number of times.

The data is that of the tests: HumanEval's problems, HumanEval+'s, and WizardCoder-15B's outputs.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROBLEMS = "humaneval/HumanEval.jsonl.gz"
PLUS = "humaneval/HumanEvalPlus.jsonl.gz"
SAMPLES = "samples/wizardcoder-15b-humaneval-greedy.jsonl.gz"
FEW = 1
"""Plus tests of a problem in the small data file."""


@dataclass(frozen=True, slots=True)
class Files:
    """What graders read."""

    data: Path
    """The data as it was published."""
    folder: Path
    """Where all else lies."""
    problems: Path
    """HumanEval's problems, a line of JSON each."""
    plus: Path
    """HumanEval+'s problems."""
    few: Path
    """The same with few of their plus tests, for graders that slow down with those they skip."""

    def samples(self, copies: int) -> Path:
        """Return the file that holds so many copies of each sample."""
        return self.folder / f"samples-{copies}.jsonl"


def write(data: Path, folder: Path, copies: set[int]) -> Files:
    """Unpack the data into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Files(
        data, folder, *(folder / name for name in ("problems.jsonl", "plus.jsonl", "few.jsonl"))
    )
    _dump(found.problems, _lines(data / PROBLEMS))
    plus = _lines(data / PLUS)
    _dump(found.plus, plus)
    _dump(found.few, [{**row, "plus_input": row["plus_input"][:FEW]} for row in plus])
    samples = _lines(data / SAMPLES)
    for count in copies:
        _dump(found.samples(count), samples * count)
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _dump(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
