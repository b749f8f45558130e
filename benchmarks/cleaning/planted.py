"""Training rows that leak a benchmark's problems, of six kinds, among rows that do not.

The same seed gives the same rows in the same order. A planted row's id does not identify it; its
kind and problem are stored separately. Clean rows are real rows of Code Alpaca, unchanged and in
recombinations that keep task and answer together (other names, another opening), so that no new
leak is made; existing ones are listed in `data/natural.json`.

    rows = corpus(shelf, n_planted=1000, n_clean=20000, seed=0)
"""

import ast
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cleaning.rewrites import renamed, reordered
from evolcoder.bench.base import Problem
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.function_bench import entry_points
from evolcoder.bench.registry import bench_named
from evolcoder.code.python_ast import tree_of
from evolcoder.ids import content_id, rng_for

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2].parent / "shared/data"
BENCHES = ("humaneval", "mbpp")
KINDS = ("verbatim", "renamed", "reordered", "paraphrased", "translated", "algorithm")
OPENINGS = (
    "{n}. ",
    "Here is what I need. ",
    "Please help me with this one. ",
    "Exercise {n}: ",
    "Ticket {n}. ",
    "Question {n} of today's list: ",
    "For a course that I prepare: ",
    "We are cleaning up a code base. ",
    "Answer as briefly as you can. ",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A training row, and what is known of it."""

    id: str
    """Content hash; says nothing of its kind."""
    task: str
    """The instruction."""
    answer: str
    """What was answered."""
    kind: str
    """One of `KINDS`; `clean` for what was not planted."""
    problem: str
    """Id of the problem that was planted; empty for clean rows."""
    source: str
    """Id of the Code Alpaca row that a clean row was made of; empty for planted ones."""


def corpus(shelf: DataFolder, *, n_planted: int, n_clean: int, seed: int) -> list[Row]:
    """Mix planted and clean rows."""
    rng = rng_for(seed, "corpus")
    rows = [*planted(shelf, n_planted, seed), *clean(shelf, n_clean, seed)]
    rng.shuffle(rows)
    return rows


def planted(shelf: DataFolder, count: int, seed: int) -> list[Row]:
    """Draw leaks, as many of each kind as there are, by turns, until there are enough."""
    rng = rng_for(seed, "planted")
    problems = [problem for name in BENCHES for problem in bench_named(name, shelf).problems()]
    pools = {kind: list(made(shelf, problems)) for kind, made in _MAKERS.items()}
    for pool in pools.values():
        rng.shuffle(pool)
    rows: list[Row] = []
    while len(rows) < count and any(pools.values()):
        for kind, pool in pools.items():
            if pool and len(rows) < count:
                problem, task, answer = pool.pop()
                rows.append(_row(task, answer, kind, problem))
    return rows


def clean(shelf: DataFolder, count: int, seed: int) -> list[Row]:
    """Take real rows, and make more of them by saying them differently until there are enough."""
    rng = rng_for(seed, "clean")
    real = alpaca(shelf)
    rows = {}
    turn = 0
    while len(rows) < count:
        order = list(real)
        rng.shuffle(order)
        for task, answer in order:
            said = (task, answer) if turn == 0 else varied(task, answer, rng)
            row = _row(*said, "clean", "", content_id("alpaca", [task, answer]))
            rows.setdefault(row.id, row)
        turn += 1
    return list(rows.values())[:count]


def alpaca(shelf: DataFolder) -> list[tuple[str, str]]:
    """Read both files of Code Alpaca as tasks and answers, each once."""
    assert shelf.data_dir is not None, "Code Alpaca is read from a folder of data"
    found = {}
    for name in ("code_alpaca_2k", "new_codealpaca"):
        packed = (shelf.data_dir / "codealpaca" / f"{name}.json.gz").read_bytes()
        for row in json.loads(gzip.decompress(packed)):
            task = "\n".join(filter(None, (row["instruction"], row.get("input"))))
            found[task, row.get("response") or row["output"]] = None
    return list(found)


def varied(task: str, answer: str, rng: Random) -> tuple[str, str]:
    """Say a row differently: another opening, and other names where its answer is Python."""
    opening = rng.choice(OPENINGS).format(n=rng.randrange(10**6))
    tree = tree_of(answer)
    if tree is None:
        return f"{opening}{task}", f"{answer}\n"
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names = {name: f"{name}_{rng.randrange(1000)}" for name in sorted(bound)}
    kept = {name: name for name in _all_names(tree) - bound}
    return f"{opening}{task}", renamed(answer, {**kept, **names})


def _all_names(tree: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    return (
        names
        | keywords
        | {node.name for node in ast.walk(tree) if hasattr(node, "name") and node.name}
    )


@cache
def fixture(name: str) -> tuple[Mapping[str, Any], ...]:
    """Read the rows of a fixture, whose first line tells where it comes from."""
    text = gzip.decompress((DATA / f"{name}.jsonl.gz").read_bytes()).decode()
    return tuple(map(json.loads, text.splitlines()[1:]))


Leak = tuple[str, str, str]
"""Id of the problem, task, answer."""


def _verbatim(_shelf: DataFolder, problems: Sequence[Problem]) -> Iterator[Leak]:
    for problem in problems:
        yield problem.id, f"Complete this:\n{problem.prompt}", _fenced(problem.reference or "")


def _renamed(_shelf: DataFolder, problems: Sequence[Problem]) -> Iterator[Leak]:
    for problem in problems:
        yield problem.id, _told(problem), _fenced(renamed(problem.reference or ""))


def _reordered(_shelf: DataFolder, problems: Sequence[Problem]) -> Iterator[Leak]:
    for problem in problems:
        program = reordered(problem.reference or "")
        if program:
            yield problem.id, _told(problem), _fenced(program)


def _paraphrased(_shelf: DataFolder, problems: Sequence[Problem]) -> Iterator[Leak]:
    """Ask in other words, and answer with another algorithm or else with other names."""
    by_id = {problem.id: problem for problem in problems}
    others = {row["id"]: row["program"] for row in fixture("algorithms")}
    for row in fixture("paraphrases"):
        problem = by_id[row["id"]]
        program = others.get(problem.id, problem.reference or "")
        names = {entry_points(problem)[0]: row["name"]}
        yield problem.id, row["text"], _fenced(renamed(program, names))


def _translated(shelf: DataFolder, problems: Sequence[Problem]) -> Iterator[Leak]:
    """Ask for JavaScript, with the answer that MultiPL-E's files carry."""
    numbers = {problem.id.split("/")[1]: problem for problem in problems}
    assert shelf.data_dir is not None
    for name, prefix in (("humaneval", "HumanEval"), ("mbpp", "Mbpp")):
        packed = (shelf.data_dir / "multipl-e" / f"{name}-js.jsonl.gz").read_bytes()
        for row in map(json.loads, gzip.decompress(packed).decode().splitlines()):
            id = f"{prefix}/{row['name'].split('_')[1]}"
            if id.split("/")[1] in numbers and row["gpt_solution"]:
                lines = row["prompt"].split("\n")
                told = "\n".join(line.lstrip("/ ") for line in lines if line.startswith("//"))
                yield id, f"Write a JavaScript function. {told}", row["gpt_solution"]


def _algorithm(_shelf: DataFolder, problems: Sequence[Problem]) -> Iterator[Leak]:
    """Solve a problem in another way, under another name, and say nothing of it in the task."""
    by_id = {problem.id: problem for problem in problems}
    for row in fixture("algorithms"):
        names = {entry_points(by_id[row["id"]])[0]: "solution"}
        yield (
            row["id"],
            "Write the function that we spoke of.",
            _fenced(renamed(row["program"], names)),
        )


_MAKERS: dict[str, Callable[[DataFolder, Sequence[Problem]], Iterator[Leak]]] = {
    "verbatim": _verbatim,
    "renamed": _renamed,
    "reordered": _reordered,
    "paraphrased": _paraphrased,
    "translated": _translated,
    "algorithm": _algorithm,
}


def _told(problem: Problem) -> str:
    """Say the problem as its data set does, without the test."""
    prompt = problem.prompt
    if problem.id.startswith("Mbpp"):
        return prompt.strip('" \n').split("\nassert")[0]
    tree = ast.parse(f"{prompt}    pass\n")
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return ast.get_docstring(functions[-1]) or prompt


def _fenced(code: str) -> str:
    return f"```python\n{code.strip()}\n```"


def _row(task: str, answer: str, kind: str, problem: str, source: str = "") -> Row:
    return Row(content_id("row", [task, answer]), task, answer, kind, problem, source)
