"""All benchmarks by name, and the guarantees of every one."""

import pytest

from evolcoder.bench.base import ExtractedProgram, PromptForm, Sample
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import BENCHES, bench_named
from evolcoder.errors import BenchError

SOME = [
    "humaneval",
    "humaneval+",
    "mbpp",
    "mbpp+",
    "mbpp-dev",
    "ds1000",
    "ds1000-insertion",
    "humaneval-java",
    "mbpp-go",
    "humanevalfix-py",
    "humanevalfixdocs-rs",
    "humanevalsynthesize-go",
    "humanevalsynthesize-java",
    "humanevalexplain-cpp",
    "humanevalexplain-js",
    "bigcodebench-complete",
    "bigcodebench-instruct",
]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("human-eval", "did you mean humaneval?"),
        ("HumanEval+", "did you mean humaneval+?"),
        ("humaneval-rust", "did you mean humaneval-rs?"),
        ("ds-1000", "did you mean ds1000?"),
        ("x", "known are humaneval, "),
    ],
)
def test_an_unknown_bench_suggests_the_nearest(tmp_path, name, nearest):
    """The error is one line with the name that was probably meant."""
    with pytest.raises(
        BenchError,
        match=f"unknown benchmark {name}; {nearest}".replace("+", r"\+").replace("?", r"\?"),
    ):
        bench_named(name, DataFolder(None, tmp_path))


@pytest.fixture(scope="module", params=SOME)
def bench(request, named):
    return named(request.param)


def test_a_bench_has_its_name_and_distinct_problems(bench):
    """The name is that of the command line; ids are unique; a stub is never the reference."""
    assert BENCHES.keys() >= {bench.name}
    problems = bench.problems()
    assert len({problem.id for problem in problems}) == len(problems)
    assert all(problem.stub != problem.reference for problem in problems)


def test_a_reference_is_its_own_candidate(bench):
    """A complete program from a file is graded as it is; BigCodeBench's own stub comes first."""
    is_after_stub = bench.name.startswith("bigcodebench")
    for problem in bench.problems():
        text = problem.reference or problem.stub
        candidate = bench.candidate(problem, Sample.of(problem.id, 3, text, PromptForm.PROGRAM))
        before = candidate.program.removesuffix(text)
        assert candidate.program == before + text
        assert bool(before) == is_after_stub
        assert (candidate.index, candidate.problem) == (3, problem.id)
        assert candidate.found is ExtractedProgram.WHOLE


def test_a_reference_is_found_in_a_chat_answer(bench):
    """In a fence of its language, the reference is found, and not as odd."""
    for problem in bench.problems():
        if problem.reference is None:
            continue
        language = bench.prompt(problem).language
        answer = f"Here it is.\n\n```{language}\n{problem.reference}\n```\nDone."
        candidate = bench.candidate(problem, Sample.of(problem.id, 0, answer, PromptForm.ANSWER))
        assert candidate.found is ExtractedProgram.FENCE, problem.id


@pytest.mark.parametrize("form", PromptForm)
def test_any_text_makes_a_candidate(bench, form):
    """No sample makes a benchmark raise, and the result is deterministic."""
    problem = bench.problems()[0]
    for text in ("", "\n", "```", "<think>", "}", "é" * 3, "a\r\nb"):
        sample = Sample.of(problem.id, 0, text, form)
        assert bench.candidate(problem, sample) == bench.candidate(problem, sample), text


@pytest.mark.parametrize("form", PromptForm)
def test_a_sample_with_a_fault_has_no_program(bench, form):
    """A sample that cannot be run becomes a candidate without a program."""
    problem = bench.problems()[0]
    candidate = bench.candidate(problem, Sample.of(problem.id, 0, "a\x00", form))
    assert (candidate.program, candidate.fault) == ("", "contains a NUL byte")
