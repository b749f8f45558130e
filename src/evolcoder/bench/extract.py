r"""Extracts the program from a model's answer.

Guarantees: nothing is run; the result is deterministic, and names every part that was removed and
the rule by which one of several blocks was chosen.
Does not check that the program is correct or compiles: a broken program is passed on unchanged, to
fail in the grader. If there is no program, the result is `ExtractedProgram.NOTHING`, not an error.

A Python program is chosen by what the blocks of an answer are: of those that define the function
with a body of its own, the last that the text does not call wrong. Names that it lacks are taken
from the other blocks, and what defines nothing that the function needs is removed.

>>> python_program("Sure:\n```python\ndef f():\n    return 1\n```", ("f",), "").found
<ExtractedProgram.FENCE: 'fence'>
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from evolcoder.bench.answer_blocks import (
    AnswerBlock,
    blocks_of,
    chosen_program,
    completed,
    defines,
    end_of_signatures,
    without_margin,
)
from evolcoder.bench.base import ExtractedProgram, Extraction
from evolcoder.bench.end_of_text import glued_tokens, one_turn, without_end, without_start
from evolcoder.code import broken_source, statements
from evolcoder.code.blocks import as_fences
from evolcoder.code.notations import as_lines, indented_as_fences, plain_code, unmarked
from evolcoder.code.python_ast import tree_of
from evolcoder.fences import before_bare_fence, without_code
from evolcoder.reasoning import split

_CODE_LINE = re.compile(
    r"^(?:from\s+[\w.]+\s+import\b|import\s+[\w.]+[ \t]*(?:$|,|as\b|;|#)"
    r"|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[:(]|@\w)",
    re.MULTILINE,
)
_LABEL_ABOVE = re.compile(
    r"^[A-Z][\w ]{0,30}[:!.][ \t]+(?=(?:def|class|import|from|async|@)\b)", re.MULTILINE
)
"""Words before code on its first line, such as "Answer:"."""
_TABLE = re.compile(r"\A\s*\[[\w.]{1,40}\]\n")
"""The head of a table in TOML."""
NOTEBOOK = re.compile(r"^[ \t]*(?:![\w./]|%{1,2}\w)[^\n]*\n?", re.MULTILINE)
"""A line with a command of a notebook."""
_FIRST_LINE = re.compile(
    r"\A\s*(?:(?:#\s*)?[\w./-]+\.py[ \t]*:?|(?:python|py|Python)3?"
    r"(?:[ \t]*\nCopy(?: code)?)?|Copy code)[ \t]*\n",
)
"""A file name or the language above the code."""
MAX_FENCES = 5
"""Fences at which a body may end; a string may hold one too."""
_GLUED_FENCE = re.compile(r"(?<=[^\s`\"'])[ \t]*```(?=[ \t]*(?:\n|\Z))")
"""A closing fence at the end of a line of code."""
_PROMPTED = re.compile(r"^(?:>>>|\.\.\.)(?: |$)", re.MULTILINE)


def python_program(text: str, names: Sequence[str], prompt: str) -> Extraction:
    """Extract the Python code that defines `names` from an answer to `prompt`."""
    answer, cut = plain_answer(text)
    extract = _in_answer(answer, names, prompt)
    for other in _rewritten(answer) if not _is_found(extract, names) else ():
        again = _in_answer(other, names, prompt)
        if _is_found(again, names):
            extract = again
            break
    return _trimmed(replace(extract, cut=cut), names)


def _is_found(extract: Extraction, names: Sequence[str]) -> bool:
    is_body = extract.found is ExtractedProgram.BODY
    return is_body or statements.is_whole(extract.code, names)


def _rewritten(answer: str) -> Iterator[str]:
    """Yield an answer in which no program was found without what damages its notation."""
    plain = unmarked(answer)
    if plain != answer:
        yield plain
    for end in glued_tokens(answer):
        if answer[:end].strip():
            yield answer[:end]


def _in_answer(answer: str, names: Sequence[str], prompt: str) -> Extraction:
    """Find the program in an answer without thinking."""
    answer = as_fences(answer)
    extract = chosen_program(_repaired_parts(answer, names), names, prompt)
    if extract is None or not parses(extract.code):
        extract = _before_fence(answer, names, prompt) or extract
    if extract is None or extract.found is ExtractedProgram.NO_ENTRY:
        bare = _unfenced(without_code(answer), names, prompt)
        if extract is None or statements.is_whole(bare.code, names):
            extract = bare
    if not statements.is_whole(extract.code, names):
        extract = _otherwise(answer, names, prompt) or extract
    if extract.found in {ExtractedProgram.NO_ENTRY, ExtractedProgram.NOTHING}:
        extract = _closed_body(answer, extract, prompt) or _as_body(
            extract.code or answer, extract, prompt
        )
    return extract


def _closed_body(answer: str, extract: Extraction, prompt: str) -> Extraction | None:
    """Find a body that continues the prompt's fence: it ends at the fence that closes it.

    So do answers that a harness begins with the fence and the prompt.
    """
    name = _last_function(prompt)
    for found in islice(re.finditer("```", answer), MAX_FENCES) if name else ():
        if body := _whole_body(answer[: found.start()], prompt, [name]):
            return replace(extract, code=body, found=ExtractedProgram.BODY)
    return None


def _repaired_parts(
    answer: str, names: Sequence[str], language: str | None = "python"
) -> list[AnswerBlock]:
    return [_repaired(part, names) for part in blocks_of(answer, language)]


def _otherwise(answer: str, names: Sequence[str], prompt: str) -> Extraction | None:
    """Find the function in a block with another language's tag, a patch or an indented block."""
    for text, language in ((answer, None), (indented_as_fences(answer), "python")):
        parts = _repaired_parts(text, names, language)
        if any(part.is_whole for part in parts):
            return chosen_program(parts, names, prompt)
    return None


