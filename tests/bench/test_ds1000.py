"""DS-1000 as published, for completion and for insertion."""

import re
from collections import Counter

import pytest

from evolcoder.bench.base import ExtractedProgram, HarnessChecks, Problem, PromptForm, Sample
from evolcoder.bench.ds1000 import NEEDS, Ds1000, other_versions
from evolcoder.bench.extract import parses
from evolcoder.bench.prompts import CHAT, COMPLETION

HARNESS = 'exec_context = r"""\nx = test_input\n{gap}\n"""\ndef test_execution(solution): ...\n'
PROMPT = "Problem:\nAdd.\nA:\n<code>\nimport numpy as np\nx = 1\n</code>\n"
PUT = "result = ... # put solution in this variable\nBEGIN SOLUTION\n<code>\n"


def toy(gap="[insert]", prompt=PROMPT + PUT):
    checks = HarnessChecks(HARNESS.format(gap=gap), ("test_execution",), "Numpy")
    return Problem("DS-1000/0", prompt, checks, "result = x", "None\n", ())


BENCH = Ds1000("ds1000", (), shows_after=False)


def take(text, form=PromptForm.ANSWER, **changes):
    return BENCH.candidate(toy(**changes), Sample.of("DS-1000/0", 0, text, form))


@pytest.fixture(scope="module")
def bench(named):
    return named("ds1000")


def test_a_thousand_problems_of_seven_libraries(bench):
    """Each is in one library group and one perturbation group."""
    groups = Counter(group for problem in bench.problems() for group in problem.groups)
    libraries = {value: n for (name, value), n in groups.items() if name == "library"}
    assert libraries == {
        "Pandas": 291, "Numpy": 220, "Matplotlib": 155, "Sklearn": 115,
        "Scipy": 106, "Pytorch": 68, "Tensorflow": 45,
    }  # fmt: skip
    perturbations = {value: n for (name, value), n in groups.items() if name == "perturbation"}
    assert sum(perturbations.values()) == 1000
    assert set(perturbations) == {"Origin", "Surface", "Semantic", "Difficult-Rewrite"}


def test_references_and_stubs_fit_the_gap(bench):
    """Inserted into the harness's code, both are valid Python."""
    for problem in bench.problems():
        context = re.search(r'exec_context = r"""(.*?)"""', problem.checks.harness, re.DOTALL)[1]
        assert parses(context.replace("[insert]", problem.reference)), problem.id
        assert parses(context.replace("[insert]", problem.stub)), problem.id


def test_every_test_function_is_called(bench):
    """159 problems also test the text of the solution."""
    calls = Counter(problem.checks.calls for problem in bench.problems())
    assert calls == {("test_execution",): 841, ("test_execution", "test_string"): 159}


def test_completion_is_the_data_sets_prompt(bench):
    """A base model continues the unchanged prompt."""
    assert all(COMPLETION.fill(bench.prompt(p)) == p.prompt for p in bench.problems())


def test_insertion_shows_one_gap_and_what_comes_after(named):
    """Every problem shows its gap once; required variables are printed after it."""
    bench = named("ds1000-insertion")
    for problem in bench.problems():
        shown = CHAT.fill(bench.prompt(problem))
        assert shown.count("\n[insert]\n") == 1, problem.id
        assert "put solution in th" not in shown
    assert "[insert]\n</code>\nEND SOLUTION\n<code>\nprint(result)\n</code>" in CHAT.fill(
        bench.prompt(bench.problems()[0])
    )


@pytest.mark.parametrize(
    ("text", "form", "program"),
    [
        ("```python\nresult = x\n```", PromptForm.ANSWER, "result = x"),
        ("<code>\nresult = x\n</code>", PromptForm.ANSWER, "result = x"),
        ("result = x", PromptForm.ANSWER, "result = x"),
        ("Here it is:\n\nresult = x\n\nThat isn't long.", PromptForm.ANSWER, "result = x"),
        ("So:\n\n    result = x\n\nDone.", PromptForm.ANSWER, "result = x"),
        ("<answer>\nresult = x\n</answer>", PromptForm.ANSWER, "result = x"),
        ("```python\n>>> result = x\n```", PromptForm.ANSWER, "result = x"),
        ("```python\n%matplotlib inline\nresult = x\n```", PromptForm.ANSWER, "result = x"),
        ("```python\n# so\n    result = x\n```", PromptForm.ANSWER, "# so\nresult = x"),
        ("result = x\n</code>\nmore", PromptForm.CONTINUATION, "result = x"),
        ("result = x<pad>", PromptForm.CONTINUATION, "result = x"),
        ("result = x\n```\nThat is it.", PromptForm.CONTINUATION, "result = x"),
        ("```python\nresult = x\n```", PromptForm.CONTINUATION, "result = x"),
        ("result = x\n</code>", PromptForm.COMPLETION, "result = x\n</code>"),
        ("result = x", PromptForm.PROGRAM, "result = x"),
    ],
)
def test_the_snippet_alone_is_the_program(text, form, program):
    """The harness adds all other code."""
    assert take(text, form).program == program


def test_lines_that_were_given_are_dropped():
    """They would reset the inputs of every test to the example's."""
    candidate = take("```python\nimport numpy as np\nx = 1\nresult = x\n```")
    assert (candidate.program, candidate.cut) == ("result = x", ("repeated_context",))


@pytest.mark.parametrize(
    "other",
    [
        "import numpy as np\nx = np.arange(3)\nprint(x)",
        "    a  b\n0  1  2",
        "assert x.shape == (3,)",
        "plt.show()",
        "plot.savefig('a.png')",
    ],
)
@pytest.mark.parametrize("answer", ["plt.plot(x)", "x.sort()\nplt.bar(x, x)"])
def test_a_call_is_an_answer_where_no_variable_is_asked_for(answer, other):
    """Of plots, say; what shows or writes the result, or a table, is none."""
    prompt = f"{PROMPT}# SOLUTION START\n"
    texts = [answer, other] if "arange" not in other else [other, answer]
    fenced = "\n\nThen:\n\n".join(f"```python\n{one}\n```" for one in texts)
    assert take(fenced, prompt=prompt).program.endswith(answer)
    assert take(f"Do this:\n\n{answer}\n\nIt isn't long.", prompt=prompt).program == answer


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("return x", "    return x"),
        ("# so\n    return x", "    # so\n    return x"),
        ("    return x", "    return x"),
        ("def f(x):\n    return x", "    def f(x):\n        return x\n    return f(x)"),
    ],
)
def test_a_gap_in_a_function_gets_an_indented_snippet(answer, wanted):
    """A complete function is inserted and called."""
    candidate = take(f"```python\n{answer}\n```", gap="def f(x):\n    y = 1\n[insert]\nf(1)")
    assert candidate.program == wanted


def test_an_empty_answer_is_nothing():
    """An empty answer is reported as NOTHING, and nothing is run."""
    for answer in ("", "```python\n```", "I cannot do that.", "<code></code>"):
        candidate = take(answer)
        assert (candidate.found, candidate.program) == (ExtractedProgram.NOTHING, "")


def test_other_library_versions_are_named():
    """The line contains the installed and the required version; matching libraries are omitted."""
    installed = NEEDS | {"numpy": "2.0.0"}
    del installed["torch"]
    assert other_versions(installed) == [
        "numpy 2.0.0, needs 1.26.4",
        "torch is missing, needs 2.2.0",
    ]
