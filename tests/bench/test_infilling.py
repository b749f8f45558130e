"""HumanEval-Infilling: what fills a gap, in chat answers and in fill-in-the-middle texts."""

import ast

import pytest

import answer_styles as styles
from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.bench.base import AssertChecks, ExtractedProgram, Problem, PromptForm, Sample
from evolcoder.bench.infilling import NAMES, Gap, InfillingBench, between_repeats, fit_gap
from evolcoder.bench.prompts import EVALUATION_TEMPLATES, TEMPLATES
from evolcoder.sandbox.base import Kind
from judged_samples import graded

LINE = "SingleLineInfilling/HumanEval/0/L3"
"""`distance = abs(elem - elem2)` is missing."""
WHOLE = """def has_close_elements(numbers: List[float], threshold: float) -> bool:
    for idx, elem in enumerate(numbers):
        for idx2, elem2 in enumerate(numbers):
            if idx != idx2:
                distance = LATER
                if distance < threshold:
                    return True

    return False
"""
ANSWER, CONTINUATION = PromptForm.ANSWER, PromptForm.CONTINUATION
SAMPLES = [
    (ANSWER, "```python\ndistance = abs(elem - elem2)\n```", Kind.PASSED),
    (ANSWER, "```python\n                distance = abs(elem2 - elem)\n```\nThat is all.", Kind.PASSED),
    (ANSWER, "<think>elem - elem2?</think>\n`abs` is needed:\n```\ndistance = max(elem, elem2) - min(elem, elem2)\n```", Kind.PASSED),
    (ANSWER, "distance = abs(elem - elem2)", Kind.PASSED),
    (ANSWER, f"```python\n{WHOLE.replace('LATER', 'abs(elem - elem2)')}```", Kind.PASSED),
    (CONTINUATION, "                distance = abs(elem - elem2)\n<|endoftext|>def", Kind.PASSED),
    (CONTINUATION, "                distance = elem - elem2\n", Kind.FAILED),
    (ANSWER, f"```python\n{WHOLE.replace('LATER', 'elem - elem2')}```", Kind.FAILED),
    (ANSWER, "```python\npass\n```", Kind.ERROR),
    (CONTINUATION, "                distance = abs(elem - elem2\n", Kind.COMPILE_ERROR),
]  # fmt: skip
"""Ten samples of one problem, judged by hand."""


def test_ten_samples_have_the_verdict_that_they_were_given_by_hand(named, sandbox, tmp_path):  # noqa: F811
    verdicts = graded(named("infilling-single"), LINE, SAMPLES, sandbox, tmp_path)
    assert [one.kind for one in verdicts] == [kind for _, _, kind in SAMPLES]


def pieces(bench, problem):
    gap = bench.gaps[problem.id]
    return gap, problem.reference[len(gap.before) : len(problem.reference) - len(gap.after)]


def program(bench, problem, text, form=ANSWER):
    return bench.candidate(problem, Sample.of(problem.id, 0, text, form))


def same(one, other):
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return False