def plain_answer(text: str) -> tuple[str, tuple[str, ...]]:
    """Return an answer without thinking and end-of-text tokens, and what was removed."""
    reasoning, answer = split(_usual_lines(text))
    cut = ["reasoning"] if reasoning else []
    answer, is_ended = without_end(without_start(answer))
    answer, is_left = one_turn(answer)
    return answer, (*cut, *(["end_of_text"] if is_ended or is_left else []))


def given_program(text: str, names: Sequence[str], prompt: str, *, completes: bool) -> Extraction:
    """Take a sample's text as its program, or as what `completes` the prompt, without thinking.

    A text that is valid Python holds no thinking and no end-of-text tokens. What follows thinking
    is a model's answer, so a fence around its code is removed.
    """
    before = prompt if completes else ""
    if parses(before + text):
        return Extraction(text, ExtractedProgram.WHOLE, ())
    if (lined := as_lines(text)) != text and parses(before + lined):
        return Extraction(lined, ExtractedProgram.WHOLE, ())
    reasoning, answer = split(text)
    if answer != text and "```" in answer:
        return python_program(text, names, prompt)
    cut = ["reasoning"] if reasoning else []
    shorter, is_ended = without_end(answer)
    if is_ended and (not names or parses(before + shorter)):
        answer, cut = shorter, [*cut, "end_of_text"]
    return Extraction(answer, ExtractedProgram.WHOLE, tuple(cut))


def parses(code: str) -> bool:
    """Whether code is valid Python."""
    return tree_of(code) is not None


