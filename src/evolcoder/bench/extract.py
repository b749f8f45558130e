r"""Extracts the program from a model's answer.

Guarantees: nothing is run; the result is deterministic, and names every part that was removed.
Does not check that the program is correct or compiles: a broken program is passed on unchanged, to
fail in the grader. If there is no program, the result is `ExtractedProgram.NOTHING`, not an error.

>>> python_program("Sure:\n```python\ndef f():\n    return 1\n```", ("f",), "").found
<ExtractedProgram.FENCE: 'fence'>
"""

import ast
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from evolcoder.bench.base import ExtractedProgram
from evolcoder.code.python_ast import tree_of
from evolcoder.reasoning import split
from evolcoder.text import CodeBlock, before_bare_fence, code_blocks

MAX_TRIES = 20
"""Most positions tried as the end of a program; otherwise the work would be quadratic."""
MAX_PARSED = 4_000_000
"""Most characters parsed in search of one program."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HEAD = r"^(?:(?:(?:async\s+)?def|class)\s+{name}\b|{name}\s*(?::[^\n=]*)?=(?!=)).*$"
_GUARD = re.compile(r"^if\s+\(?\s*__name__\s*==", re.MULTILINE)
_USAGE = re.compile(
    r"^#+\s*(?:(?:example|sample)s?\b|(?:test|driver|usage)\b)[^\n]*$", re.MULTILINE | re.IGNORECASE
)
_CODE_LINE = re.compile(
    r"^(?:from\s+[\w.]+\s+import\b|import\s+[\w.]+[ \t]*(?:$|,|as\b|;|#)"
    r"|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[:(]|@\w)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code extracted from an answer."""

    code: str
    """The program, or the function's body if `found` is BODY; empty if nothing was found."""
    found: ExtractedProgram
    """Where the code was found."""
    cut: tuple[str, ...]
    """Parts that were removed, in order."""


def python_program(text: str, names: Sequence[str], prompt: str) -> Extraction:
    """Extract the Python code that defines `names` from an answer to `prompt`."""
    reasoning, answer = split(text.replace("\r\n", "\n"))
    cut = ("reasoning",) if reasoning else ()
    code, found = fenced(answer, "python", lambda block: defines(block, names))
    if found is ExtractedProgram.NOTHING:
        code, found = _unfenced(answer, names)
    elif found is ExtractedProgram.NO_ENTRY or not parses(code):
        code, found = _before_fence(answer, names) or (code, found)
    if found in {ExtractedProgram.NO_ENTRY, ExtractedProgram.NOTHING}:
        code, found = _as_body(code or answer, found, prompt)
    return _trimmed(Extraction(code, found, cut), names)


def given_program(text: str, names: Sequence[str], prompt: str, *, completes: bool) -> Extraction:
    """Take a sample's text as its program, or as what `completes` the prompt, without thinking.

    A text that is valid Python holds no thinking. What follows thinking is a model's answer, so a
    fence around its code is removed.
    """
    reasoning, answer = split(text)
    if answer == text or parses(prompt + text if completes else text):
        return Extraction(text, ExtractedProgram.WHOLE, ())
    if "```" in answer:
        return python_program(text, names, prompt)
    return Extraction(answer, ExtractedProgram.WHOLE, ("reasoning",) if reasoning else ())


def fenced(
    answer: str, language: str, wanted: Callable[[str], bool]
) -> tuple[str, ExtractedProgram]:
    """Return the first fenced block that `wanted` accepts, else the first in the language."""
    blocks = [block for block in code_blocks(answer) if block.language in {None, language}]
    blocks = [block for block in blocks if block.code.strip()]
    for place, block in enumerate(blocks):
        code = _dedented(block.code)
        if wanted(code):
            return code, _location(block, place)
    return (blocks[0].code, ExtractedProgram.NO_ENTRY) if blocks else ("", ExtractedProgram.NOTHING)


def defines(code: str, names: Sequence[str]) -> bool:
    """Whether code defines every name at top level; it need not parse."""
    return not names or _end_of_signatures(code, names) > 0


def parses(code: str) -> bool:
    """Whether code is valid Python."""
    return tree_of(code) is not None


