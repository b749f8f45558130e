"""Programs of other languages in answers: stubs first, prose around, braces that are missing."""

import html
import json
import textwrap

import pytest

from evolcoder.bench.appended_tests import fit_to_tests
from evolcoder.bench.base import (
    ChosenBy,
    ExtractedProgram,
    Problem,
    ProgramChecks,
    PromptForm,
    Sample,
)
from evolcoder.bench.multipl_e import MultiplE
from evolcoder.bench.other_languages import MENTION, STUB, WHOLE, n_open, rank, without_usage

PROGRAMS = {
    "rust": (
        "/// Adds one.\nfn add(x: u8) -> u8 {\n",
        "use std::mem;\n\nfn add(x: u8) -> u8 {\n    let y = x;\n    y + 1\n}",
        "    todo!()\n}",
    ),
    "cpp": (
        "#include<assert.h>\n// Adds one.\nlong add(long x) {\n",
        "#include <map>\n\nlong add(long x) {\n    return x + 1;\n}",
        "    // your code here\n}",
    ),
    "go": (
        "package add_test\n\n// Adds one.\nfunc add(x int) int {\n",
        "package add_test\n\nfunc add(x int) int {\n    return x + 1\n}",
        "    // TODO: implement\n    return 0\n}",
    ),
    "javascript": (
        "//Adds one.\nfunction add(x){\n",
        "const one = 1;\n\nfunction add(x) {\n  return x + one;\n}",
        "  // ...\n}",
    ),
    "java": (
        "import java.util.*;\nclass Problem {\n    // Adds one.\n    public static long add(long x) {\n",
        (
            "import java.util.*;\n\nclass Problem {\n    public static long add(long x) {\n"
            "        return x + 1;\n    }\n}"
        ),
        '        throw new UnsupportedOperationException("Not implemented");\n    }\n}',
    ),
}
LANGUAGES = list(PROGRAMS)


def program(language, answer, form=PromptForm.ANSWER):
    prompt = PROGRAMS[language][0]
    problem = Problem("Toy_0_add", prompt, ProgramChecks(language, "add", "add"), None, "", ())
    bench = MultiplE("toy", (problem,), ())
    return bench.candidate(problem, Sample.of(problem.id, 0, answer, form))


def fence(code, language):
    return f"```{language}\n{code}\n```"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stub_is_no_answer(language):
    """Before or behind the program, and an example of its use is none either."""
    prompt, code, body = PROGRAMS[language]
    stub, whole = fence(prompt + body, language), fence(code, language)
    plain = program(language, whole).program
    use = fence("add(1);", language)
    for answer in (f"{stub}\nNow:\n{whole}", f"{whole}\nfills\n{stub}", f"{whole}\n{use}"):
        candidate = program(language, answer)
        assert candidate.program == plain
    assert program(language, f"{stub}\n{whole}").chosen is ChosenBy.NOT_STUB


@pytest.mark.parametrize("language", LANGUAGES)
def test_prose_around_unfenced_code_is_cut(language):
    """Sentences, lists and tokens that end a text."""
    _, code, _ = PROGRAMS[language]
    plain = program(language, fence(code, language)).program
    for answer in (
        f"Sure! Use the following code:\n\n{code}\n\nIt's O(1), I think.\n- one\n",
        f"{code}\n<|im_end|>",
        f"{code}\n```\nThat's it.",
    ):
        assert program(language, answer).program.split() == plain.split()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_missing_closing_brace_is_no_error(language):
    """Models that were stopped at it leave the function open, as the tests or we close it."""
    _, code, _ = PROGRAMS[language]
    n_closed = 2 if language == "java" else 1
    cut = code
    for _ in range(n_closed):
        cut = cut.rstrip().removesuffix("}").rstrip()
    found = program(language, fence(cut, language)).program
    closed = {"rust": "}", "cpp": "}", "java": "}\n}"}.get(language, "")
    assert found.count("{") == (found + closed).count("}")
    assert "end_of_answer" not in found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_body_alone_continues_the_prompt(language):
    """With and without its indent."""
    prompt, code, _ = PROGRAMS[language]
    body = code.partition("add(")[2].partition("\n")[2].rstrip("}\n ")
    candidate = program(language, fence(body, language))
    assert candidate.found is ExtractedProgram.BODY
    assert candidate.program.count("add(") == prompt.count("add(")


