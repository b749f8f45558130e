r"""Chooses among the blocks of an answer, and puts together those that belong together.

Of the blocks that define a function with a body, the last that the text does not call wrong is the
program; stubs give way, and names that it lacks are taken from the other blocks. Nothing is run.

>>> blocks = blocks_of("Sure:\n```python\ndef f():\n    return 1\n```")   # doctest: +SKIP
>>> chosen_program(blocks, ("f",), "").code   # doctest: +SKIP
'def f():\n    return 1'
"""

import ast
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evolcoder.bench.base import ChosenBy, ExtractedProgram, Extraction
from evolcoder.code import broken_source, statements
from evolcoder.code.notations import plain_code
from evolcoder.code.python_ast import tree_of
from evolcoder.code.top_level import SCOPES, bound
from evolcoder.programming_language import CodeBlock, code_blocks

MAX_BLOCKS = 40
"""Most blocks of an answer that are compared: the last ones."""
_HEAD = r"^(?:(?:(?:async\s+)?def|class)\s+{name}\b|{name}\s*(?::[^\n=]*)?=(?!=)).*$"
_GOOD = re.compile(
    r"\b(?:correct(?:ed|ion)?|fix(?:ed|es)?|final|optimi[sz]ed|improved|better|updated|revised|right"
    r"|faster|efficient|solution|complete)\b",
    re.IGNORECASE,
)
_BAD = re.compile(
    r"\b(?:(?:do|does|did|is|are|would|will|should|must|can)(?: not|n[o'’]t)|don['’]?t"
    r"|never|avoid|wrong(?:ly)?|incorrect(?:ly)?|bad(?:ly)?|buggy|bug|broken|mistakes?|mistaken|fails?|naive|inefficient|anti-?pattern|counter-?example"
    r"|common error|instead of|pitfall)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\b(?:wrong|incorrect|buggy|broken|bad|naive|inefficient)\)?\s+(?:\w+\s+)?"
    r"(?:version|variant|way|solution|approach|attempt|example|code|implementation)\b"
    r"|\b(?:following|this|below)\b[^.\n]{0,40}\b(?:would|will|does|do)(?: not|n['’]t) work\W*$"
    r"|(?:^|[.:!]\s|\byou(?: should| must)?\s)\W*(?:do not|don['’]t|never|avoid)"
    r"\s+(?:do|use|write|try)\b"
    r"|(?:^|[.:!]\s)\W*(?:avoid|why not|what not to do|how not to)\b[^.\n]{0,40}\W*$"
    r"|\b(?:it|this|that) (?:is|would be) (?:wrong|incorrect|a (?:mistake|bug))\W*:\W*$"
    r"|[❌✗✘🚫👎]"
    r"|\bcommon (?:mistake|error)|\bpitfall|anti-?pattern|counter-?example"
    r"|^\W*(?:this (?:one )?is )?(?:wrong|incorrect|buggy|broken|bad)\W*$"
    r"|^\W*(?:before|old|(?:(?:the|your) )?(?:original|old|previous) (?:code|version|function))"
    r"(?: \([^()\n]{0,40}\))?\W*:\W*$",
    re.IGNORECASE | re.MULTILINE,
)
"""Words that call the block below wrong, rather than the one above."""
_LABEL_WITHIN = re.compile(
    r"\A\s*#\W*(?:wrong|incorrect|buggy|bad|broken|naive|don['’]?t|do not|never|before|old)\b"
    r"(?![^\n]*\b(?:fixed|correct(?:ed)?|instead)\b)",
    re.IGNORECASE,
)
"""A comment at the beginning of a block that calls it wrong."""
_NO_CODE = frozenset({"diff", "json", "output", "think", "thinking", "thought", "reasoning"})
"""Tags of blocks in which no program is looked for."""
_OF_OTHER = re.compile(
    r"\b(?:instead of|unlike|rather than|previous|earlier|first|above|replac\w+)\b[^.\n]*$", re.I
)
_BAD_AFTER = re.compile(
    r"\s*(?:\W*\b(?:wait|no|hmm|oops|actually|but|however)\b[^\n]{0,80}"
    r"|\W*(?:this|that|the above|it)\b[^.\n]{0,60})"
    r"\b(?:wrong|incorrect|buggy|broken|fails?"
    r"|(?:does|is|do)(?: not|n['’]t) (?:work|correct|right|handle)"
    r"|mistake|bug)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AnswerBlock:
    """A block of an answer."""

    code: str
    """Its code, or what parses of it."""
    place: int
    """Its number among the answer's blocks."""
    closed: bool
    """Whether its closing fence is present."""
    before: str
    """The paragraph before it."""
    after: str
    """The text behind it, up to the next block."""
    rest: str = ""
    """Text of the block that was removed since it does not parse."""
    is_whole: bool = False
    """Whether it defines the function with a body."""


def defines(code: str, names: Sequence[str]) -> bool:
    """Whether code defines every name at top level; it need not parse."""
    return not names or end_of_signatures(code, names) > 0


def last_wanted(
    answer: str, language: str, ranks: Callable[[str], int], whole: int = 0
) -> tuple[str, ExtractedProgram, ChosenBy]:
    """Return the last of the fenced blocks with the highest rank that the text does not call wrong.

    A rank of 0 is a block without the program. If no block has the rank `whole`, the last block
    with it that has the tag of another language is taken.
    """
    parts = [part for part in blocks_of(answer, language) if part.code.strip()]
    ranked = [(ranks(part.code), part) for part in parts]
    best = max((rank for rank, _ in ranked), default=0)
    if best < whole:
        others = [part for part in blocks_of(answer, None) if ranks(part.code) >= whole]
        if others:
            return others[-1].code, location(others[-1]), ChosenBy.LAST
    if best <= 0:
        if not parts:
            return "", ExtractedProgram.NOTHING, ChosenBy.ONLY
        return parts[0].code, ExtractedProgram.NO_ENTRY, ChosenBy.FIRST
    chosen, rule = last_block([part for rank, part in ranked if rank == best], len(parts))
    return chosen.code, location(chosen), rule


def blocks_of(answer: str, language: str | None = "python") -> list[AnswerBlock]:
    """Return an answer's blocks in a language or without a known one, with the text around them.

    Without a language these are all blocks.
    """
    blocks = code_blocks(answer)
    texts, at = [], 0
    for block in blocks:
        # The text between blocks is only read for words, so a code that occurs twice is no harm.
        begin = answer.find(block.code, at) if block.code else at
        texts.append(answer[at : max(begin, at)])
        at = max(begin, at) + len(block.code)
    texts.append(answer[at:])
    parts = [
        AnswerBlock(
            without_margin(plain_code(block.code, block.tag)),
            0,
            block.closed,
            _last_paragraph(texts[n]),
            texts[n + 1].lstrip("`~ \n")[:200],
        )
        for n, block in enumerate(blocks)
        if _is_readable(block, language) and block.code.strip()
    ]
    return [replace(part, place=place) for place, part in enumerate(parts)][-MAX_BLOCKS:]


def _is_readable(block: CodeBlock, language: str | None) -> bool:
    if language is None:
        return True
    return block.language in {None, language} and block.tag not in _NO_CODE


def _last_paragraph(text: str) -> str:
    """Return the last paragraph before a fence, with the heading above it."""
    lines = [line for line in text.rstrip().removesuffix("```").split("\n") if line.strip("`~ ")]
    lines = [line for line in lines if not line.lstrip().startswith(("```", "~~~"))]
    return "\n".join(lines[-2:])[-300:]


def chosen_program(
    parts: Sequence[AnswerBlock], names: Sequence[str], prompt: str
) -> Extraction | None:
    """Choose among the blocks of an answer; None if there are none."""
    if not parts:
        return None
    whole = [part for part in parts if part.is_whole]
    if whole:
        chosen, rule = last_block(whole, len(_with_entry(parts, names)))
        code, is_joined = completed(chosen, parts, names, prompt)
        return Extraction(code, location(chosen), (), ChosenBy.JOINED if is_joined else rule)
    if joined := _joined(parts, names, prompt):
        return joined
    for part in parts:
        if defines(part.code, names):
            return Extraction(part.code, location(part), (), ChosenBy.FIRST)
    return Extraction(parts[0].code, ExtractedProgram.NO_ENTRY, (), ChosenBy.FIRST)


def _with_entry(parts: Sequence[AnswerBlock], names: Sequence[str]) -> list[AnswerBlock]:
    return [part for part in parts if defines(part.code, names)]


def last_block(parts: Sequence[AnswerBlock], n_all: int) -> tuple[AnswerBlock, ChosenBy]:
    """Return the last block that the text around it does not call wrong, and the rule for it.

    "This fails, so:" above the last block is about the draft before it, so only an explicit label
    rejects the last one, and only if another block is not called wrong.
    """
    right = [part for part in parts[:-1] if not _is_rejected(part)]
    if right and _is_cut_off(parts[-1]) and not _is_cut_off(right[-1]):
        return right[-1], ChosenBy.NOT_STUB
    if right and _is_labelled(parts[-1]):
        return right[-1], ChosenBy.NOT_REJECTED
    if len(parts) > 1:
        return parts[-1], ChosenBy.LAST
    return parts[-1], ChosenBy.NOT_STUB if n_all > 1 else ChosenBy.ONLY


def _is_cut_off(part: AnswerBlock) -> bool:
    """Whether a block has no end, and its last function neither returns nor raises at its end."""
    tree = tree_of(part.code) if not part.closed else None
    last = tree.body[-1] if tree is not None and tree.body else None
    if not isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not isinstance(last.body[-1], ast.Return | ast.Raise)


def _is_rejected(part: AnswerBlock) -> bool:
    """Whether the text around a block that others follow says that it is wrong."""
    is_bad = _BAD.search(part.before) is not None and _GOOD.search(part.before) is None
    return is_bad or _is_bad_after(part)


def _is_labelled(part: AnswerBlock) -> bool:
    """Whether the text around the last block names it as a wrong one."""
    label = _LABEL.search(part.before)
    # "Instead of the naive approach:" names another block.
    is_of_other = label is not None and _OF_OTHER.search(part.before[: label.start()]) is not None
    if _LABEL_WITHIN.match(part.code):
        return True
    is_good = _GOOD.search(_LABEL.sub("", part.before)) is not None
    return (label is not None and not is_of_other and not is_good) or _is_bad_after(part)


def _is_bad_after(part: AnswerBlock) -> bool:
    # A line that ends with a colon is about the next block.
    is_of_next = part.after.partition("\n")[0].rstrip("* ").endswith(":")
    return _BAD_AFTER.match(part.after) is not None and not is_of_next


def completed(
    chosen: AnswerBlock, parts: Sequence[AnswerBlock], names: Sequence[str], prompt: str
) -> tuple[str, bool]:
    """Prepend what a block needs of the other ones: imports and helpers."""
    code = chosen.code
    given = statements.bound_names(prompt)
    others = [part for part in parts if part is not chosen]
    helpers = {name for part in others for name in statements.bound_names(part.code)}
    code = statements.without_stubs(code, (given | helpers) - set(names))
    code = statements.without_imports(code, {name for part in others for name in _defined(part)})
    lacking = statements.unbound(code) - given
    if chosen.rest and lacking and (more := broken_source.defining_parts(chosen.rest, lacking)):
        code = f"{code.rstrip()}\n\n{more}\n"
        lacking = statements.unbound(code) - given
    earlier = [part for part in others if part.place < chosen.place]
    later = [part for part in others if part.place > chosen.place]
    added: list[str] = []
    for part in [*reversed(earlier), *later]:
        if not lacking:
            break
        if more := statements.binding(part.code, lacking):
            added.insert(0, more)
            new = statements.bound_names(more)
            lacking = (lacking - new) | (statements.unbound(more) - given - new)
    if others and not lacking:
        code = statements.without_imports(code, {"*"})
    starred = [statements.starred_imports(part.code) for part in others] if lacking else []
    added[:0] = filter(None, starred)
    return "\n\n".join([*added, code]), bool(added)


def _defined(part: AnswerBlock) -> set[str]:
    """Return the functions, classes and constants of another file of the answer."""
    tree = tree_of(part.code)
    nodes = tree.body if tree is not None else []
    own = (ast.Assign, ast.AnnAssign, *SCOPES)
    return {
        name
        for node in nodes
        if isinstance(node, own) and not statements.is_stub(node)
        for name in bound(node)
    }


def _joined(parts: Sequence[AnswerBlock], names: Sequence[str], prompt: str) -> Extraction | None:
    """Join a signature with the body that other blocks show, if that gives the function."""
    heads = [part for part in parts if defines(part.code, names)]
    if not heads:
        return None
    head = heads[0]
    later = [part for part in parts if part.place > head.place]
    bodies = [part for part in later if _is_of_body(part, names)]
    text = "\n".join(_indented(part) for part in bodies)
    if not text.strip():
        return None
    is_given = defines(prompt, names)
    before = prompt if is_given else f"{_stub_of(head.code)}\n"
    for body in (text, *(_indented(part) for part in reversed(bodies))):
        code = f"{before.rstrip()}\n{body}\n"
        is_own = broken_source.is_body(textwrap.dedent(body))
        if is_own and broken_source.is_program(code) and statements.is_whole(code, names):
            if is_given:
                return Extraction(f"{body}\n", ExtractedProgram.BODY, (), ChosenBy.JOINED)
            return Extraction(code, location(head), (), ChosenBy.JOINED)
    return None


def _stub_of(code: str) -> str:
    """Return a signature without the lines that stand for its body."""
    lines = code.rstrip().split("\n")
    while len(lines) > 1 and re.fullmatch(
        r"\s*(?:\.\.\.|pass|#.*|raise NotImplementedError\b.*)?", lines[-1]
    ):
        lines.pop()
    return "\n".join(lines)


def _is_of_body(part: AnswerBlock, names: Sequence[str]) -> bool:
    """Whether a block may be a part of a function's body; a call of the function is its usage."""
    code = without_margin(part.code)
    if broken_source.is_body(code):
        return True
    calls = "|".join(map(re.escape, names))
    is_other = re.search(rf"^(?:(?:async\s+)?def|class)\s|\b(?:{calls})\s*\(", code, re.MULTILINE)
    return is_other is None


def _indented(part: AnswerBlock) -> str:
    return textwrap.indent(without_margin(part.code.strip("\n")), "    ")


def location(part: AnswerBlock) -> ExtractedProgram:
    """Say where the code of a block was found."""
    if not part.closed:
        return ExtractedProgram.OPEN_FENCE
    return ExtractedProgram.LATER_FENCE if part.place else ExtractedProgram.FENCE


def without_margin(code: str) -> str:
    """Remove a common indent; code without one is returned unchanged, including blank lines."""
    return textwrap.dedent(code) if code[:1].isspace() else code


def end_of_signatures(code: str, names: Sequence[str]) -> int:
    """Return the largest end of a first line that defines one of `names`; 0 if one is missing."""
    heads = [re.search(_HEAD.format(name=re.escape(name)), code, re.MULTILINE) for name in names]
    return max((head.end() for head in heads if head), default=0) if all(heads) else 0