@pytest.mark.parametrize("name", NAMES)
def test_the_missing_code_in_a_fence_is_the_program_of_the_reference(named, name):
    """Also where it is within a line; most spans, since a fence loses blank lines at its ends."""
    bench = named(name)
    problems = bench.problems()[:: max(1, len(bench.problems()) // 120)]
    right = [
        same(program(bench, one, f"```python\n{pieces(bench, one)[1]}\n```").program, one.reference)
        for one in problems
    ]
    assert sum(right) >= (0.95 if "span" in name else 1) * len(right)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_repeats_all_code_is_understood(named, name):
    bench = named(name)
    for one in bench.problems()[:: max(1, len(bench.problems()) // 40)]:
        gap, middle = pieces(bench, one)
        if middle.strip():
            assert between_repeats(one.reference, gap) is not None, one.id
            assert same(program(bench, one, f"```\n{one.reference}\n```").program, one.reference)


@pytest.mark.parametrize("name", NAMES)
def test_a_completion_is_put_into_the_gap_unchanged(named, name):
    """As the published harness does; so are the texts of fill-in-the-middle models."""
    bench = named(name)
    for one in bench.problems()[::97]:
        _, middle = pieces(bench, one)
        for form, text in (
            (PromptForm.COMPLETION, middle),
            (CONTINUATION, f"{middle}<|endoftext|>"),
        ):
            assert program(bench, one, text, form).program == one.reference
        assert program(bench, one, one.reference, PromptForm.PROGRAM).program == one.reference


@pytest.mark.parametrize(
    ("code", "before", "after", "fitted"),
    [
        ("return x", "def f(x):\n", "", "    return x"),
        ("x += 1", "def f(x):\n    if x:\n", "    return x\n", "        x += 1\n"),
        ("x += 1\ny = 2", "def f(x):\n", "    return x\n", "    x += 1\n    y = 2\n"),
        ("        x += 1", "def f(x):\n    if x:\n", "    return x\n", "        x += 1\n"),
        (
            "return 1\nfor a in y:\n    if a:",
            "def f(x, y):\n    while x:\n        if x:\n",
            "                return 2\n    return 3\n",
            "            return 1\n        for a in y:\n            if a:\n",
        ),
        ("n in y:", "for", "\n    pass\n", " n in y:"),
        ("r n in y:", "fo", "\n    pass\n", "r n in y:"),
        ("+ 1", "y = x", "\n", "+ 1"),
        ("((", "y = x", "\n", "(("),
    ],
)
def test_the_blanks_that_a_chat_answer_lacks_are_added(code, before, after, fitted):
    """So that the whole parses; code that nothing repairs is left as it is."""
    assert fit_gap(code, Gap(before, after)) == fitted


@pytest.mark.parametrize("family", ["starcoder", "codellama", "qwen", "deepseek"])
def test_a_family_gets_the_gap_in_its_own_tokens(named, family):
    """Code before the gap, code after it, and then the model; no chat template."""
    bench = named("infilling-span-light")
    one = bench.problems()[3]
    template, gap = EVALUATION_TEMPLATES[f"fim-{family}"], bench.gaps[one.id]
    text = template.fill(bench.prompt(one))
    first, second, third = template.gap
    assert text == f"{first}{gap.before}{second}{gap.after}{third}"
    assert template.messages(bench.prompt(one))[0].role == "raw"
    assert f"fim-{family}" not in TEMPLATES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", PromptForm)
def test_any_text_becomes_a_program_or_nothing(named, name, form):
    bench = named(name)
    one = bench.problems()[5]
    for text in ("", "\n", "no code", "```", "```python\n```", "(" * 50, "<think>"):
        found = program(bench, one, text, form)
        assert bool(found.program) is (found.found is not ExtractedProgram.NOTHING)


@pytest.mark.parametrize(
    "answer",
    [
        "The line before the gap:\n```python\n{above}\n```\nMissing:\n```python\n{code}```\n",
        "```python\n{code}```\nThe line before it is:\n```python\n{above}\n```\n",
        "```python\n{code}```\nUse it so:\n```python\nprint({name}([], 1))\n```\n",
        "```python\n        pass\n```\nWait, corrected:\n```python\n{code}```\n",
        "Sure: ```python\n{code}```",
        "```python\n{code}```<|im_end|>",
        "```python\n!pip install numpy\n{code}```",
        "This is missing:\n\n{code}",
        "This is missing:\n{code}\n\nIt skips what is large.",
        "It is `{line}` that is missing.",
        '{{"code": "{line}"}}',
        "The line:\n\n    {line}\n\nIt skips what is large.",
        "```python\n{above}\n{code}```",
        "```python\n{above}\n{code}{below}\n```",
        "<answer>\n{code}</answer>",
        "<MID>{code}<EOT>",
    ],
)
def test_of_several_blocks_the_last_that_is_the_missing_code_is_taken(answer):
    """Blocks that show a usage or given code come last, and glued fences are read."""
    head = "def small(numbers, most):\n    found = []\n    for one in numbers:\n"
    code, tail = "        if one < most:\n", "            found.append(one)\n    return found\n"
    problem = Problem(
        id="x",
        prompt=head,
        checks=AssertChecks("", ("small",), "check"),
        reference=f"{head}{code}{tail}",
        stub="",
        groups=(),
    )
    bench = InfillingBench("x", (problem,), {"x": Gap(head, tail)})
    code_above = head.rstrip().splitlines()[-1]
    text = answer.format(
        above=code_above, below=tail.rstrip(), code=code, line=code.strip(), name="small"
    )
    found = bench.candidate(problem, Sample.of("x", 0, text, PromptForm.ANSWER))
    assert found.program == problem.reference


@pytest.mark.parametrize(
    "text",
    [
        *(f"{{code}}{token}" for token in styles.TOKENS),
        *(f"{{code}}{token}" for token in ("<[end▁of▁sentence]>", "<[fim-suffix]>", "[SUFFIX]")),
        *(f"{token}{{code}}" for token in ("<fim_middle>", "<|fim_middle|>", "<MID>", "\ufeff")),
        "{head}{code}<|endoftext|>",
        "{code}{tail}",
        "{code}{tail}\n\n\ndef other(x):\n    return x\n",
    ],
)
def test_a_continuation_ends_where_the_gap_does(text):
    """At a token of any family, and where it repeats what is around the gap."""
    gap = Gap(
        "def half(x):\n    if x > 0:\n",
        "    # what is not above zero has no half here\n    return 0\n",
    )
    code = "        return x / 2\n"
    whole = f"{gap.before}{code}{gap.after}"
    problem = Problem("x", gap.before, AssertChecks("", ("half",), "check"), whole, "", ())
    given = text.format(code=code, head=gap.before, tail=gap.after)
    sample = Sample.of("x", 0, given, PromptForm.CONTINUATION)
    assert InfillingBench("x", (problem,), {"x": gap}).candidate(problem, sample).program == whole


@pytest.mark.parametrize("end", ["", "<|endoftext|>", "\n\n"])
def test_what_follows_a_gap_within_a_line_is_not_taken_twice(end):
    """Also where it is short and valid as a line of its own."""
    gap = Gap("def flipped(text):\n    return text.s", "wapcase()\n")
    whole = f"{gap.before}wapcase()\n".replace("text.s", "text.s", 1)
    problem = Problem("x", gap.before, AssertChecks("", ("flipped",), "check"), whole, "", ())
    bench = InfillingBench("x", (problem,), {"x": gap})
    sample = Sample.of("x", 0, f"wapcase(){end}", PromptForm.CONTINUATION)
    assert bench.candidate(problem, sample).program == whole
