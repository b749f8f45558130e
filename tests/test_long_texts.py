"""Functions that search texts of models and files take time in proportion to the length."""

import time

import pytest

from evolcoder.bench import end_of_text
from evolcoder.bench.other_languages import rank
from evolcoder.code.blocks import is_python2
from evolcoder.code.notations import as_written, plain_code
from evolcoder.code.statements import is_whole
from evolcoder.engine.openai_schema import parse_error
from evolcoder.evolution.parse import append_addition
from evolcoder.programming_language import CodeBlock
from evolcoder.report.render import code_html
from evolcoder.seeds.templates import turns_in_text, without_end
from evolcoder.verification.agreement import typed_calls
from evolcoder.verification.complexity.bounds import parse_bounds
from evolcoder.verification.execution.check import may_be_unsupported_dialect
from evolcoder.verification.execution.stated_output import misstated
from evolcoder.verification.execution.wrapping import TEMPLATES, wrap_variants

N_CHARS = 80_000
MAX_S = 5.0
"""A search that takes time with the square of the length takes longer here."""
LANGUAGES = (*TEMPLATES, "python", "javascript", "typescript", "php", "racket")

FUNCTIONS = {
    "append_addition": lambda text: append_addition(f"Sort it.\n{text}", "Be fast."),
    "as_written": as_written,
    "is_python2": is_python2,
    "is_whole": lambda text: is_whole(f"def f():\n    return 1\n    # {text}", ["f"]),
    "may_be_unsupported_dialect": lambda text: [
        may_be_unsupported_dialect(one, text) for one in LANGUAGES
    ],
    "misstated": lambda text: misstated(f"print(1)  # Output: 1{text}", text, "1\n"),
    "parse_bounds": parse_bounds,
    "parse_error": lambda text: parse_error(f"<html>{text}".encode()),
    "plain_code": plain_code,
    "rank": lambda text: rank(f"func f() int {{\n{text}\n}}", "go", "f"),
    "turns_in_text": turns_in_text,
    "typed_functions": lambda text: [
        typed_calls.functions_of(one, text) for one in sorted(typed_calls.LANGUAGES)
    ],
    "without_end": lambda text: without_end(f"a{text}a"),
    "code_html": lambda text: code_html(CodeBlock("python", text[:20_000], True, "python")),
    "end_of_answer": lambda text: end_of_text.without_end(f"a = b{text}[EOS] + 1"),
    "wrap_variants": lambda text: [wrap_variants(one, text) for one in LANGUAGES],
}
PIECES = [
    " ",
    "\n",
    " \n",
    "a",
    "*",
    "#",
    "-",
    "...",
    "(",
    "O(n) ",
    "f()\n",
    "def f(x):\n    return x\n",
    "/* ",
    "[INST] ",
    "<<SYS>>",
    "<script ",
    "import (\n",
]


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_long_text_is_searched_in_linear_time(name, piece):
    """Whatever it repeats: a row must not hold up all others."""
    text = piece * (N_CHARS // len(piece))
    begun = time.process_time()
    FUNCTIONS[name](text)
    assert time.process_time() - begun < MAX_S
