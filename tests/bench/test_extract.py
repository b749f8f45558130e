"""Extracting the program from an answer, classifying where it was, and removing the rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from answer_styles import fence
from evolcoder.bench import end_of_text
from evolcoder.bench.answer_blocks import defines
from evolcoder.bench.base import MAX_CHARS, ChosenBy, ExtractedProgram
from evolcoder.bench.end_of_text import without_start
from evolcoder.bench.extract import cut_continuation, given_program, parses, python_program

PROMPT = 'def f(x):\n    """Add one."""\n'
CODE = "def f(x):\n    return x + 1"
STOPS = ("\ndef ", "\nprint(", "\n#")


def take(answer):
    return python_program(answer, ("f",), PROMPT)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (f"```python\n{CODE}\n```", ExtractedProgram.FENCE),
        (f"Sure!\n```\n{CODE}\n```\nIt adds one.", ExtractedProgram.FENCE),
        (f"~~~py\r\n{CODE}\r\n~~~".replace("\n    ", "\r\n    "), ExtractedProgram.FENCE),
        (
            f"1. First:\n   ```python\n   {CODE.replace(chr(10), chr(10) + '   ')}\n   ```",
            ExtractedProgram.FENCE,
        ),
        (f"```python\nf(1)\n```\nwhere\n```python\n{CODE}\n```", ExtractedProgram.LATER_FENCE),
        (f"```bash\npip install x\n```\n```python\n{CODE}\n```", ExtractedProgram.FENCE),
        (f"```python\n{CODE}", ExtractedProgram.OPEN_FENCE),
        (f"{CODE}\n```\nThe function `f` adds one.", ExtractedProgram.CLOSING_FENCE),
        (f"Here it is:\n\n{CODE}\n```\n\n### Why\n1. It adds.", ExtractedProgram.CLOSING_FENCE),
        (f"{CODE}\n```\nUse it so:\n```python\nprint(f(1))\n```", ExtractedProgram.CLOSING_FENCE),
        (f"```\n{CODE}", ExtractedProgram.OPEN_FENCE),
        (f"{PROMPT.strip()}\n```\n{CODE}\n```", ExtractedProgram.FENCE),
        (CODE, ExtractedProgram.NO_FENCE),
        (f"Here it is:\n\n{CODE}\n\nThis adds one.", ExtractedProgram.AMID_PROSE),
        (f"<think>def f? no.</think>```python\n{CODE}\n```", ExtractedProgram.FENCE),
    ],
)
def test_the_function_is_found_wherever_it_is(answer, found):
    """Each format of answer gives the same function and its own classification."""
    extract = take(answer)
    assert (extract.found, extract.code.strip()) == (found, CODE)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("", ExtractedProgram.NOTHING),
        ("I cannot help with that.", ExtractedProgram.NOTHING),
        ("Sorry", ExtractedProgram.NOTHING),
        ("<think>```python\ndef f(x): return x + 1\n```", ExtractedProgram.NOTHING),
        ("```python\n\n```", ExtractedProgram.NOTHING),
        ("```java\nint f(int x) { return x + 1; }\n```", ExtractedProgram.NOTHING),
        ("```python\ndef g(x):\n    return x\n```", ExtractedProgram.NO_ENTRY),
        ("import the list, then return it.", ExtractedProgram.NOTHING),
    ],
)
def test_an_answer_without_the_function_is_classified(answer, found):
    """An empty answer and code without the function are classified differently; both are odd."""
    assert take(answer).found is found
    assert found.is_odd


@pytest.mark.parametrize("answer", ["    return x + 1", "```python\nreturn x + 1\n```"])
def test_a_bare_body_continues_the_prompt(answer):
    """An answer without the signature is indented and appended."""
    extract = take(answer)
    assert extract.found is ExtractedProgram.BODY
    assert parses(PROMPT + extract.code)


@pytest.mark.parametrize(
    ("answer", "code", "chosen"),
    [
        (f"{fence(CODE)}", CODE, ChosenBy.ONLY),
        (f"{fence('def f(x): ...')}\n{fence(CODE)}", CODE, ChosenBy.NOT_STUB),
        (f"{fence('def f(x): return 1')}\nCorrected:\n{fence(CODE)}", CODE, ChosenBy.LAST),
        (f"{fence(CODE)}\nThis is wrong:\n{fence('def f(x): return 1')}", CODE,
         ChosenBy.NOT_REJECTED),
        (f"{fence('import math as m')}\n{fence('def f(x): return m.ceil(x)')}",
         "import math as m\n\ndef f(x): return m.ceil(x)", ChosenBy.JOINED),
        (fence("def f(x): ..."), "def f(x): ...", ChosenBy.FIRST),
    ],
)  # fmt: skip
def test_the_rule_that_chose_the_block_is_told(answer, code, chosen):
    """Of several complete blocks the last one that the text does not call wrong is meant."""
    extract = take(answer)
    assert (extract.code, extract.chosen) == (code, chosen)


@pytest.mark.parametrize(
    ("tail", "cut"),
    [
        ('\n\nif __name__ == "__main__":\n    print(f(input()))', ("main_guard",)),
        ("\n\n# Example usage:\nprint(f(1))", ("usage",)),
        ("\n# Test cases\nassert f(1) == 3", ("usage",)),
        ("\n# Usage\nf(1)\nif __name__ == '__main__':\n    f(2)", ("usage", "main_guard")),
        ("\n\nprint(f(1))", ("usage",)),
        ("\n\n# The end.", ()),
    ],
)
def test_demonstration_code_is_removed_and_reported(tail, cut):
    """A main guard, tests and example usage are removed; comments do no harm and stay."""
    extract = take(f"```python\n{CODE}{tail}\n```")
    assert extract.cut == cut
    assert extract.code.strip() == (CODE if cut else CODE + tail)


def test_a_part_that_the_function_needs_is_not_cut():
    """A helper below a comment about examples stays, and so does a guard before the function."""
    needed = "def f(x):\n    return g(x)\n# Example helper\ndef g(x):\n    return x + 1"
    early = f"if __name__ == '__main__':\n    import sys\n{CODE}"
    for code in (needed, early):
        extract = take(f"```python\n{code}\n```")
        assert (extract.code, extract.cut) == (code, ())


def test_blank_lines_within_strings_keep_their_blanks():
    """Unindented code is unchanged to the byte."""
    code = 'def f(x):\n    return """a\n   \nb"""'
    assert take(f"```python\n{code}\n```").code == code


def test_reasoning_is_no_answer():
    """A program in the reasoning is not used, and the cut is reported."""
    extract = take(f"<think>\n```python\ndef f(x): pass\n```\n</think>\n```python\n{CODE}\n```")
    assert (extract.code, extract.cut) == (CODE, ("reasoning",))


@pytest.mark.parametrize(
    ("code", "is_defined"),
    [
        ("def f(x): pass", True),
        ("async def f(x): pass", True),
        ("class f: pass", True),
        ("f = lambda x: x", True),
        ("f: object = len", True),
        ("f == 1", False),
        ("def ff(x): pass", False),
        ("if 1:\n    def f(x): pass", False),
        ("f(1)", False),
    ],
)
def test_a_definition_is_at_top_level(code, is_defined):
    """Functions, classes and assignments define a name; calls and nested definitions do not."""
    assert defines(code, ("f",)) is is_defined


def test_a_continuation_ends_where_something_else_begins():
    """The function's body is kept up to the first stop sequence."""
    extract = cut_continuation(PROMPT, "    return x + 1\n\ndef g():\n    pass\n", ("f",), STOPS)
    assert extract.code == "    return x + 1\n"
    assert (extract.found, extract.cut) == (ExtractedProgram.WHOLE, ("continuation",))


