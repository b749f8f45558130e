"""A custom benchmark: a file of JSON lines with the fields of HumanEval.

Guarantees: a line that lacks a field, or repeats an id, is a BenchError that names it. The file is
read anew each time and never changed. Does not guarantee that the references pass; the self-check
of an evaluation finds that out.

>>> custom_bench(Path("parsing.jsonl")).name   # doctest: +SKIP
'parsing'
"""

import json
import re
from pathlib import Path

from evolcoder.bench.base import Problem
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.bench.humaneval import original_problem, prompt_of
from evolcoder.errors import BenchError
from evolcoder.input_files import read_text

SUFFIX = ".jsonl"
"""A benchmark's name with this suffix is the path of a file."""
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
"""Text fields of every line; others are ignored."""
_MAX_MB = 256
_NAME = re.compile(r"[\w+.-]{1,80}")


def is_custom(name: str) -> bool:
    """Whether a benchmark's name is the path of a file."""
    return name.endswith(SUFFIX)


def custom_bench(path: Path) -> FunctionBench:
    """Read a file of problems; the benchmark has the name of the file without its suffix.

    Raises BenchError for a file that cannot be read, and for a line that is no problem.
    """
    name = path.name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        raise BenchError(f"{path}: name the file with letters, digits and any of + . - _")
    problems: dict[str, Problem] = {}
    text = read_text(path, max_mb=_MAX_MB, error=BenchError)
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            problem = _problem(line, f"{path} line {number}")
            if problem.id in problems:
                raise BenchError(f"{path} line {number}: the id {problem.id} is there already")
            problems[problem.id] = problem
    if not problems:
        raise BenchError(f"{path}: no problem in it; each line is an object with {_fields()}")
    return FunctionBench(name, tuple(problems.values()), prompt_of)


def _problem(line: str, where: str) -> Problem:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{where}: not JSON: {error}") from error
    for field in FIELDS:
        if not isinstance(row, dict) or not isinstance(row.get(field), str):
            raise BenchError(f"{where}: no text in {field!r}; a problem has {_fields()}")
    if "def check(" not in row["test"]:
        raise BenchError(f"{where}: its test defines no function check(candidate)")
    return original_problem(row)


def _fields() -> str:
    return ", ".join(FIELDS)
