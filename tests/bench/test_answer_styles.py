"""Whatever the notation of an answer, a right program passes and a wrong one does not."""

import json
import random
from pathlib import Path

import pytest

import answer_styles as styles
from answer_styles import Solution
from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.bench.base import AssertChecks, Problem, PromptForm, PromptSettings, Sample
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.sandbox.base import Limits, Program
from jsonl import read_jsonl

PLAIN = Solution(
    "close_pairs",
    "from typing import List\nimport math\n\n\n",
    "def close_pairs(numbers: List[float], limit: float = 1.0) -> int:",
    "    count = 0\n    for place, one in enumerate(numbers):\n"
    "        for other in numbers[place + 1 :]:\n"
    "            if math.fabs(one - other) < limit:\n                count += 1\n    return count",
)
NESTED = Solution(
    "flat",
    "",
    "def flat(value):",
    "    def walk(one):\n        if isinstance(one, list):\n            for part in one:\n"
    "                yield from walk(part)\n        else:\n            yield one\n\n"
    '    found = "".join(str(one) for one in walk(value))\n    return found or "```"',
)
HELPED = Solution(
    "twice_shifted",
    "",
    "def twice_shifted(word):",
    "    return shifted(shifted(word))",
)
PROMPTS = {
    PLAIN: f'{PLAIN.imports}{PLAIN.signature}\n    """Count them.\n    >>> close_pairs([1])\n    0\n'
    '    """\n',
    NESTED: f"{NESTED.signature}\n    '''Join all parts.'''\n",
    HELPED: f"def shifted(word):\n    return word[1:] + word[:1]\n\n\n{HELPED.signature}\n"
    '    """Shift it twice."""\n',
}
CALLS = {
    PLAIN: [([[1.0, 1.5, 3.0, 3.25]], 2), ([[], 1.0], 0), ([[1, 2, 3], 1.5], 2)],
    NESTED: [([[1, [2, [3]]]], "123"), ([[]], "```"), ([4], "4")],
    HELPED: [(["abcd"], "cdab"), ([""], "")],
}
TABLES = {
    "fences": styles.FENCES,
    "bare": styles.BARE,
    "blocks": styles.BLOCKS,
    "parts": styles.PARTS,
    "needed": styles.NEEDED,
    "bodies": styles.BODIES,
    "thinking": styles.THINKING,
    "notations": styles.NOTATIONS,
    "wrapped": styles.WRAPPED,
    "wholes": styles.WHOLES,
    "bodies and more": styles.BODIES_AND_MORE,
    "tails": {
        name: lambda s, tail=tail: styles.fence(f"{s.code}\n\n{tail.format(name=s.name)}")
        for name, tail in styles.TAILS.items()
    },
    "bare tails": {
        name: lambda s, tail=tail: f"{s.code}\n\n{tail.format(name=s.name)}"
        for name, tail in styles.TAILS.items()
    },
}
ROOMY = Limits(cpu_s=30, wall_s=120, memory_mb=512, output_kb=256)
RUNNER = """
import contextlib, io, json, os
for program, name, calls in json.loads(GIVEN):
    space = {"__name__": "candidate"}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program, "program", "exec", dont_inherit=True), space)
            right = all(space[name](*given) == expected for given, expected in calls)
    except BaseException:
        right = False
    os.write(1, b"1" if right else b"0")
"""


def _program(solution, answer, form=PromptForm.ANSWER):
    checks = AssertChecks("", (solution.name,), None)
    prompt = PROMPTS.get(solution, PROMPTS.get(_right(solution)))
    problem = Problem("own/0", prompt, checks, None, "", ())
    bench = FunctionBench("own", (problem,), lambda p: PromptSettings("", p.prompt, "python", ()))
    return bench.candidate(problem, Sample.of("own/0", 0, answer, form)).program


def _right(solution):
    return next(one for one in PROMPTS if one.name == solution.name)


def _wrong(solution):
    return Solution(solution.name, solution.imports, solution.signature, "    return None")


def _outcomes(sandbox, cases):  # noqa: F811 - the fixture
    """Run many programs in one process of the sandbox; return whether each one is right."""
    given = json.dumps([(program, s.name, CALLS[_right(s)]) for program, s in cases])
    execution = sandbox.run(Program("python", f"GIVEN = {given!r}\n{RUNNER}"), ROOMY)
    return [sign == "1" for sign in execution.stdout.decode().ljust(len(cases), "0")]


@pytest.mark.parametrize("table", TABLES)
def test_a_right_program_passes_in_every_notation(sandbox, table):  # noqa: F811 - the fixture
    """Every style of the table, for three functions: with imports, nested, with a given helper."""
    named = [(name, s) for name in TABLES[table] for s in PROMPTS]
    cases = [(_program(s, TABLES[table][name](s)), s) for name, s in named]
    outcomes = _outcomes(sandbox, cases)
    failing = [
        (name, s.name) for (name, s), right in zip(named, outcomes, strict=True) if not right
    ]
    assert failing == []


def test_a_base_models_completion_passes_whatever_follows_it(sandbox):  # noqa: F811 - the fixture
    """End-of-text tokens, fences, prose, tests, other functions, a lost indent."""
    every = {**styles.ENDINGS, **styles.BEGINNINGS}
    named = [(name, s) for name in every for s in PROMPTS]
    cases = [(_program(s, every[name](s), PromptForm.CONTINUATION), s) for name, s in named]
    outcomes = _outcomes(sandbox, cases)
    failing = [
        (name, s.name) for (name, s), right in zip(named, outcomes, strict=True) if not right
    ]
    assert failing == []