def cut_continuation(
    prompt: str, text: str, names: Sequence[str], stops: Sequence[str]
) -> Extraction:
    """Cut a base model's continuation of a prompt where the function is complete.

    What follows that is no Python, or that the function does not need, is removed; helpers stay.
    If nothing of it parses, the text ends at the first stop sequence, which counts from the
    signature on if the model repeats it.
    """
    text, is_ended = without_end(_usual_lines(text), is_base=True)
    text = _GLUED_FENCE.sub("\n```", text, count=1)
    cut = ("end_of_text",) if is_ended else ()
    for body in _endings(text, names) if names else ():
        found = _continued(prompt, body, names)
        if found is not None:
            is_cut = len(found.code.strip()) < len(text.strip())
            return replace(found, cut=(*cut, *(("continuation",) if is_cut else ())))
    is_code = text.lstrip("\n")[:1].isspace()
    if names and not is_code and (answer := _answered(text, names, prompt)):
        return replace(answer, cut=(*cut, *answer.cut))
    extract = _cut_at_stops(prompt, text, names, stops)
    return replace(extract, cut=(*cut, *extract.cut))


def _usual_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def _endings(text: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the forms of a continuation, and those of it up to each token that may end it."""
    yield from _bodies(text, names)
    if (plain := plain_code(text)) != text:
        yield from _bodies(plain, names)
    for end in glued_tokens(text):
        if text[:end].strip():
            yield from _bodies(text[:end], names)


def _answered(text: str, names: Sequence[str], prompt: str) -> Extraction | None:
    """Find the program of a base model that answers as a chat model does: in fences, in tags."""
    found = python_program(text, names, prompt)
    is_body = found.found is ExtractedProgram.BODY
    return found if is_body or statements.is_whole(found.code, names) else None


def _bodies(text: str, names: Sequence[str]) -> Iterator[str]:
    """Yield a continuation as it is, and with the indent that it may have lost."""
    dedented = without_margin(text.strip("\n"))
    if _CODE_LINE.match(dedented) and defines(dedented, names):
        yield dedented
    yield text
    plain = text[len(text) - len(text.lstrip()) :]
    if not plain or defines(plain, names):
        return
    margin = text[: len(text) - len(plain)].rpartition("\n")[2]
    # Where every line is at the margin, the whole body lost its indent, not only its first line.
    is_body = broken_source.is_body(textwrap.dedent(margin + plain))
    lost = [textwrap.indent(textwrap.dedent(margin + plain), "    "), f"    {plain}"]
    yield from lost if is_body else reversed(lost)


def _continued(prompt: str, text: str, names: Sequence[str]) -> Extraction | None:
    """Return what a continuation adds to the prompt, without what the function does not need."""
    whole, given = prompt + text, prompt.count("\n")
    has_own = bool(_CODE_LINE.match(text.lstrip("\n")))
    if not broken_source.is_program(whole):
        if has_own:
            part, rest = broken_source.parsing_part(text, names)
            whole = prompt + part if part else ""
        else:
            whole, rest = broken_source.parsing_part(whole, names, given=given)
        if not whole:
            return None
        helpers = broken_source.defining_parts(rest, statements.unbound(whole))
        whole += f"\n{helpers}\n" if helpers else ""
    elif not prompt.endswith("\n") or not whole.startswith(prompt):
        return None
    if not statements.is_whole(whole, names):
        return None
    whole = statements.first_definitions(whole, names, given)
    whole = statements.needed(whole, names, given=prompt).source
    whole = statements.without_last_comments(whole)
    if not whole.startswith(prompt):
        return None
    code = whole.removeprefix(prompt)
    is_again = defines(code, names) and defines(prompt, names)
    found = ExtractedProgram.REPEATED_SIGNATURE if is_again else ExtractedProgram.WHOLE
    return Extraction(code, found, ())


def _cut_at_stops(prompt: str, text: str, names: Sequence[str], stops: Sequence[str]) -> Extraction:
    dedented = without_margin(text.strip("\n"))
    found, start = ExtractedProgram.WHOLE, 0
    if _CODE_LINE.match(dedented) and (start := end_of_signatures(dedented, names)):
        text = dedented
        found = (
            ExtractedProgram.REPEATED_SIGNATURE
            if defines(prompt, names)
            else ExtractedProgram.WHOLE
        )
    ends = [end for stop in stops if (end := text.find(stop, start)) >= 0]
    end = min(ends, default=len(text))
    return Extraction(text[:end], found, ("continuation",) if end < len(text) else ())


def _repaired(part: AnswerBlock, names: Sequence[str]) -> AnswerBlock:
    """Remove from a block what is no Python: a file name, commands of a notebook, a broken end."""
    code, rest = part.code, ""
    code = unprompted(code)
    named = _FIRST_LINE.match(code)
    if named:
        code = code[named.end() :]
    if not parses(code):
        code = NOTEBOOK.sub("", code)
    code = without_margin(code)
    if not parses(code) and parses(again := _from_margin(code)):
        code = again
    if not parses(code) and defines(code, names):
        repaired, after = broken_source.parsing_part(code, names)
        code, rest = (repaired, after) if repaired else (code, "")
    return replace(part, code=code, rest=rest, is_whole=statements.is_whole(code, names))


def unprompted(code: str) -> str:
    """Return what was typed of a block that shows an interpreter; any other one is unchanged."""
    n_prompts = len(_PROMPTED.findall(code))
    is_shown = code.lstrip().startswith(">>>") or (n_prompts > 1 and not parses(code))
    if not n_prompts or not is_shown or code.lstrip().startswith("..."):
        return code
    return "\n".join(line[4:] for line in code.split("\n") if _PROMPTED.match(line))


def _from_margin(code: str) -> str:
    """Return a block whose first line alone is at the margin with all of it there."""
    first, newline, rest = code.partition("\n")
    return f"{first}{newline}{textwrap.dedent(rest)}"


def _unfenced(answer: str, names: Sequence[str], prompt: str) -> Extraction:
    """Find code without a fence: the whole answer, or lines within its prose."""
    answer = plain_code(answer)
    for whole in (answer, without_margin(answer.strip("\n")), answer.lstrip(), *_quoted(answer)):
        if defines(whole, names) and parses(whole) and not any(_quoted(whole)):
            return Extraction(whole, ExtractedProgram.NO_FENCE, ())
    answer = _LABEL_ABOVE.sub("", answer, count=1)
    if len(_PROMPTED.findall(answer)) > 1:
        answer = re.sub(r"^(?:>>>|\.\.\.)(?: |$)", "", answer, flags=re.MULTILINE)
    lines = answer.split("\n")
    starts = [place for place, line in enumerate(lines) if _CODE_LINE.match(line)]
    if not starts:
        return Extraction("", ExtractedProgram.NOTHING, ())
    code = "\n".join(lines[starts[0] :])
    part = _repaired(AnswerBlock(code, 0, closed=True, before="", after=""), names)
    if not defines(code, names):
        return Extraction(_longest_code(lines[starts[0] :]), ExtractedProgram.NO_ENTRY, ())
    code, _ = completed(part, [part], names, prompt) if part.is_whole else (part.code, False)
    return Extraction(code, ExtractedProgram.AMID_PROSE, ())


def _quoted(answer: str) -> Iterator[str]:
    """Yield the text of an answer that is a string, or a field with one, as TOML has."""
    source = _TABLE.sub("", answer, count=1).strip()
    tree = tree_of(source)
    node = tree.body[0] if tree is not None and len(tree.body) == 1 else None
    value = node.value if isinstance(node, ast.Assign | ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value.strip("\n")


def _before_fence(answer: str, names: Sequence[str], prompt: str) -> Extraction | None:
    """Find code before a closing fence whose opening fence is missing."""
    head = before_bare_fence(answer)
    extract = _unfenced(head, names, prompt) if head.strip() else None
    if extract is None or not statements.is_whole(extract.code, names):
        return None
    return replace(extract, found=ExtractedProgram.CLOSING_FENCE)


def _longest_code(lines: list[str]) -> str:
    """Return the longest prefix of the lines that parses, or all lines if none does."""
    unindented = [place for place, line in enumerate(lines) if line[:1].strip()][1:]
    size = 1 + sum(map(len, lines))
    n_tries = min(broken_source.MAX_TRIES, broken_source.MAX_PARSED // size)
    for end in [len(lines), *reversed(unindented[:n_tries])]:
        code = "\n".join(lines[:end])
        if parses(code):
            return code
    return "\n".join(lines)


def _as_body(text: str, extract: Extraction, prompt: str) -> Extraction:
    """Interpret an answer without signature as the body of the prompt's function, if possible."""
    names = [_last_function(prompt)] if _last_function(prompt) else []
    if not names:
        return extract
    body = _with_helpers(text, prompt, names, is_first=True) or _whole_body(text, prompt, names)
    body = body or _with_helpers(text, prompt, names, is_first=False)
    if body:
        return replace(extract, code=body, found=ExtractedProgram.BODY)
    is_known = extract.found is ExtractedProgram.NO_ENTRY
    return extract if is_known else replace(extract, code="")


def _whole_body(text: str, prompt: str, names: Sequence[str]) -> str:
    """Return a text that is a body at the indent of the prompt's function; empty if it is none."""
    return next(
        (
            f"{body.rstrip()}\n"
            for body in _margins(text)
            if broken_source.is_body(textwrap.dedent(body))
            and broken_source.is_program(whole := f"{prompt.rstrip()}\n{body}\n")
            and statements.is_whole(whole, names)
        ),
        "",
    )


def _with_helpers(text: str, prompt: str, names: Sequence[str], *, is_first: bool) -> str:
    """Return an indented body with what it needs of the lines at the margin; empty if it is none.

    `is_first`: whether the body begins the text, rather than stands below prose.
    """
    lines = text.strip("\n").split("\n")
    begin = next((at for at, line in enumerate(lines) if line[:1].isspace() and line.strip()), -1)
    if begin < 0 or (begin == 0) != is_first or any(map(_CODE_LINE.match, lines[:begin])):
        return ""
    below = "\n".join(lines[begin:])
    head = _indented_head(below)
    for body in (below, textwrap.indent(textwrap.dedent(head), "    ")):
        found = _continued(prompt, body, names)
        if found is not None and broken_source.is_body(textwrap.dedent(_indented_head(found.code))):
            return found.code
    return ""


def _indented_head(text: str) -> str:
    """Return the lines of a text up to the first one at the margin."""
    found = re.search(r"^\S", text, re.MULTILINE)
    return text[: found.start()] if found else text


def _margins(text: str) -> Iterator[str]:
    """Yield a body at the indent of a function, however it was indented."""
    text = text.strip("\n")
    yield textwrap.indent(without_margin(text), "    ")
    first, newline, rest = text.partition("\n")
    yield f"    {first.lstrip()}{newline}{rest}"
    yield f"    {first.lstrip()}{newline}{textwrap.indent(textwrap.dedent(rest), '    ')}"
    yield f"    {first.lstrip()}{newline}{textwrap.indent(textwrap.dedent(rest), '        ')}"


def _last_function(prompt: str) -> str:
    """Return the name of the function with which a prompt ends; empty if it ends otherwise.

    A signature without a description needs a body to be parsed.
    """
    tree = tree_of(prompt) or tree_of(f"{prompt.rstrip()}\n    pass\n")
    last = tree.body[-1] if tree is not None and tree.body else None
    name = getattr(last, "name", "")
    return name if isinstance(name, str) else ""


def _trimmed(extract: Extraction, names: Sequence[str]) -> Extraction:
    """Remove what the function does not need: a main guard, example usage, tests."""
    if extract.found is ExtractedProgram.BODY:
        return extract
    pruned = statements.needed(extract.code, names)
    return replace(extract, code=pruned.source, cut=(*extract.cut, *pruned.cut))
