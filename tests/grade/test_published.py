"""What others published comes out again, task by task."""

import ast
import asyncio
import gzip
import json
from pathlib import Path

import pytest

from driver import QUICK
from evolcoder.grade.asserts import AssertTest, grade_asserts

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def lines(name):
    path = DATA / name
    if not path.exists():
        pytest.skip("no shared data beside the checkout")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def checks_of(problem):
    """A problem's test, with the imports and helpers of its prompt in front."""
    body = ast.parse(f"{problem['prompt']}    pass\n").body
    helpers = [
        ast.unparse(part) for part in body if part.__dict__.get("name") != problem["entry_point"]
    ]
    source = "\n".join([*helpers, problem["test"]])
    return AssertTest.of((problem["entry_point"],), source, check="check")


def verdicts(sandbox, sources, problems):
    async def grade():
        found = [
            grade_asserts(sandbox.sandbox, source, checks_of(problem), QUICK)
            for source, problem in zip(sources, problems, strict=True)
        ]
        return await asyncio.gather(*found)

    return sandbox.runner.run(grade())


def test_references_pass_and_stubs_fail(sandbox):
    """All 164 reference solutions of HumanEval pass, and no stub does."""
    problems = lines("humaneval/HumanEval.jsonl.gz")
    right = [problem["prompt"] + problem["canonical_solution"] for problem in problems]
    stub = [problem["prompt"] + "    return None\n" for problem in problems]
    assert [v.passed for v in verdicts(sandbox, right, problems)] == [True] * 164
    assert [v.passed for v in verdicts(sandbox, stub, problems)] == [False] * 164


def test_wizardcoders_samples_pass_exactly_where_its_authors_say(sandbox):
    """98 of the 164 published outputs pass, task by task."""
    by_id = {problem["task_id"]: problem for problem in lines("humaneval/HumanEval.jsonl.gz")}
    samples = lines("samples/wizardcoder-15b-humaneval-greedy.jsonl.gz")
    problems = [by_id[sample["task_id"]] for sample in samples]
    found = verdicts(sandbox, [sample["completion"] for sample in samples], problems)
    assert [v.passed for v in found] == [sample["passed"] for sample in samples]
    assert sum(v.passed for v in found) == 98