def test_two_decorations_of_one_program_do_not_disturb_each_other(sandbox):  # noqa: F811
    """Tails below the function, within every notation of one block and behind stubs."""
    rng = random.Random(20)
    outer = {**styles.FENCES, **styles.BLOCKS, **styles.THINKING}
    outer = {name: style for name, style in outer.items() if not name.endswith("body")}
    pairs = [
        (name, tail, s)
        for s in PROMPTS
        for name in outer
        for tail in rng.sample(sorted(WHOLE_TAILS), 3)
    ]
    cases = []
    for name, tail, s in pairs:
        longer = Solution(
            s.name, s.imports, s.signature, f"{s.body}\n\n{WHOLE_TAILS[tail].format(name=s.name)}"
        )
        cases.append((_program(s, outer[name](longer)), s))
    outcomes = _outcomes(sandbox, cases)
    failing = [
        (name, tail, s.name)
        for (name, tail, s), right in zip(pairs, outcomes, strict=True)
        if not right
    ]
    assert failing == []


WHOLE_TAILS = {
    name: tail
    for name, tail in styles.TAILS.items()
    if not name.startswith(("cut off", "open")) and name != "prose"
}
"""Tails after which an answer may go on."""


def test_a_wrong_program_stays_wrong_in_every_notation(sandbox):  # noqa: F811 - the fixture
    """Extraction adds nothing that the model did not write."""
    every = [(table, name) for table, entries in TABLES.items() for name in entries]
    wrong = [_wrong(s) for s in PROMPTS]
    cases = [(_program(s, TABLES[table][name](s)), s) for table, name in every for s in wrong]
    assert not any(_outcomes(sandbox, cases))


NEVER = {
    "thought only": lambda s: f"<think>\n{styles.fence(s.code)}\n</think>\n\nI am not sure.",
    "thought right, answer wrong": lambda s: (
        f"<|thinking|>{styles.fence(s.code)}<|/thinking|>{styles.fence(_wrong(s).code)}"
    ),
    "wrong, then the next turn": lambda s: (
        f"{styles.fence(_wrong(s).code)}<|endofturn|>\n<|user|>\n{styles.fence(s.code)}"
    ),
    "deleted": lambda s: styles.fence(f"{s.code}\n\ndel {s.name}"),
    "rebound": lambda s: styles.fence(f"{s.code}\n\n{s.name} = None"),
    "in a string": lambda s: styles.fence(f"code = '''\n{s.code}\n'''"),
    "in the removed part": lambda s: styles.fence(
        f"<<<<<<< HEAD\n{s.code}\n=======\n{_wrong(s).code}\n>>>>>>> new"
    ),
    "in another field": lambda s: json.dumps({"old_code": s.code, "code": _wrong(s).code}),
    "in the tests' field": lambda s: json.dumps({"code": _wrong(s).code, "test_code": s.code}),
    "another name": lambda s: styles.fence(s.code.replace(s.name, s.name.title())),
    "asynchronous": lambda s: styles.fence(f"{s.imports}async {s.function}"),
    "full-width colons": lambda s: styles.fence(s.code.replace(":\n", "：\n")),
    "optimised and wrong": lambda s: (
        f"{styles.fence(s.code)}\n\n### Optimised\n\n{styles.fence(_wrong(s).code)}"
    ),
    "old and right": lambda s: (
        f"Old:\n{styles.fence(s.code)}\nNew:\n{styles.fence(_wrong(s).code)}"
    ),
}
"""Answers that hold a right program which is not their answer."""
NEVER_CONTINUED = {
    "nothing": lambda s: "",
    "another function": lambda s: f"\n\ndef other(x):\n    return x\n\n\n{s.function[:0]}",
    "wrong, then right": lambda s: f"    return None\n<pad>{s.code}",
    "wrong, then a fence": lambda s: f"    return None\n```\n{styles.fence(s.code)}",
    "broken, then a fence": lambda s: f"    return (\n```\n{styles.fence(s.code)}",
}


@pytest.mark.parametrize(
    ("table", "form"),
    [(NEVER, PromptForm.ANSWER), (NEVER_CONTINUED, PromptForm.CONTINUATION)],
    ids=["answers", "continuations"],
)
def test_what_is_not_the_answer_never_passes(sandbox, table, form):  # noqa: F811 - the fixture
    """Right code in thinking, another turn, a removed part or another field; broken programs."""
    named = [(name, s) for name in table for s in PROMPTS]
    cases = [(_program(s, table[name](s), form), s) for name, s in named]
    outcomes = _outcomes(sandbox, cases)
    passing = [(name, s.name) for (name, s), right in zip(named, outcomes, strict=True) if right]
    assert passing == []


CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "answers" / "humaneval-0.jsonl"


@pytest.mark.skipif(not CASES.exists(), reason="no shared data beside the checkout")
def test_the_maintainers_styles_are_judged_fairly(sandbox, named):  # noqa: F811 - the fixture
    """All styles that a fair grader accepts define the function and answer its examples."""
    problem = named("humaneval").problems()[0]
    rows = read_jsonl(CASES)
    calls = [([[1.0, 2.0, 3.0], 0.5], False), ([[1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3], True)]
    given = []
    for row in rows:
        sample = Sample.of(problem.id, 0, row["answer"], PromptForm.ANSWER)
        program = named("humaneval").candidate(problem, sample).program
        given.append((program, "has_close_elements", calls))
    source = f"GIVEN = {json.dumps(given)!r}\n{RUNNER}"
    outcomes = sandbox.run(Program("python", source), ROOMY).stdout.decode().ljust(len(rows), "0")
    failing = [
        r["name"] for r, o in zip(rows, outcomes, strict=True) if r["fair"] == "yes" and o == "0"
    ]
    assert failing == []
