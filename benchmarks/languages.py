"""Measures the cost of grading a program in other languages, sealed and by calls.

    python benchmarks/languages.py                      five passes of each available language
    python benchmarks/languages.py --only cpp,php --passes 20

Each language's own solution of one problem of HumanEval is graded in both ways in turn, by one
worker, so that a machine that slows down slows both. The last column of the Markdown table is the
serialisation of the expected values, which happens once per problem.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from evolcoder.bench.base import Problem, ProgramChecks
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.multipl_e import CONTROLLED, LANGUAGES, multipl_e
from evolcoder.errors import EvolcoderError
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.grading.problem_checks import GENEROUS, PROGRAM
from evolcoder.grading.sealed import ProgramTest, expected_lines, grade_program, split_test
from evolcoder.sandbox.base import Sandbox
from evolcoder.sandbox.pool import PoolSandbox
from evolcoder.sandbox.toolchains import find
from harness.script import add_only
from harness.table import markdown

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CODES = {language: code for code, language in LANGUAGES.items()}


def main() -> None:
    args = _arguments()
    rows = asyncio.run(_measured(args))
    head = ["language", "sealed, s", "of it compiling", "by calls, s", "of it compiling", "ratio"]
    print(f"{args.passes} passes, medians\n")
    print(markdown([*head, "processor ms", "once for a problem, s"], rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add_only(parser, HARNESSES, "LANGUAGE")
    add("--passes", type=int, default=5, help="how often each program is graded in each way")
    add("--data-dir", type=Path, default=DATA, help="where multipl-e/ lies")
    return parser.parse_args()


async def _measured(args: argparse.Namespace) -> list[list[str]]:
    rows = []
    for language in args.only:
        try:
            find(language)
            problem = _problem(language, args.data_dir)
            sandbox = await PoolSandbox.start(workers=1, languages=[language])
        except EvolcoderError as error:
            print(error, file=sys.stderr)
            continue
        try:
            rows.append([language, *await _row(sandbox, problem, args.passes)])
        finally:
            await sandbox.aclose()
    return rows


def _problem(language: str, data_dir: Path) -> Problem:
    """Return the problem that has a solution in every language."""
    with tempfile.TemporaryDirectory() as cache:
        bench = multipl_e(f"humaneval-{CODES[language]}")(DataFolder(data_dir, Path(cache)))
    return next(problem for problem in bench.problems() if problem.id == CONTROLLED)


async def _row(sandbox: Sandbox, problem: Problem, passes: int) -> Sequence[str]:
    checks, program = problem.checks, problem.reference
    assert isinstance(checks, ProgramChecks)
    assert program is not None
    split = split_test(checks.language, checks.tests)
    assert split is not None
    begun = time.perf_counter()
    lines = await expected_lines(sandbox, checks.language, problem.prompt, split, GENEROUS)
    once = time.perf_counter() - begun
    sealed = ProgramTest(checks.language, checks.tests)
    called = ProgramTest.of(checks.language, checks.tests, lines)
    seconds: dict[ProgramTest, list[float]] = {sealed: [], called: []}
    compiling: dict[ProgramTest, list[float]] = {sealed: [], called: []}
    cpu_ms: dict[ProgramTest, list[float]] = {sealed: [], called: []}
    for _ in range(passes):
        for test, taken in seconds.items():
            begun = time.perf_counter()
            verdict = await grade_program(sandbox, program, test, PROGRAM)
            taken.append(time.perf_counter() - begun)
            compiling[test].append(verdict.execution.compile_s)
            cpu_ms[test].append(1000 * verdict.execution.cpu_s)
            assert verdict.passed, verdict
    both = [(median(seconds[test]), median(compiling[test])) for test in (sealed, called)]
    return [
        *(f"{value:.3f}" for pair in both for value in pair),
        f"{both[1][0] / both[0][0]:.2f}",
        " and ".join(f"{median(cpu_ms[test]):.0f}" for test in (sealed, called)),
        f"{once:.2f}",
    ]


if __name__ == "__main__":
    main()
