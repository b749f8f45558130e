"""What a result tells about samples in another form than asked for."""

import json

import pytest

from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.evaluation.results import result_of
from evolcoder.evaluation.runner import Evaluation
from evolcoder.evaluation.store import EvalStore
from small_bench import ADD, DOUBLE, LAST, fenced, small_bench

PROGRAMS = (DOUBLE, ADD, LAST)


def graded(sandbox, controls, folder, texts, form, finish=""):  # noqa: F811 - the fixture
    bench = small_bench()
    with EvalStore.create(folder, {"samples": "some"}) as store:
        for number, text in enumerate(texts):
            store.add_sample(bench.name, Sample.of(f"small/{number}", 0, text, form), finish)
        store.db.flush()
        one = Evaluation(store, bench, generator=None, n=1, in_flight=2, problems=bench.problems())
        sandbox.runner.run(one.run(sandbox.sandbox, controls))
        return result_of(store, bench, faults={}, partial=False)


@pytest.mark.parametrize(
    ("form", "wrap", "words"),
    [
        (PromptForm.PROGRAM, fenced, "fences, so they are answers; use --samples-are answers"),
        (PromptForm.PROGRAM, "x {} (".format, "all programs are compile errors"),
        (PromptForm.PROGRAM, "#include <map>\nint main() {{}} // {}".format, "look like cpp"),
        (PromptForm.ANSWER, lambda _: "<think>hm, hm", "thinking does not end"),
        (PromptForm.ANSWER, lambda _: "I would rather not.", "the requested format: most often"),
    ],
)
def test_one_line_says_why_samples_have_another_form(
    sandbox, controls, tmp_path, form, wrap, words  # noqa: F811 - the fixture
):  # fmt: skip
    """If nothing compiles, or more than a fifth is not where it should be."""
    result = graded(sandbox, controls, tmp_path / "e", map(wrap, PROGRAMS), form)
    assert result.scores[0].value == 0
    assert [note for note in result.notes if words in note]


def test_samples_in_order_have_no_such_note(sandbox, controls, tmp_path):  # noqa: F811
    """Programs with end-of-text tokens are cut there, and pass."""
    for name, form, wrap in (
        ("a", PromptForm.PROGRAM, "{}<|endoftext|>".format),
        ("b", PromptForm.ANSWER, fenced),
    ):
        result = graded(sandbox, controls, tmp_path / name, map(wrap, PROGRAMS), form)
        assert (result.scores[0].value, result.notes) == (1.0, ())


def test_a_missing_package_is_named(sandbox, controls, tmp_path):  # noqa: F811 - the fixture
    """With how many programs import it."""
    texts = [f"import no_such_package.part\n{code}" for code in PROGRAMS[:2]]
    result = graded(sandbox, controls, tmp_path / "e", [*texts, LAST], PromptForm.PROGRAM)
    assert result.notes[0].startswith("2 programs import no_such_package, not installed")
    assert "`make libraries`" in result.notes[0]


def test_the_rule_and_the_limit_of_tokens_are_counted(sandbox, controls, tmp_path):  # noqa: F811
    """By the rule that chose a block, and by finish reason; both are in the JSON."""
    texts = [f"```\ndef double(x): ...\n```\n{fenced(DOUBLE)}", fenced(ADD), fenced(LAST)]
    result = graded(
        sandbox, controls, tmp_path / "e", texts, PromptForm.ANSWER, finish="MAX_TOKENS"
    )
    assert dict(result.chosen) == {"only": 2, "not_stub": 1}
    assert json.loads(json.dumps(result.as_plain()))["n_cut_off"] == 3


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([fenced(DOUBLE), ADD, LAST], ["1 of 3 programs are compile errors: they contain fences"]),
        ([fenced(DOUBLE), fenced(ADD), LAST], ["2 of 3 programs are compile errors: they contain"]),
        (["def double(x):\n    return (x", ADD, LAST], []),
    ],
    ids=["one fence", "two fences", "a model's own error"],
)
def test_a_part_of_programs_that_are_answers_is_noted(sandbox, controls, tmp_path, texts, words):  # noqa: F811
    """A file with raw answers among its programs; a weak model's compile errors are its own."""
    notes = graded(sandbox, controls, tmp_path / "e", texts, PromptForm.PROGRAM).notes
    assert [note[: len(word)] for note, word in zip(notes, words, strict=True)] == words


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("def other(x):\n    return x", PromptForm.PROGRAM),
        ("def other(x):\n    return x", PromptForm.COMPLETION),
        ("    pass", PromptForm.COMPLETION),
        ("# Nothing", PromptForm.PROGRAM),
        ("class A:\n    def double(self, x):\n        return 2 * x", PromptForm.PROGRAM),
        (fenced("def other(x):\n    return x"), PromptForm.ANSWER),
        (fenced("def double(x):\n    raise NotImplementedError"), PromptForm.ANSWER),
    ],
    ids=range(7),
)
def test_the_verdict_names_the_function_that_a_program_lacks(
    sandbox, controls, tmp_path, text, form  # noqa: F811 - the fixture
):  # fmt: skip
    """Not that there is no program, nor the error of the call; whatever the sample's form."""
    graded(sandbox, controls, tmp_path / "e", [text], form)
    with EvalStore.read(tmp_path / "e") as store:
        (verdict,) = store.verdicts("small")
    assert verdict.facts["detail"].startswith("the program has no function double with a body")
    assert "KeyError" not in verdict.facts["detail"]


@pytest.mark.parametrize("text", ["double = lambda x: x", "def double(x):\n    return int('a')"])
def test_a_wrong_function_is_not_called_missing(sandbox, controls, tmp_path, text):  # noqa: F811
    graded(sandbox, controls, tmp_path / "e", [text], PromptForm.PROGRAM)
    with EvalStore.read(tmp_path / "e") as store:
        (verdict,) = store.verdicts("small")
    assert "no function" not in verdict.facts["detail"]
    assert not verdict.passed


@pytest.mark.parametrize(
    ("n_asked", "notes"),
    [
        (None, ["2 problems have no sample (small/1, small/2)"]),
        (2, ["1 problems have no sample (small/1)", "only the first 2 of 3 problems: --limit"]),
        (1, ["only the first 1 of 3 problems: --limit"]),
    ],
)
def test_only_problems_that_were_asked_for_lack_a_sample(
    sandbox, controls, tmp_path, n_asked, notes  # noqa: F811 - the fixture
):  # fmt: skip
    """`--limit` asks for the first ones; that the others are left out is said once."""
    graded(sandbox, controls, tmp_path / "e", [DOUBLE], PromptForm.PROGRAM)
    with EvalStore.read(tmp_path / "e") as store:
        found = result_of(store, small_bench(), faults={}, partial=True, n_asked=n_asked)
    assert list(found.notes) == notes
    assert found.scores[0].value == 1
