"""The README's tables are what the stored samples come to when they are graded again."""

from functools import cache
from pathlib import Path

import pytest

from driver import lacking
from evolcoder.app.regrade import regraded
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.cli.eval import parsed
from evolcoder.experiment import results
from evolcoder.experiment.config import LoopConfig
from evolcoder.experiment.tables import markdown

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "h200"
IN_README = (".", "gentle")
"""Folders whose first table is in the README: the experiment, and the same at a lower rate."""
LONG = frozenset({"Mbpp/392", "Mbpp/599"})
"""Their references take many seconds, and some students' programs nearly all of the time that this
allows: whether those pass depends on what else the machine does, so their verdicts stand as they are."""
SOME = 2
"""Problems of a benchmark that are graded again where not all are."""
BESIDE = (
    ("sampled", "humaneval+", "python"),
    ("sampled", "mbpp+", "python"),
    ("languages", "humaneval-js", "javascript"),
    ("languages", "humaneval-java", "java"),
    ("languages", "humaneval-cpp", "cpp"),
)
"""Folders in it, benchmark by benchmark: ten samples of each problem, and other languages."""
FOLDERS = (".", "gentle", "languages", "sampled")


@pytest.fixture
def stored(shared, measured_controls, monkeypatch):
    """Return the facts of a folder of results, and its config for this machine."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(measured_controls))

    def read(folder):
        facts = results.facts(folder)
        plain = facts["config"]
        ask = {**plain["ask"], "data_dir": str(shared)}
        return facts, LoopConfig.model_validate({**plain, "ask": ask})

    return read


@cache
def tables(name):
    """Return the tables of a folder of results by its stored verdicts; they take a while."""
    return results.tables_of(RESULTS / name)


def in_readme(name):
    """Return the table that the README has of a folder of results."""
    place = (RESULTS / name).relative_to(ROOT)
    begin, end = f"<!-- {place}: begin -->\n", f"<!-- {place}: end -->"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme.partition(begin)[2].partition(end)[0]


@pytest.mark.published
@pytest.mark.parametrize("name", IN_README)
def test_the_readme_has_the_table_of_samples_graded_again(stored, name):
    """No number of it is typed: the verdicts of its models are reached anew."""
    folder = RESULTS / name
    facts, config = stored(folder)
    arms = {line.arm for line in tables(name)[0].lines}
    models = frozenset(one.key for one in results.trainings(facts) if one.arm in arms)
    kept = {}
    for bench in facts["config"]["tests"]:
        before = list(results.samples(folder, bench))
        anew = frozenset(one.problem for one in before) - LONG
        kept[bench] = [o for o in before if o.problem not in anew or o.model not in models]
        kept[bench] += regraded(folder, bench, config, parsed, only=anew, models=models)
    assert in_readme(name) == markdown(results.tables_of(folder, kept)[:1])


@pytest.mark.parametrize("name", IN_README)
def test_the_readme_has_the_tables_of_the_stored_verdicts(name):
    """Of both, also where the samples are not graded again."""
    assert in_readme(name) == markdown(tables(name)[:1])


@pytest.mark.published
@pytest.mark.parametrize(("name", "bench", "language"), BESIDE)
def test_verdicts_of_the_others_hold(stored, shared, name, bench, language):
    """Some problems of every benchmark are graded again, with all their samples."""
    problems = (
        bench_named(bench, DataFolder(shared, shared)).problems() if language != "python" else ()
    )
    needed = [text for one in problems for text in (one.prompt, one.checks.tests)]
    if problems and (missing := lacking(language, *needed)):
        pytest.skip(missing)
    folder = RESULTS / name
    before = list(results.samples(folder, bench))
    problems = sorted({one.problem for one in before} - LONG)
    only = frozenset(problems[:: len(problems) // SOME])
    fresh = regraded(folder, bench, stored(folder)[1], parsed, only=only)
    assert fresh == [one for one in before if one.problem in only]


def test_what_is_stored_is_small_and_its_tables_are_its_own():
    """Under 10 MB all together, and tables.md is what the stored verdicts come to."""
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 10_000_000
    for name in FOLDERS:
        assert (RESULTS / name / "tables.md").read_text() == markdown(tables(name)), name
