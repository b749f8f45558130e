"""Makes the two fixtures of planted leaks from model outputs; run once, stored in data/.

    .venv/bin/python -m cleaning.fixtures algorithms SAMPLES.jsonl... --origin "MODEL, DATE"
    .venv/bin/python -m cleaning.fixtures paraphrases OUT.jsonl --origin "MODEL, DATE"

An algorithm is kept if it passes its benchmark's test in the sandbox and its syntax differs from
the reference under any names. A paraphrase is kept if it asks for a function, contains no code and
does not repeat its problem's own sentences. The number of rejected ones is printed by reason.
"""

import argparse
import ast
import asyncio
import gzip
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from cleaning.planted import DATA, SHARED
from cleaning.rewrites import differ
from evolcoder.bench.base import Problem, PromptForm, Sample
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.bench.registry import bench_named
from evolcoder.grading.problem_checks import ProblemTest, ReferenceMeasurement
from evolcoder.sandbox.pool import PoolSandbox
from evolcoder.text import words

LEAST_UNLIKE = 0.25
"""Part of its syntax in which an algorithm must differ from the reference."""
LEAST_WORDS = 14
"""Words of a paraphrase: with fewer it only names the function."""
MOST_SHARED = 12
"""Words in a row that a paraphrase may share with its problem."""
_NAME = re.compile(r"`([A-Za-z_]\w*)(?:\([^`]*\))?`")


def main() -> None:
    """Make one fixture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("algorithms", "paraphrases"))
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--origin", required=True, help="who wrote it, when, on what prompt")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shelf = DataFolder(SHARED, Path(folder))
        benches = [bench_named(name, shelf) for name in ("humaneval", "mbpp")]
    if given.kind == "algorithms":
        rows, gone = asyncio.run(_algorithms(benches, given.files))
    else:
        rows, gone = _paraphrases(benches, given.files)
    head = {"origin": given.origin, "kept": len(rows), "gone": dict(gone)}
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in [head, *rows])
    path = DATA / f"{given.kind}.jsonl.gz"
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))
    print(f"{path}: {len(rows)} rows; left out: {dict(gone)}")


async def _algorithms(
    benches: Iterable[FunctionBench], files: Iterable[Path]
) -> tuple[list[Mapping[str, str]], Counter[str]]:
    rows, gone = [], Counter[str]()
    sandbox = await PoolSandbox.start()
    for bench in benches:
        problems = {problem.id: problem for problem in bench.problems()}
        samples = [s for file in files for s in _samples(file, bench)]
        for sample in samples:
            problem = problems[sample.problem]
            why = await _unfit(problem, bench.candidate(problem, sample).program, sandbox)
            gone[why] += 1
            if not why:
                program = bench.candidate(problem, sample).program
                rows.append({"id": problem.id, "program": _last_only(program)})
    await sandbox.aclose()
    gone.pop("", None)
    return rows, gone


def _samples(file: Path, bench: FunctionBench) -> Iterable[Sample]:
    known = {problem.id for problem in bench.problems()}
    found = (json.loads(line) for line in file.read_text().splitlines())
    for row in found:
        if row["task_id"] in known:
            yield Sample.of(row["task_id"], 0, row["solution"], PromptForm.PROGRAM)


def _last_only(program: str) -> str:
    """Leave out the prompt's words and stub, and what else is defined anew further down."""
    tree = ast.parse(program)
    last = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]
    tree.body = [node for node in tree.body if last.get(getattr(node, "name", ""), node) is node]
    return ast.unparse(tree)


async def _unfit(problem: Problem, program: str, sandbox: PoolSandbox) -> str:
    """Say why a program is no other algorithm; empty if it is one."""
    try:
        if differ(_last_only(program), problem.reference or "") < LEAST_UNLIKE:
            return "like the reference"
    except (SyntaxError, ValueError):
        return "no Python"
    verdict = await ProblemTest.of(problem, ReferenceMeasurement()).grade(sandbox, program)
    return "" if verdict.passed else "does not pass"


def _paraphrases(
    benches: Iterable[FunctionBench], files: Iterable[Path]
) -> tuple[list[Mapping[str, str]], Counter[str]]:
    problems = {problem.id: problem for bench in benches for problem in bench.problems()}
    rows, gone = [], Counter[str]()
    for row in (json.loads(line) for file in files for line in file.read_text().splitlines()):
        text = row["text"].strip().removeprefix("Exercise:").strip()
        why = _unusable(text, problems[row["id"]])
        gone[why] += 1
        if not why:
            rows.append({"id": row["id"], "text": text, "name": _NAME.findall(text)[0]})
    gone.pop("", None)
    return rows, gone


def _unusable(text: str, problem: Problem) -> str:
    """Say why a paraphrase is none; empty if it is one."""
    if not _NAME.search(text[:200]):
        return "names no function"
    if "```" in text or "def " in text or ("return " in text and "\n    " in text):
        return "holds code"
    if "assert " in text or ">>>" in text:
        return "holds a test"
    if len(words(text)) < LEAST_WORDS:
        return "too short"
    if _longest_run(words(text), words(problem.prompt)) > MOST_SHARED:
        return "the problem's own words"
    return ""


def _longest_run(mine: list[str], theirs: list[str]) -> int:
    """Count the words of the longest run that two texts share."""
    best, row = 0, [0] * (len(theirs) + 1)
    for word in mine:
        row = [0, *(row[n] + 1 if word == other else 0 for n, other in enumerate(theirs))]
        best = max(best, *row)
    return best


if __name__ == "__main__":
    main()
