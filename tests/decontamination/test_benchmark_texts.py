"""Benchmarks as plain texts."""

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.decontamination.benchmark_texts import benchmark_texts


@pytest.mark.parametrize("name", ["humaneval", "humaneval+", "mbpp", "mbpp+", "ds1000"])
def test_every_problem_of_a_python_benchmark_becomes_an_item(name, shared, tmp_path):
    """Each problem gives one item with a prompt, a solution and tests."""
    problems = bench_named(name, DataFolder(shared, tmp_path)).problems()
    items = benchmark_texts(name, problems)
    assert [item.id for item in items] == [problem.id for problem in problems]
    assert all(item.prompt and item.solution and item.tests for item in items)
    assert {item.language for item in items} == {"python"}


def test_another_language_has_no_solution_and_keeps_its_name(shared, tmp_path):
    """MultiPL-E brings prompts and tests in its own language."""
    items = benchmark_texts(
        "humaneval-rs", bench_named("humaneval-rs", DataFolder(shared, tmp_path)).problems()
    )
    assert {item.language for item in items} == {"rust"}
    assert all(item.prompt and item.tests and item.entry_points for item in items)