@pytest.mark.parametrize("indent", ["", "    "])
def test_a_repeated_signature_starts_the_function_anew(indent):
    """Code after the repeated definition is cut, the definition itself is not."""
    again = "\n".join(indent + line for line in CODE.split("\n"))
    extract = cut_continuation(PROMPT, f"\n{again}\n{indent}# Test\n", ("f",), STOPS)
    assert extract.found is ExtractedProgram.REPEATED_SIGNATURE
    assert extract.code.strip() == CODE


def test_a_definition_after_a_prose_prompt_is_no_repetition():
    """If the prompt has no signature, writing one is not a repetition."""
    extract = cut_continuation(
        '"""Add one."""\n', f"import os\n{CODE}\nprint(f(1))\n", ("f",), STOPS
    )
    assert (extract.found, extract.code) == (ExtractedProgram.WHOLE, f"import os\n{CODE}\n")


@settings(deadline=None)
@given(st.text(alphabet="def fg(x):\n `~ python=return1\"'#\\<think>/@\t", max_size=200))
def test_no_text_makes_extraction_raise(text):
    """Any text gives an extraction, and twice the same."""
    assert take(text) == take(text)
    indents = 4 * (text.count("\n") + 1)
    assert len(cut_continuation(PROMPT, text, ("f",), STOPS).code) <= len(text) + indents


