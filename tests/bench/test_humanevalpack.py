"""HumanEvalPack: what a model is asked, what its programs become, and how they are judged.

The samples answer problem 42 of each language in ten ways, judged by hand.
"""

import asyncio
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from driver import held, usable
from evolcoder.bench.base import ExtractedProgram, ProgramChecks, PromptForm, Sample
from evolcoder.bench.humanevalpack import LANGUAGES, NAMES, explanation_in
from evolcoder.grading.gradable import failing_references
from evolcoder.grading.problem_checks import UNKNOWN, ProblemTest, ReferenceChecks
from evolcoder.sandbox.base import Kind

KINDS = {
    "passes": {Kind.PASSED},
    "is wrong": {Kind.FAILED},
    "throws": {Kind.ERROR},
    "does not parse": {Kind.ERROR},
    "does not compile": {Kind.COMPILE_ERROR, Kind.ERROR},
    "ends early": {Kind.FORGED, Kind.ERROR},
}
"""What a sample does -> kinds of its verdict."""
FORMS = {
    "an answer": PromptForm.ANSWER,
    "a continuation": PromptForm.CONTINUATION,
    "a completion": PromptForm.COMPLETION,
}
HEADING = re.compile(r"^=== (\w+): (.*), as (.*)\n", re.MULTILINE)
NUMBER = 42
TEXT = Path(__file__).with_name("humanevalpack_samples.txt").read_text("utf-8")
PARTS = HEADING.split(TEXT)[1:]
SAMPLES = list(zip(*(PARTS[n::4] for n in range(4)), strict=True))
LEFT_OUT = {"cpp": 1, "go": 1, "java": 0, "js": 1, "py": 0, "rs": 7}


def toolchain(code):
    return {"py": "python", "js": "javascript", "rs": "rust"}.get(code, code)


@pytest.fixture(scope="module")
def polyglot():
    languages = {toolchain(code) for code in LANGUAGES} - {"python"}
    yield from held("strict", languages=list(usable("strict", sorted(languages))))


def problem(named, name, number=NUMBER):
    return named(name).problems()[number]


@pytest.mark.parametrize("code", LANGUAGES)
def test_ten_samples_of_each_language_are_judged_by_hand(code):
    """Half of them right; wrong ones in at least four ways; in all forms."""
    mine = [one for one in SAMPLES if one[0] == code]
    assert len(mine) == 10
    assert sum(does == "passes" for _, does, _, _ in mine) == 5
    assert len({does for _, does, _, _ in mine}) >= 5
    assert {form for _, _, form, _ in mine} == set(FORMS)


@pytest.mark.toolchains
@pytest.mark.timeout(900)
@pytest.mark.parametrize("code", LANGUAGES)
def test_every_sample_has_the_verdict_that_it_was_given_by_hand(named, polyglot, tmp_path, code):
    bench = named(f"humanevalfix-{code}")
    one = bench.problems()[NUMBER]
    polyglot.needs(toolchain(code))
    controls = ReferenceChecks(tmp_path / "controls.db", polyglot.sandbox, "")
    mine = [sample for sample in SAMPLES if sample[0] == code]

    async def judge():
        assert (await controls.finding(one)).fault == ""
        test = ProblemTest.of(one, await controls.measurement(one))
        samples = [
            Sample.of(one.id, n, text, FORMS[form]) for n, (_, _, form, text) in enumerate(mine)
        ]
        programs = [bench.candidate(one, sample).program for sample in samples]
        return await asyncio.gather(*(test.grade(polyglot.sandbox, text) for text in programs))

    verdicts = polyglot.runner.run(judge())
    controls.close()
    for (_, does, form, text), verdict in zip(mine, verdicts, strict=True):
        assert verdict.kind in KINDS[does], (does, form, text, verdict)


@pytest.mark.published
@pytest.mark.toolchains
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("code", LANGUAGES)
def test_sealed_tests_pass_references_and_fail_bugs(named, polyglot, tmp_path, code):
    """Where a test cannot be split, and also where it can: a seal judges like calls."""
    polyglot.needs(toolchain(code))
    bench = named(f"humanevalfix-{code}")
    if code == "py":
        pytest.skip("Python's asserts are not sealed")
    left_out = failing_references(bench, ())

    async def judge(one):
        assert isinstance(one.checks, ProgramChecks)
        checks = replace(one.checks, tests=one.checks.sealed_tests)
        test = ProblemTest.of(replace(one, checks=checks), UNKNOWN)
        return [await test.grade(polyglot.sandbox, text) for text in (one.reference, one.stub)]

    for one in bench.problems()[2::30]:
        sealed = one.checks.sealed_tests
        is_compared = code != "go" or not re.search(r"Equal\((?:\[|map\[)", sealed)
        if one.id not in left_out and is_compared:  # Go's `!=` takes no slices; these are split
            right, wrong = polyglot.runner.run(judge(one))
            assert (one.id, right.kind, wrong.passed) == (one.id, Kind.PASSED, False), (
                right,
                wrong,
            )