BODIES = {
    "rust": "    let y = x;\n    y + 1\n}",
    "cpp": "    return x + 1;\n}",
    "go": "    return x + 1\n}",
    "javascript": "  const one = 1;\n  return x + one;\n}",
    "java": "        return x + 1;\n    }",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_body_without_a_fence_continues_the_prompt(language):
    """Prose is none, whatever it is about."""
    body = BODIES[language]
    candidate = program(language, body)
    assert candidate.found is ExtractedProgram.BODY
    fenced = program(language, fence(body, language)).program
    assert candidate.program.split() == fenced.split()
    for prose in ("One adds one.", "I return x plus one;\nso it is right.", "No.\n\n}"):
        assert program(language, prose).found is not ExtractedProgram.BODY
    assert program(language, f"The body:\n{body}").found is not ExtractedProgram.BODY


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_whole_program_of_a_file_is_assembled_as_an_answer(language):
    """`solution` is not what the tests can be appended to; what was assembled stays as it is."""
    _, code, _ = PROGRAMS[language]
    made = program(language, code, PromptForm.PROGRAM).program
    assert made == program(language, fence(code, language)).program
    assert program(language, made, PromptForm.PROGRAM).program.split() == made.split()


def test_blocks_are_ranked_by_what_they_define():
    """A definition with a body, a stub, a mention."""
    for language, (prompt, code, body) in PROGRAMS.items():
        assert rank(code, language, "add") == WHOLE
        assert rank(prompt + body, language, "add") == STUB
        assert rank("add(1)", language, "add") == MENTION
        assert rank("other(1)", language, "add") == 0


def test_a_bracket_in_a_pattern_does_not_leave_a_program_open():
    """A program whose last line closes at the margin is closed."""
    code = "function add(x) {\n  return /[{]/.test(x);\n}"
    assert n_open(code) == 0
    assert fit_to_tests(code, language="javascript", prompt="") == code


NOTATIONS = {
    "JSON": lambda code, tag: json.dumps({"code": code}),
    "JSON in a fence": lambda code, tag: fence(json.dumps({"solution": code}), "json"),
    "Markdown's block": lambda code, tag: f"So:\n\n{textwrap.indent(code, '    ')}\n\nDone.",
    "Markdown's block alone": lambda code, tag: textwrap.indent(code, "    "),
    "patch": lambda code, tag: fence(textwrap.indent(code, "+", lambda _: True), "diff"),
    "numbers": lambda code, tag: fence(
        "\n".join(f"{n:2d} | {line}" for n, line in enumerate(code.split("\n"), 1)), tag
    ),
    "quoted": lambda code, tag: textwrap.indent(fence(code, tag), "> ", lambda _: True),
    "wide blanks": lambda code, tag: fence(code.replace("  ", "\u00a0\u00a0"), tag),
    "pre": lambda code, tag: f"<pre>\n{html.escape(code, quote=False)}\n</pre>",
    "entities": lambda code, tag: fence(html.escape(code, quote=False), tag),
    "here-document": lambda code, tag: fence(f"cat > main.x <<EOF\n{code}\nEOF", "bash"),
    "another tag": lambda code, tag: fence(code, "kotlin"),
    "a string": lambda code, tag: json.dumps(fence(code, tag)),
    "next turn": lambda code, tag: f"{fence(code, tag)}</s>\n[INST] {fence('x', tag)}",
    "lines end by CR": lambda code, tag: fence(code, tag).replace("\n", "\r"),
    "byte order mark": lambda code, tag: f"\ufeff{fence(code, tag)}",
    "token glued to the end": lambda code, tag: f"{code}<pad>",
    "echo of the prompt": lambda code, tag: f"[INST] Add. [/INST] {fence(code, tag)}",
    "head of the turn": lambda code, tag: f"<|im_start|>assistant\n{fence(code, tag)}",
    "box": lambda code, tag: f"So: <|begin_of_box|>\n{fence(code, tag)}<|end_of_box|>",
    "CDATA": lambda code, tag: f"<answer><![CDATA[\n{code}\n]]></answer>",
    "parameter": lambda code, tag: f'<parameter name="code">{code}</parameter>',
    "AsciiDoc": lambda code, tag: f"[source,{tag}]\n----\n{code}\n----\n",
    "lines of a patch": lambda code, tag: fence(textwrap.indent(code, "+", lambda _: True), ""),
    "language below the fence": lambda code, tag: fence(f"{tag}\n{code}", ""),
    "file name": lambda code, tag: fence(f"src/main.x:\n{code}", tag),
    "sentences in the fence": lambda code, tag: fence(
        f"Here is it:\n\n{code}\n\nIt adds one.", tag
    ),
    "two fences": lambda code, tag: f"```\n{fence(code, tag)}\n```",
    "prose around a long import": lambda code, tag: f"Here it is.\n\n{code}\n\nIt adds one.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_is_found_in_other_notations(language):
    """As for Python; and end tokens in its comments are text."""
    _, code, _ = PROGRAMS[language]
    at = code.index("\n", code.index("add")) + 1
    code = f"{code[:at]}// Ends at </s>.\n/* Or\n   at </s> and [INST] */\n{code[at:]}"
    if language == "rust":
        code = f"use std::{{cmp::max, mem}};\n{code}"
    if language == "cpp":
        code = code.replace("long add(long x) {", "long add(long x) {\n    bool less = x < 1;")
    wanted = program(language, fence(code, language)).program
    assert "// Ends at </s>." in wanted
    found = {name: program(language, style(code, language)) for name, style in NOTATIONS.items()}
    assert [name for name, one in found.items() if one.program.rstrip() != wanted.rstrip()] == []


TESTED = """const limits = new Map();

function add(x) {
  return x + limits.get("one");
}

limits.set("one", 1);
for (const one of ["two"]) {
  limits.set(one, 2);
}
"""
TESTS = """const assert = require("assert");
assert.strictEqual(add(1), 7);
console.log(add(1));
for (const x of [1, 2]) {
  console.log(
    add(x)
  );
}
describe("add", () => {
  it("adds", () => {
    expect(add(1)).toBe(2);
  });
});
while (true) {
}
const reader = require("readline").createInterface({ input: process.stdin });
reader.on("line", (line) => {
  process.stdout.write(line);
});
export { add };
export default add;
"""


def test_tests_and_usages_of_a_script_are_not_run():
    """What sets up the function stays; what tests or shows it below goes."""
    assert without_usage(f"{TESTED}{TESTS}", "add").rstrip() == TESTED.rstrip()
    assert without_usage(TESTED, "add") == TESTED
    assert without_usage(f"export {TESTED}", "add") == without_usage(TESTED, "add")
    assert without_usage("const x = 1;\n", "add") == "const x = 1;\n"


HELPED = {
    "rust": (
        "fn one() -> u8 {\n    1\n}",
        "fn add(x: u8) -> u8 {\n    x + one()\n}",
        "mod tools;\nuse crate::tools::one;\n",
    ),
    "cpp": (
        "long one() {\n    return 1;\n}",
        "long add(long x) {\n    return x + one();\n}",
        '#include "tools.h"\n',
    ),
    "go": (
        "func one() int {\n    return 1\n}",
        "func add(x int) int {\n    return x + one()\n}",
        "",
    ),
    "javascript": (
        "const one = () => {\n  return 1;\n};",
        "function add(x) {\n  return x + one();\n}",
        "const { one } = require('./tools');\n",
    ),
    "java": (
        "static long one() {\n    return 1;\n}",
        (
            "class Problem {\n    public static long add(long x) {\n        return x + one();\n"
            "    }\n}"
        ),
        "",
    ),
}
"""A helper, the function that calls it, and its import of a file of its own."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_helper_in_a_block_of_its_own_is_part_of_the_program(language):
    """Before or behind, also as another file; a block that nothing calls is not."""
    helper, main, own = HELPED[language]
    both = f"{helper}\n\n{main}"
    if language == "java":
        both = main.replace("{\n", f"{{\n{helper}\n\n", 1)
    expected = program(language, f"```{language}\n{both}\n```").program.split()
    for blocks in ([helper, main], [main, helper], [helper, own + main]):
        answer = "\n\nThen:\n\n".join(f"```{language}\n{one}\n```" for one in blocks)
        found = program(language, answer)
        assert found.program.split() == expected, blocks
        assert found.chosen is ChosenBy.JOINED
    other = helper.replace("one", "two")
    answer = f"```{language}\n{other}\n```\n\n```{language}\n{both}\n```"
    assert program(language, answer).program.split() == expected


def test_a_class_in_a_block_of_its_own_follows_the_class_that_needs_it():
    """The function's class is closed first, if it lacks its bracket."""
    main = (
        "class Problem {\n    static long add(long x) {\n        return new One().get() + x;\n    }"
    )
    one = "class One {\n    long get() {\n        return 1;\n    }\n}"
    for text in (main, f"{main}\n}}"):
        found = program("java", f"```java\n{text}\n```\n\nwith\n\n```java\n{one}\n```").program
        assert found.index("class One") < found.index("class Problem")
        assert (
            found.count("{") == found.count("}") + 2
        )  # the tests close the last function and the class


def test_brackets_of_types_and_parameters_are_no_empty_body():
    """Go's `interface{}`, defaults and patterns of JavaScript, result types of TypeScript."""
    bodies = {
        "go": ("func add(x interface{}) interface{} {\n", "    y := x\n    return y\n}"),
        "javascript": ("function add(x = {}, {a} = {}) {\n", "  const y = x;\n  return y;\n}"),
        "typescript": ("function add(x: {}): {} {\n", "  const y = x;\n  return y;\n}"),
        "rust": ("fn add<F>(x: F) -> u8 where F: Fn(u8) -> u8 {\n", "    let y = 1;\n    x(y)\n}"),
    }
    for language, (head, body) in bodies.items():
        assert rank(head + body, language, "add") == WHOLE, language
        assert rank(head + "    // TODO\n}", language, "add") == STUB, language