@pytest.mark.parametrize("unit", ["-", "(", "a.", "not ", "lambda:", "f()\n", "def f(x):\n", "1+"])
def test_deep_and_long_programs_do_not_break_the_parser(unit):
    """A text of the maximum size is parsed in seconds, whatever its nesting."""
    text = unit * (MAX_CHARS // len(unit) // 32)
    assert isinstance(parses(text), bool)
    assert take(f"```python\n{text}\n```").found in ExtractedProgram


@pytest.mark.parametrize("line", ["# test\n", "if __name__ == 0:\n", "def g(x): pass\n", "x\n"])
def test_long_answers_are_read_in_time(line):
    """Many possible ends of the program do not take quadratic time."""
    text = f"{CODE}\n" + line * (MAX_CHARS // len(line) // 64)
    assert take(f"```\n{text}```").found is ExtractedProgram.FENCE
    assert take(text + "\n)").found is ExtractedProgram.AMID_PROSE


BODY = "    return x\n"
HEAD = "def f(x):\n"


@pytest.mark.parametrize(
    ("text", "completes", "code", "cut"),
    [
        (f"<think>hm</think>\n{BODY}", True, BODY, ("reasoning",)),
        (f"hm</think>{BODY}", True, BODY, ("reasoning",)),
        (f"<think>\n\n</think>\n\n{BODY}", True, BODY, ()),
        (f"[THINK]hm[/THINK]{HEAD}{BODY}", False, f"{HEAD}{BODY}", ("reasoning",)),
        (f"analysishm.assistantfinal```python\n{HEAD}{BODY}```", False,
         f"{HEAD}    return x", ("reasoning",)),
        (BODY, True, BODY, ()),
        (f"{HEAD}    # <think>hm</think>\n{BODY}", False,
         f"{HEAD}    # <think>hm</think>\n{BODY}", ()),
        (f"    # <think>hm</think>\n{BODY}", True, f"    # <think>hm</think>\n{BODY}", ()),
    ],
)  # fmt: skip
def test_thinking_in_a_given_program_is_cut(text, completes, code, cut):
    """Of a file of samples; valid Python is left alone, and no indentation is lost."""
    found = given_program(text, ("f",), HEAD, completes=completes)
    assert (found.code, found.cut) == (code, cut)


DRAFT = "def f(x):\n    return x"


@pytest.mark.parametrize(
    "between",
    [
        "This does not handle negative numbers, so:",
        "Wait, that is wrong because x counts from 0. Let me rewrite it:",
        "Oops, I forgot that x isn't sorted. Here it is again:",
        "Now a version that does not assume sorted input:",
        "To make sure that numbers that are not positive count too:",
        "This fails for 0. Instead of the naive approach, add one:",
    ],
)
def test_a_corrected_answer_is_not_graded_on_its_draft(between):
    """What the text above the last block says is about the draft, unless it is a label."""
    assert take(f"{fence(DRAFT)}\n{between}\n{fence(CODE)}").code.strip() == CODE


@pytest.mark.parametrize(
    "label",
    ["Do not do this:", "A naive approach:", "**Wrong:**", "A common mistake:", "Anti-pattern:"],
)
def test_a_last_block_that_is_labelled_wrong_is_not_taken(label):
    """An explicit label rejects the last block if another one is whole."""
    extract = take(f"{fence(CODE)}\n\n{label}\n{fence(DRAFT)}")
    assert (extract.code.strip(), extract.chosen) == (CODE, ChosenBy.NOT_REJECTED)


COMMENTED = """def f(x):
    # compare (0, 1), (0, 2), ...; the rest of the implementation is below
    for y in [x]:
        if y == x:
            return True
    return False"""
NESTED = """def f(x):
    class Stop(Exception):
        ...
    try:
        raise Stop
    except Stop:
        return True"""


@pytest.mark.parametrize("code", [COMMENTED, NESTED])
def test_a_whole_function_is_no_stub_for_a_comment_or_an_inner_class(code):
    """Its usage in another block does not become its body."""
    extract = take(f"{fence(code)}\nUsage:\n{fence('print(f(1))')}")
    assert (extract.code.strip(), extract.found) == (code, ExtractedProgram.FENCE)


@pytest.mark.parametrize("usage", ["print(f(1))", "[2, 3]", "y = f(1)\ny"])
def test_no_usage_becomes_the_body_of_a_stub(usage):
    """A block without `return` that calls the function or shows a value is no body."""
    extract = take(f"{fence('def f(x): ...')}\n{fence(usage)}")
    assert extract.chosen is ChosenBy.FIRST


def test_a_recursive_body_in_a_block_of_its_own_is_joined():
    """A `return` tells a body that calls its function from a usage."""
    body = "if x < 1:\n    return 1\nreturn f(x - 1) + 1"
    extract = take(f"{fence('def f(x): ...')}\n{fence(body)}\n{fence('print(f(1))')}")
    assert (extract.chosen, "print" in extract.code) == (ChosenBy.JOINED, False)


SET_UPS = {
    "a function that fills a table": (
        "table = [0] * 9\ndef fill(n):\n    table[n] = n + 1\ndef build():\n    for n in range(9):\n"
        "        fill(n)\ndef f(x):\n    return table[x]\nbuild()"
    ),
    "a function that sets a global": (
        "k = 0\ndef start():\n    global k\n    k = 1\ndef f(x):\n    return x + k\nstart()"
    ),
    "calls in a loop": (
        "seen = set()\ndef note(n):\n    seen.add(n)\ndef f(x):\n    return x + len(seen)\n"
        "for n in [1]:\n    note(n)"
    ),
    "a function that changes its argument": (
        "q = []\ndef put(to, n):\n    to.append(n)\ndef f(x):\n    return x + q[0]\nput(q, 1)"
    ),
    "a module's function": (
        "import heapq\nq = []\ndef f(x):\n    return x + q[0]\nheapq.heappush(q, 1)"
    ),
    "a decorator that fills a table": (
        "ops = {}\ndef op(name):\n    def add(g):\n        ops[name] = g\n        return g\n"
        "    return add\ndef f(x):\n    return ops['+'](x)\n@op('+')\ndef plus(x):\n    return x + 1"
    ),
    "a single dispatch": (
        "from functools import singledispatch\ndef f(x):\n    return go(x)\n@singledispatch\n"
        "def go(x):\n    return 0\n@go.register(int)\ndef _(x):\n    return x + 1"
    ),
    "subclasses": (
        "class Base:\n    subs = []\n    def __init_subclass__(cls):\n        Base.subs.append(cls)\n"
        "def f(x):\n    return Base.subs[0]().add(x)\nclass One(Base):\n    def add(self, x):\n"
        "        return x + 1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", SET_UPS.values(), ids=SET_UPS)
def test_what_sets_up_the_function_below_it_stays(code):
    """Calls and definitions that change what the function uses are no usage."""
    extract = take(fence(f"{code}\nprint(f(1))"))
    assert (extract.code.strip(), extract.cut) == (code, ("usage",))


@pytest.mark.parametrize(
    "usage",
    [
        "def test():\n    memo.clear()\n    assert f(1) == 2\ntest()",
        "def show():\n    memo[1] = f(1)\nshow()",
        "def g(n):\n    memo[n] = n\n    return n\nprint(g(1))",
        "import timeit\ntimeit.timeit(lambda: f(1))",
    ],
)
def test_a_usage_that_changes_a_table_is_cut(usage):
    """What calls the function or prints is no set-up."""
    code = "memo = {}\ndef f(x):\n    return memo.get(x, x + 1)"
    kept = take(fence(f"{code}\n{usage}")).code
    assert not any(line in kept for line in ("\ntest()", "\nshow()", "print(", "timeit.timeit("))


def test_the_looks_at_repeated_tokens_are_bounded(monkeypatch):
    """Each look at whether a token is quoted reads the text, so many would take quadratic time."""
    looks = []
    is_quoted = end_of_text._is_quoted
    monkeypatch.setattr(
        end_of_text, "_is_quoted", lambda *given: looks.append(1) or is_quoted(*given)
    )
    without_start("def f():\n" + "<|call_begin|>" * 1000)
    assert len(looks) == end_of_text.MAX_OPENINGS


@pytest.mark.parametrize("end", ["```", "```\nDone.", "\n```", "  ```\n\nIt adds."])
def test_a_fence_ends_the_body_that_continues_the_prompts_fence(end):
    """At the end of a line of code too; in answers and in continuations."""
    text = f"    return x + 1{end}"
    for found in (
        python_program(text, ("f",), PROMPT),
        cut_continuation(PROMPT, text, ("f",), STOPS),
    ):
        assert found.code.rstrip() == "    return x + 1"


@pytest.mark.parametrize("text", ["    y = x + 1\n    return y", "y = x + 1\nreturn y"])
@pytest.mark.parametrize("is_fenced", [True, False])
def test_a_body_continues_a_prompt_that_is_only_a_signature(text, is_fenced):
    """BigCodeBench's instructions end with one, without a description."""
    found = python_program(f"```python\n{text}\n```" if is_fenced else text, ("f",), "def f(x):\n")
    assert found.found is ExtractedProgram.BODY
    assert found.code.rstrip() == "    y = x + 1\n    return y"
