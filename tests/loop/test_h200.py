"""The README's table is what the stored samples come to when they are graded again."""

from pathlib import Path

import pytest

from evolcoder.cli.regrade import regraded
from evolcoder.loop import results
from evolcoder.loop.settings import LoopConfig
from evolcoder.loop.tables import markdown

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "h200"
BEGIN, END = "<!-- results/h200: begin -->\n", "<!-- results/h200: end -->"
WHOLE = ("humaneval+", "mbpp+")
"""Benchmarks that are graded again whole; of the others, which are compiled, some problems."""
LONG = frozenset({"Mbpp/392", "Mbpp/599"})
"""Their references take many seconds, and some students' programs nearly all of the time that this
allows: whether those pass depends on what else the machine does, so their verdicts stand as they are."""
SOME = 6


@pytest.fixture
def facts():
    if not (RESULTS / results.FACTS).exists():
        pytest.skip("no results/h200 yet: the experiment on the GPU has not been run")
    return results.facts(RESULTS)


@pytest.fixture
def config(facts, shared):
    plain = facts["config"]
    return LoopConfig.model_validate({**plain, "ask": {**plain["ask"], "data_dir": str(shared)}})


@pytest.mark.slow
def test_the_readme_has_the_table_of_samples_graded_again(facts, config):
    """No number of it is typed: the verdicts on HumanEval+ and MBPP+ are reached anew."""
    kept = {}
    for bench in facts["config"]["tests"]:
        stored = list(results.samples(RESULTS, bench))
        anew = {one.problem for one in stored if bench in WHOLE} - LONG
        kept[bench] = [one for one in stored if one.problem not in anew]
        kept[bench] += regraded(RESULTS, bench, config, only=frozenset(anew))
    table = markdown(results.tables_of(RESULTS, kept)[:1])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.partition(BEGIN)[2].partition(END)[0] == table


@pytest.mark.slow
def test_verdicts_in_other_languages_hold(facts, config):
    """Some problems of every compiled benchmark are graded again, with all their samples."""
    for bench in set(facts["config"]["tests"]) - set(WHOLE):
        stored = list(results.samples(RESULTS, bench))
        problems = sorted({one.problem for one in stored})
        only = frozenset(problems[:: max(1, len(problems) // SOME)])
        fresh = regraded(RESULTS, bench, config, only=only)
        assert fresh == [one for one in stored if one.problem in only]


def test_what_is_stored_is_small_and_its_tables_are_its_own(facts):
    """Under 10 MB, and tables.md is what the stored verdicts come to."""
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 10_000_000
    assert (RESULTS / "tables.md").read_text() == markdown(results.tables_of(RESULTS))
