"""BigCodeBench (2024): 1,140 Python tasks that use libraries, tested by unittest.

`bigcodebench-complete` shows a function with its description, `bigcodebench-instruct` the task in
words. `bigcodebench-hard-…` are the problems of the hard subset, whose ids are read from its file
in the user's data folder. A program is the problem's imports and signature followed by the answer,
as published. Scores are reported per library.

The official file is that of the annotation repository (v0.1.0, June 2024). A folder of the user's
may hold the Hub's `BigCodeBench-v0.1.4.jsonl` instead, whose digest is not pinned; it is used if it
has the fields of the official file.

    bigcodebench("bigcodebench-instruct")(DataFolder(data_dir=None, cache=folder)).problems()
"""

import re
from collections.abc import Callable
from pathlib import Path

from evolcoder.bench.base import Problem, PromptSettings, UnittestChecks
from evolcoder.bench.fetch import DataFile, DataFolder, Row, has_file, rows
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.bench.humaneval import STOPS
from evolcoder.code.python_ast import literal_of
from evolcoder.errors import BenchError

BIG_CODE_BENCH = DataFile(
    "bigcodebench/BigCodeBench.jsonl.gz",
    "https://github.com/bigcode-project/bigcodebench-annotation/raw/"
    "a3b89850db670d7302571142b881e4f85eef18e3/hf_data/BigCodeBench.jsonl.gz",
    "33baf4f414eb34507f1a8fd55ef9bcd79c1f9b4c3e8e2544f023edac1b20afec",
    (),
)
NEWER = DataFile(
    "bigcodebench/BigCodeBench-v0.1.4.jsonl.gz",
    "the Hub's data set bigcode/bigcodebench, split v0.1.4",
    "",
    (),
)
"""Rows of the Hub's newest version; without a pinned digest."""
HARD = DataFile(
    "bigcodebench/BigCodeBench-Hard.jsonl.gz",
    "the Hub's data set bigcode/bigcodebench-hard, of which task_id is used",
    "",
    (),
)
"""Rows of the hard subset; only the ids are used."""
NAMES = (
    "bigcodebench-complete",
    "bigcodebench-instruct",
    "bigcodebench-hard-complete",
    "bigcodebench-hard-instruct",
)
FIELDS = (
    "task_id", "complete_prompt", "instruct_prompt", "canonical_solution", "code_prompt", "test",
    "entry_point", "libs",
)  # fmt: skip
"""Fields of a row that are used."""
_START = "You should write self-contained code starting with:"
"""The words between an instruction and the code that it starts with."""
_EXAMPLE = re.compile(r">>>[^\n]*")
"""Examples, which are written on one line with the text before them."""


def bigcodebench(name: str) -> Callable[[DataFolder], FunctionBench]:
    """Return a function that reads a benchmark such as `bigcodebench-instruct`."""

    def read(folder: DataFolder) -> FunctionBench:
        is_newer = folder.data_dir is not None and has_file(NEWER, folder.data_dir)
        file = NEWER if is_newer else BIG_CODE_BENCH
        found = _valid(rows(file, folder), file)
        if "-hard-" in name:
            hard = {row.get("task_id") for row in rows(HARD, folder)}
            found = [row for row in found if row["task_id"] in hard]
            if not found:
                raise BenchError(f"{HARD.name}: none of its ids is in {file.name}")
        shows_code = name.endswith("-complete")
        prompts = {row["task_id"]: _prompt(row, shows_code=shows_code) for row in found}
        items = tuple(_problem(row, shows_code=shows_code) for row in found)
        return FunctionBench(name, items, lambda problem: prompts[problem.id])

    return read


def _valid(found: list[Row], file: DataFile) -> list[Row]:
    """Return rows that have all fields, or raise BenchError."""
    for number, row in enumerate(found, 1):
        lacking = [name for name in FIELDS if not isinstance(row.get(name), str)]
        if lacking:
            raise BenchError(f"{Path(file.name).name}: row {number} has no text {lacking[0]}")
    return found


def _problem(row: Row, *, shows_code: bool) -> Problem:
    libraries = _libraries(row["libs"])
    start = row["complete_prompt"] if shows_code else f"{row['code_prompt'].rstrip()}\n"
    return Problem(
        id=row["task_id"],
        prompt=start,
        checks=UnittestChecks(row["test"], row["entry_point"], libraries),
        reference=row["code_prompt"] + row["canonical_solution"],
        stub=f"{row['code_prompt'].rstrip()}\n    raise NotImplementedError\n",
        groups=tuple(("library", name) for name in libraries),
        wording="" if shows_code else _wording(row["instruct_prompt"]),
    )


def _wording(instruction: str) -> str:
    """Return an instruction without the code that it starts with and without examples."""
    return _EXAMPLE.sub("", instruction.partition(_START)[0]).strip()


def _libraries(text: str) -> tuple[str, ...]:
    """Parse the list of a task's top-level modules."""
    try:
        found = literal_of(text)
    except ValueError:
        return ()
    return tuple(dict.fromkeys(map(str, found))) if isinstance(found, list | tuple) else ()


def _prompt(row: Row, *, shows_code: bool) -> PromptSettings:
    name = row["entry_point"]
    if shows_code:
        task = (
            f"Complete the Python function `{name}`. Answer with the whole function, and with the "
            f"imports that it needs, in one fenced block.\n\n"
            f"```python\n{row['complete_prompt'].strip()}\n```"
        )
        return PromptSettings(task, row["complete_prompt"], "python", STOPS)
    task = (
        f"Write the Python function `{name}` for the task below. Answer with self-contained code "
        f"in one fenced block.\n\n{row['instruct_prompt'].strip()}"
    )
    code = f"{row['instruct_prompt'].strip()}\n\n{row['code_prompt'].rstrip()}\n"
    return PromptSettings(task, code, "python", STOPS)
