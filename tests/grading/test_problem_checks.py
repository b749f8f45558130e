"""`evolcoder eval` without a library that tests import: reported, never counted as wrong.

A problem that the user can fix (a package that is not installed) has no permanent effect. The tests
simulate a missing library for Bash, which every machine has.
"""

import json

import pytest

from bash_bench import bash_bench, bash_with, part, samples
from evolcoder.bench.registry import BENCHES
from evolcoder.cli.main import main
from evolcoder.sandbox.toolchains import LANGUAGES
from jsonl import write_jsonl
from loopback import Loopback, in_thread

NAMED = "cannot be graded here: needs part (install bash-part)"


@pytest.fixture(autouse=True)
def bench(monkeypatch, _own_cache):
    """A benchmark of four problems, one of which needs a missing library."""
    monkeypatch.setitem(BENCHES, "small-sh", bash_bench())
    install(monkeypatch, is_here=False)


def install(monkeypatch, *, is_here):
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=is_here)))


@pytest.fixture
def evaluate(capsys, tmp_path):
    def run(*arguments, out="e"):
        place = [] if "--check" in arguments else ["--out", str(tmp_path / out)]
        code = main(["eval", "--bench", "small-sh", *place, *map(str, arguments)])
        said, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("evolcoder:")]
        return code, said, lines

    return run


@pytest.fixture
def scored(evaluate):
    def run(*arguments, **options):
        code, said, _ = evaluate("--json", *arguments, **options)
        return code, json.loads(said)["results"][0]

    return run


@pytest.fixture
def written(tmp_path):
    def write(**options):
        path = tmp_path / "samples.jsonl"
        write_jsonl(path, samples(**options))
        return path

    return write


def answer(prompt):
    name = next(name for name in ("one", "two", "three", "four") if f"{name}()" in prompt)
    return f"```bash\n{name}() {{\n    echo 0\n}}\n```"


def test_a_benchmark_that_needs_it_throughout_is_refused_in_one_line(
    evaluate, monkeypatch, tmp_path
):
    """The error comes before any request or folder, and with --partial too."""
    monkeypatch.setitem(BENCHES, "small-sh", bash_bench(all_need_part=True))
    with in_thread(Loopback(answer=answer)) as server:
        for more in ([], ["--partial"]):
            code, said, lines = evaluate("--model", f"{server.base_url}#toy", *more)
            assert (code, said, lines) == (2, "", [f"evolcoder: small-sh {NAMED}"])
        assert server.calls == []
    assert not (tmp_path / "e").exists()


def test_problems_that_need_it_are_reported_before_any_request(evaluate, tmp_path):
    """Scoring only the other problems needs --partial."""
    with in_thread(Loopback(answer=answer)) as server:
        code, _, (line,) = evaluate("--model", f"{server.base_url}#toy")
        assert (code, server.calls) == (2, [])
    assert (
        line
        == f"evolcoder: small-sh: 1 of 4 problems (small/3) {NAMED}; use --partial to leave them out"
    )
    assert not (tmp_path / "e").exists()


def test_problems_that_need_it_are_left_out_of_a_partial_score(scored, written):
    """They are listed and count neither as passed nor as failed; all others are graded."""
    code, found = scored("--samples", written(wrong={0}), "--partial")
    assert code == 0
    assert (found["scores"][0]["n_problems"], round(found["scores"][0]["value"], 3)) == (3, 0.667)
    assert dict(found["kinds"]) == {"passed": 2, "failed": 1}
    assert f"1 problems are left out, {NAMED}: small/3" in found["notes"]


def test_once_it_is_installed_the_same_command_grades_the_rest(scored, written, monkeypatch):
    """Existing verdicts are kept, and the missing ones are added."""
    path = written(wrong={0})
    scored("--samples", path, "--partial")
    install(monkeypatch, is_here=True)
    code, found = scored("--samples", path)
    assert (code, found["scores"][0]["n_problems"], found["scores"][0]["value"]) == (0, 4, 0.75)


def test_verdicts_that_are_there_stay_where_it_is_missing(scored, written, monkeypatch):
    """Verdicts from a complete machine give a score on every machine."""
    install(monkeypatch, is_here=True)
    path = written(wrong={0})
    first = scored("--samples", path)
    install(monkeypatch, is_here=False)
    assert scored("--samples", path) == first


def test_a_program_that_needs_it_is_not_judged(scored, written, monkeypatch):
    """A program that uses a missing library fails for that reason, so it gets no verdict."""
    path = written(with_part={1})
    code, found = scored("--samples", path, "--partial")
    assert (code, found["scores"][0]["n_problems"], found["scores"][0]["value"]) == (0, 2, 1.0)
    assert any(
        "small/1: bash: part not found; install bash-part" in note for note in found["notes"]
    )
    install(monkeypatch, is_here=True)
    code, found = scored("--samples", path)
    assert (code, found["n_samples"], found["scores"][0]["value"]) == (0, 4, 1.0)


def test_samples_of_other_problems_alone_need_nothing(scored, tmp_path):
    """If no sample is for a problem that needs the library, nothing is refused."""
    path = tmp_path / "some.jsonl"
    write_jsonl(path, list(samples())[:3])
    code, found = scored("--samples", path)
    assert (code, found["n_samples"]) == (1, 3)
    assert "1 problems have no sample (small/3)" in found["withheld"]


def test_generating_needs_no_toolchain(evaluate):
    """--no-grade generates samples for every problem; another machine can grade them."""
    with in_thread(Loopback(answer=answer)) as server:
        code, said, _ = evaluate("--model", f"{server.base_url}#toy", "--no-grade")
        assert (code, len(server.calls)) == (0, 4)
    assert "4 samples, not graded" in said


def test_checking_a_benchmark_names_what_it_lacks(evaluate):
    """`--check` lists missing libraries and exits with code 1."""
    code, said, _ = evaluate("--check")
    assert code == 1
    assert said == f"small-sh          1 problem fails on this machine\n  small/3: {NAMED}\n"


def test_problems_with_one_reason_are_one_line(evaluate, monkeypatch):
    """A hundred problems that need the same library take one line."""
    monkeypatch.setitem(BENCHES, "small-sh", bash_bench(all_need_part=True))
    _, said, _ = evaluate("--check")
    assert said.splitlines()[1:] == [f"  small/0, small/1, small/2 and 1 more: {NAMED}"]


def test_tools_that_are_missing_altogether_are_refused_as_before(evaluate, written, monkeypatch):
    """A missing toolchain is refused in one line with its package, like a missing library."""
    path = written()
    monkeypatch.setenv("PATH", "")
    code, _, (line,) = evaluate("--samples", path)
    assert (code, line) == (2, "evolcoder: bash: bash not found; install bash bc bsdextrautils")
