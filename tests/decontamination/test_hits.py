"""Which hits drop rows.

Benchmarks as plain texts.
"""

import random
from dataclasses import replace

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.decontamination.hits import (
    Detector,
    DropRule,
    Hit,
    RowField,
    SpanMark,
    TextSpan,
    benchmark_texts,
    confirmed,
    dropped,
    sort_hits,
)


def hit(row, detector, item="HumanEval/0", mark=SpanMark.CONCLUSIVE):
    return Hit(row, "humaneval", item, detector, RowField.TASK, TextSpan.PROMPT, "seen", 1.0, mark)


HITS = [
    hit(f"row-{i}", detector, f"HumanEval/{i % 3}")
    for i, detector in enumerate([*Detector, *Detector])
]


def test_each_detector_can_drop_alone_or_any_of_them():
    """`--drop NAME` drops the rows with a hit of that detector, `any` all, `none` no row."""
    assert dropped(HITS, DropRule.ANY) == {f"row-{i}" for i in range(10)}
    assert dropped(HITS, DropRule.JUDGE) == {"row-3", "row-8"}
    assert dropped(HITS, DropRule.JUDGE, DropRule.EXECUTION) == {"row-3", "row-4", "row-8", "row-9"}
    assert dropped(HITS, DropRule.NONE) == frozenset()


def test_inconclusive_passes_drop_rows_only_under_execution_any():
    """Weak and plain passes count only under `execution-any`."""
    marked = [hit(mark.value, Detector.EXECUTION, mark=mark) for mark in SpanMark]
    assert dropped(marked, DropRule.EXECUTION) == dropped(marked, DropRule.ANY) == {"tells"}
    assert dropped(marked, DropRule.EXECUTION_ANY) == {"tells", "weak", "plain"}
    assert dropped([hit("row", Detector.JUDGE)], DropRule.EXECUTION_ANY) == frozenset()


def test_a_weak_pass_does_not_spare_a_row_that_another_hit_tells_of():
    """An inconclusive hit does not outweigh a conclusive one."""
    hits = [hit("row", Detector.EXECUTION, mark=SpanMark.WEAK), hit("row", Detector.NGRAMS)]
    assert dropped(hits, DropRule.ANY) == {"row"}
    assert dropped(hits, DropRule.EXECUTION) == frozenset()


@pytest.mark.parametrize("mark", [SpanMark.WEAK, SpanMark.PLAIN])
def test_a_weak_pass_whose_text_is_found_too_is_evidence(mark):
    """Only where the text is of the same problem, in whichever of its benchmarks."""
    weak = hit("row", Detector.EXECUTION, mark=mark)
    elsewhere = [hit("other", Detector.NGRAMS), hit("row", Detector.SUBSTRING, "HumanEval/1")]
    assert confirmed([weak, *elsewhere]) == [weak, *elsewhere]
    text = replace(hit("row", Detector.SUBSTRING), benchmark="humaneval+")
    found, other = confirmed([weak, text])
    assert (found.mark, other) == (SpanMark.CONCLUSIVE, text)
    assert dropped([found], DropRule.EXECUTION) == {"row"}
    assert found.seen == "seen; its text was found too"


def test_every_detector_has_a_drop_of_its_name():
    """Each detector has a drop rule of the same name."""
    assert {detector.value for detector in Detector} < {drop.value for drop in DropRule}


def test_the_order_of_hits_does_not_matter():
    """Shuffled and repeated hits are reported once in canonical order, and drop the same rows."""
    shuffled = HITS * 2
    random.Random(3).shuffle(shuffled)
    assert sort_hits(shuffled) == sort_hits(HITS)
    assert len(sort_hits(shuffled)) == len(HITS)
    assert dropped(shuffled, DropRule.NGRAMS) == dropped(HITS, DropRule.NGRAMS)


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