def cut_continuation(
    prompt: str, text: str, names: Sequence[str], stops: Sequence[str]
) -> Extraction:
    """Truncate a base model's continuation of a prompt at the first stop sequence.

    If the model repeats the signature, stop sequences count from there on.
    """
    text = text.replace("\r\n", "\n")
    dedented = _dedented(text.strip("\n"))
    found, start = ExtractedProgram.WHOLE, 0
    if _CODE_LINE.match(dedented) and (start := _end_of_signatures(dedented, names)):
        text = dedented
        found = (
            ExtractedProgram.REPEATED_SIGNATURE
            if defines(prompt, names)
            else ExtractedProgram.WHOLE
        )
    ends = [end for stop in stops if (end := text.find(stop, start)) >= 0]
    end = min(ends, default=len(text))
    return Extraction(text[:end], found, ("continuation",) if end < len(text) else ())


def _location(block: CodeBlock, place: int) -> ExtractedProgram:
    if not block.closed:
        return ExtractedProgram.OPEN_FENCE
    return ExtractedProgram.LATER_FENCE if place else ExtractedProgram.FENCE


def _unfenced(answer: str, names: Sequence[str]) -> tuple[str, ExtractedProgram]:
    """Find code without a fence: the whole answer, or lines within its prose."""
    if defines(answer, names) and parses(answer):
        return answer, ExtractedProgram.NO_FENCE
    lines = answer.split("\n")
    starts = [place for place, line in enumerate(lines) if _CODE_LINE.match(line)]
    if not starts:
        return "", ExtractedProgram.NOTHING
    code = _longest_code(lines[starts[0] :])
    return code, ExtractedProgram.AMID_PROSE if defines(code, names) else ExtractedProgram.NO_ENTRY


def _before_fence(answer: str, names: Sequence[str]) -> tuple[str, ExtractedProgram] | None:
    """Find code before a closing fence whose opening fence is missing."""
    code, found = _unfenced(before_bare_fence(answer), names)
    is_program = found in {ExtractedProgram.NO_FENCE, ExtractedProgram.AMID_PROSE} and parses(code)
    return (code, ExtractedProgram.CLOSING_FENCE) if is_program else None


def _longest_code(lines: list[str]) -> str:
    """Return the longest prefix of the lines that parses, or all lines if none does."""
    unindented = [place for place, line in enumerate(lines) if line[:1].strip()][1:]
    n_tries = min(MAX_TRIES, MAX_PARSED // (1 + sum(map(len, lines))))
    for end in [len(lines), *reversed(unindented[:n_tries])]:
        code = "\n".join(lines[:end])
        if parses(code):
            return code
    return "\n".join(lines)


def _as_body(text: str, found: ExtractedProgram, prompt: str) -> tuple[str, ExtractedProgram]:
    """Interpret an answer without signature as the body of the prompt's function, if possible."""
    body = _dedented(text.strip("\n"))
    prompt_tree, tree = tree_of(prompt), tree_of(body)
    last = prompt_tree.body[-1] if prompt_tree is not None and prompt_tree.body else None
    if tree is not None and isinstance(last, _SCOPES):
        returns = any(isinstance(node, ast.Return) for node in ast.walk(tree))
        if returns and not any(isinstance(line, _SCOPES) for line in tree.body):
            return textwrap.indent(body, "    "), ExtractedProgram.BODY
    return (text, found) if found is ExtractedProgram.NO_ENTRY else ("", found)


def _dedented(code: str) -> str:
    """Remove a common indent; code without one is returned unchanged, including blank lines."""
    return textwrap.dedent(code) if code[:1].isspace() else code


def _trimmed(extract: Extraction, names: Sequence[str]) -> Extraction:
    """Remove demonstration code: a main guard, example usage."""
    code, cut = extract.code, list(extract.cut)
    start = _end_of_signatures(code, names)
    for name, pattern in (("main_guard", _GUARD), ("usage", _USAGE)):
        for match in islice(pattern.finditer(code, start), MAX_TRIES if start else 0):
            kept, rest = code[: match.start()], code[match.start() :]
            if not _needs(kept, rest):
                code = kept.rstrip() + "\n"
                cut.append(name)
                break
    return Extraction(code, extract.found, tuple(cut))


def _needs(kept: str, rest: str) -> bool:
    """Whether the kept code uses a function or class that the rest defines."""
    defined = re.findall(r"^(?:async\s+)?(?:def|class)\s+(\w+)", rest, re.MULTILINE)
    return bool(defined) and not set(defined).isdisjoint(re.findall(r"\w+", kept))


def _end_of_signatures(code: str, names: Sequence[str]) -> int:
    """Return the largest end of a first line that defines one of `names`; 0 if one is missing."""
    heads = [re.search(_HEAD.format(name=re.escape(name)), code, re.MULTILINE) for name in names]
    return max((head.end() for head in heads if head), default=0) if all(heads) else 0
