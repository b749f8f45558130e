"""MultiPL-E as published: 18 languages, two sources."""

import re

import pytest

from evolcoder.bench.base import ExtractedProgram, PromptForm, Sample
from evolcoder.bench.fetch import rows
from evolcoder.bench.multipl_e import CONFIGURATIONS, LANGUAGES, file_of
from evolcoder.bench.other_languages import TOKEN
from evolcoder.bench.prompts import CHAT
from evolcoder.programming_language import LANGUAGES as FENCES

BRACED = {"cpp", "cs", "d", "go", "java", "js", "php", "rs", "scala", "swift", "ts"}


def unclosed(source):
    tokens = [token[0] for token in TOKEN.finditer(source)]
    return tokens.count("{") - tokens.count("}")


def test_every_language_has_both_sources():
    """18 of HumanEval and 18 of MBPP, in languages that are recognised in code fences."""
    assert len(LANGUAGES) == 18
    assert set(CONFIGURATIONS) == {
        f"{s}-{code}" for s in ("humaneval", "mbpp") for code in LANGUAGES
    }
    assert set(LANGUAGES.values()) <= set(FENCES)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_complete(named, name):
    """Ids are unique, the tests call the function, and the prompt's last lines declare it."""
    problems = named(name).problems()
    assert len({problem.id for problem in problems}) == len(problems) > 150
    for problem in problems:
        entry_point = problem.checks.entry_point
        assert re.search(rf"\b{entry_point}\b", problem.checks.tests), problem.id
        assert re.search(rf"\b{entry_point}\b", "\n".join(problem.prompt.rstrip().split("\n")[-3:]))


@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if name.split("-")[1] in BRACED])
def test_stubs_are_complete_programs(named, name):
    """With its tests, a stub closes every open bracket, so that it fails at run time."""
    bench = named(name)
    wrong = [p.id for p in bench.problems() if unclosed(f"{p.stub}\n{p.checks.tests}")]
    assert len(wrong) <= 1  # one MBPP test has a bracket in a character that this count misreads


@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if name.split("-")[1] in BRACED])
def test_real_answers_fit_the_tests(named, data_folder, name):
    """Of the answers published with the data, all but a few truncated ones close every bracket."""
    bench = named(name)
    answers = {row["name"]: row["gpt_solution"] for row in rows(file_of(name), data_folder)}
    n_odd, wrong = 0, []
    for problem in bench.problems():
        sample = Sample.of(problem.id, 0, answers[problem.id], PromptForm.ANSWER)
        candidate = bench.candidate(problem, sample)
        n_odd += candidate.found.is_odd
        if unclosed(f"{candidate.program}\n{problem.checks.tests}"):
            wrong.append((problem.id, candidate.found))
    assert len([id for id, found in wrong if found is not ExtractedProgram.OPEN_FENCE]) <= 2, wrong
    assert n_odd < len(answers) / 7


def test_a_continuation_is_cut_where_the_function_ends(named):
    """The prompt and the body up to the closing bracket, which the tests contain."""
    bench = named("humaneval-rs")
    problem = bench.problems()[0]
    text = "    0\n}\n\nfn main() {}"
    candidate = bench.candidate(problem, Sample.of(problem.id, 0, text, PromptForm.CONTINUATION))
    assert candidate.program == f"{problem.prompt}    0"
    assert candidate.cut == ("continuation",)


def test_a_completion_from_a_file_is_not_truncated(named):
    """MultiPL-E has already truncated it; prompt, completion and tests form the program."""
    bench = named("mbpp-js")
    problem = bench.problems()[0]
    candidate = bench.candidate(
        problem, Sample.of(problem.id, 0, "x\n}\n//", PromptForm.COMPLETION)
    )
    assert candidate.program == f"{problem.prompt}x\n}}\n//"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("I cannot.", ExtractedProgram.NOTHING),
        ("function other() {}", ExtractedProgram.NOTHING),
        ("```js\nfunction other() {}\n```", ExtractedProgram.NO_ENTRY),
        ("function {name}() {}", ExtractedProgram.NO_FENCE),
        ("```python\n{name}\n```", ExtractedProgram.NO_FENCE),
    ],
)
def test_answers_without_the_function_are_classified(named, answer, found):
    """No answer, code without the function, and code without a fence are classified differently."""
    bench = named("humaneval-js")
    problem = bench.problems()[0]
    text = answer.replace("{name}", problem.checks.entry_point)
    assert (
        bench.candidate(problem, Sample.of(problem.id, 0, text, PromptForm.ANSWER)).found is found
    )


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("{code}\n```\nSo `{name}` is done.", ExtractedProgram.CLOSING_FENCE),
        ("This is `{name}`:\n```\n{code}", ExtractedProgram.OPEN_FENCE),
        ("This is `{name}`:\n```\n{code}\n```", ExtractedProgram.FENCE),
    ],
)
def test_a_fence_that_only_closes_has_the_program_before_it(named, answer, found):
    """A lone opening fence is followed by the program."""
    bench = named("humaneval-js")
    problem = bench.problems()[0]
    code = f"{problem.prompt.rstrip()}\n    return 1;\n}}"
    text = answer.format(code=code, name=problem.checks.entry_point)
    candidate = bench.candidate(problem, Sample.of(problem.id, 0, text, PromptForm.ANSWER))
    assert candidate.found is found
    assert candidate.program.rstrip().endswith("return 1;\n}")
    assert "```" not in candidate.program


def test_prompts_name_the_language(named):
    """By its display name, with the prompt in a fence."""
    bench = named("humaneval-cpp")
    problem = bench.problems()[0]
    asked = CHAT.fill(bench.prompt(problem))
    assert "C++" in asked
    assert f"```cpp\n{problem.prompt.strip()}\n```" in asked


def test_a_fence_with_the_body_alone_continues_the_prompt(named):
    """If a fence contains only the body, as with Perl's prompts, the prompt is prepended."""
    bench = named("humaneval-pl")
    problem = bench.problems()[0]
    text = "```perl\n    return 1;\n}\n```"
    candidate = bench.candidate(problem, Sample.of(problem.id, 0, text, PromptForm.ANSWER))
    assert candidate.found is ExtractedProgram.BODY
    assert candidate.program.startswith(problem.prompt)
    assert candidate.program.rstrip().endswith("return 1;\n}")