@pytest.mark.parametrize("name", NAMES)
def test_a_problem_shows_what_its_task_is_about_and_nothing_else(named, name):
    """A repair its bug and tests or description; a synthesis no code; an explanation the code."""
    bench = named(name)
    task, _, code = name.rpartition("-")
    described, one = task in {"humanevalfixdocs", "humanevalsynthesize"}, problem(named, name, 0)
    asked = bench.prompt(one)
    row = {"py": "Python", "js": "JavaScript", "rs": "Rust"}.get(code, code)
    assert row.lower() in one.id.lower()
    shown = {"bug": "elem - elem2" in asked.instruction or "numbers" in asked.instruction}
    assert shown["bug"]
    assert ("given threshold" in asked.instruction) is described
    has_tests = "3.9, 4.0, 5.0, 2.2" in asked.instruction
    assert has_tests is (task == "humanevalfix")
    assert (asked.then is not None) is (task == "humanevalexplain")
    assert asked.code.strip()
    assert asked.instruction.strip()
    if asked.then is not None:
        second = asked.then("It says whether two of them are close to each other.")
        assert "whether two of them are close" in second.instruction
        assert second.then is None
        assert "given threshold" not in second.instruction + second.code
        assert one.reference.strip()[-60:] not in second.instruction + second.code


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_explanation_is_cut_at_the_length_of_the_description(named, code):
    """As published, and without lines of the code that it explains."""
    asked = named(f"humanevalexplain-{code}").prompt(problem(named, f"humanevalexplain-{code}", 0))
    limit = int(re.search(r"at most (\d+) characters", asked.instruction)[1])
    second = asked.then("x" * limit + "CUT")
    assert "x" * limit in second.instruction
    assert "CUT" not in second.instruction


def test_an_explanation_holds_no_thoughts_and_no_copied_lines():
    code = "    for idx, elem in enumerate(numbers):\n        x += 1\n"
    text = "<think>for me</think>It runs for idx, elem in enumerate(numbers): and x += 1."
    assert explanation_in(text, limit=500, code=code) == "It runs  and x += 1."
    assert explanation_in(text, limit=4, code=code) == "It r"
    assert explanation_in("", limit=10, code=code) == ""


@pytest.mark.parametrize("code", LANGUAGES)
def test_problems_that_no_machine_can_judge_are_named(named, code):
    """Those whose programs need a library that the sandbox's compiler lacks, and one random one."""
    found = failing_references(named(f"humanevalsynthesize-{code}"), ())
    assert len(found) == LEFT_OUT[code]
    assert all(found.values())
    assert ("Go/95" in found) is (code == "go")


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("form", [*PromptForm])
@pytest.mark.parametrize(
    "text", ["", "   \n", "I do not know.", "{" * 40, "}" * 40, "```\n```", "import\nclass {"]
)
def test_any_text_becomes_a_program_or_nothing(named, code, form, text):
    """Extraction never raises, and what is found is empty only where it is named nothing."""
    bench = named(f"humanevalfix-{code}")
    one = bench.problems()[NUMBER]
    found = bench.candidate(one, Sample.of(one.id, 0, text, form))
    assert bool(found.program.strip()) or found.found is ExtractedProgram.NOTHING


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_program_that_was_written_is_read_as_the_same_program(named, code):
    """A file of programs, as an evaluation writes it, gives the same programs again."""
    bench = named(f"humanevalsynthesize-{code}")
    for one in bench.problems()[::20]:
        again = bench.candidate(one, Sample.of(one.id, 0, one.reference, PromptForm.PROGRAM))
        twice = bench.candidate(one, Sample.of(one.id, 0, again.program, PromptForm.PROGRAM))
        assert again.program == twice.program


def _tokens(code):
    return re.sub(r"\s", "", code)


NOTATIONS = {
    "command of a notebook": lambda tag, code: f"```{tag}\n%%writefile main.{tag}\n{code}\n```",
    "quoted twice": lambda tag, code: textwrap.indent(
        f"```{tag}\n{code}\n```", "> > ", lambda _: True
    ),
    "thinking of Ollama": lambda tag, code: (
        f"Thinking...\nA loop.\n...done thinking.\n\n```{tag}\n{code}\n```"
    ),
}


@pytest.mark.parametrize("name", NOTATIONS)
@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "py"])
def test_notations_around_a_program_are_no_part_of_it(named, code, name):
    bench = named(f"humanevalsynthesize-{code}")
    one = bench.problems()[NUMBER]
    text = NOTATIONS[name](code, one.reference)
    found = bench.candidate(one, Sample.of(one.id, 0, text, PromptForm.ANSWER))
    assert _tokens(found.program) == _tokens(one.reference)


@pytest.mark.parametrize("code", ["cpp", "go", "rs", "js"])
def test_a_body_without_its_closing_bracket_is_closed(named, code):
    """At its margin too, where a bracket at the end may close a loop."""
    bench = named(f"humanevalsynthesize-{code}")
    one = bench.problems()[0]
    body = one.reference[one.reference.index(one.prompt.strip()[-20:]) + 20 :]
    body = textwrap.dedent(body.strip("\n")).rstrip()
    whole, short = (f"```\n{text}\n```" for text in (body, body[: body.rindex("}")]))
    programs = [
        bench.candidate(one, Sample.of(one.id, 0, text, PromptForm.ANSWER)).program
        for text in (whole, short)
    ]
    assert _tokens(programs[0]) == _tokens(programs[1]) == _tokens(one.reference)


@pytest.mark.parametrize(
    "end", ["export default {name};", "export {{ {name} }};", "export {{\n  {name},\n}}"]
)
def test_a_script_that_exports_is_no_module(named, end):
    bench = named("humanevalsynthesize-js")
    one = bench.problems()[NUMBER]
    text = f"```js\n{one.reference}\n{end.format(name=one.checks.entry_point)}\n```"
    found = bench.candidate(one, Sample.of(one.id, 0, text, PromptForm.ANSWER))
    assert _tokens(found.program) == _tokens(one.reference)
