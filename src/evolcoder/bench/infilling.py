r"""HumanEval-Infilling (OpenAI, 2022): the missing line, lines or span of HumanEval's solutions.

`infilling-single` lacks one line, `infilling-multi` several, `infilling-span` and
`infilling-span-light` a random span that may begin and end within a line. A completion goes between
what is before and after the gap, unchanged, as published; text after an end token of a
fill-in-the-middle model is cut.

The templates `fim-…` give models the gap in the tokens of their family. A chat answer holds the
missing code, or the whole function with the gap filled. Chat models leave out the blanks at the
ends of what is missing, so those are added back: `fit_gap` returns the first way to indent the
answer that is valid Python, whether or not it is right.

    infilling("infilling-span")(DataFolder(data_dir=None, cache=folder)).problems()

>>> fit_gap("return x", Gap("def f(x):\n", "\n\nprint(f(1))\n"))
'    return x'
"""

import builtins
import itertools
import keyword
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evolcoder.bench.answer_blocks import MAX_BLOCKS
from evolcoder.bench.base import (
    AssertChecks,
    CandidateProgram,
    ExtractedProgram,
    Extraction,
    Problem,
    PromptForm,
    PromptSettings,
    Sample,
)
from evolcoder.bench.end_of_text import glued_tokens, without_end
from evolcoder.bench.extract import NOTEBOOK, parses, plain_answer
from evolcoder.bench.fetch import DataFile, DataFolder, Row, rows
from evolcoder.code import broken_source
from evolcoder.code.blocks import as_fences
from evolcoder.code.fill_in_middle import FIM_TOKENS
from evolcoder.code.notations import indented_as_fences, plain_code
from evolcoder.fences import without_code
from evolcoder.programming_language import CodeBlock, code_blocks

_PLACE = (
    "https://github.com/openai/human-eval-infilling/raw/"
    "88062ff9859c875d04db115b698ed4b0f0395170/data/"
)
_FILES = {
    "infilling-single": (
        "HumanEval-SingleLineInfilling.jsonl.gz",
        "6fffc71ec2f1674372fcc177511f92312f1a27a9eacd8e43255c9f5ee9eca8c8",
    ),
    "infilling-multi": (
        "HumanEval-MultiLineInfilling.jsonl.gz",
        "5b49f312f0a781420a4ae54f5e73176009b9cfc52731e3a0b9be726b451032d1",
    ),
    "infilling-span": (
        "HumanEval-RandomSpanInfilling.jsonl.gz",
        "4f15be2d4a479b504072c64e79702df184010f13bdf75f8b67ce08e054c48e26",
    ),
    "infilling-span-light": (
        "HumanEval-RandomSpanInfillingLight.jsonl.gz",
        "cbb2b36f90311a3a7d844b6361852bb33e3ab11ab3bca2b7e85bfb9bf78c5891",
    ),
}
"""Name of the benchmark -> its file, and the SHA-256 of the decompressed file."""
NAMES = tuple(_FILES)
"""Names of all benchmarks of HumanEval-Infilling."""
MARK = "[GAP]"
"""Marks the gap in a chat prompt."""
END_TOKENS = tuple(
    dict.fromkeys(
        [
            *(token.strip() for family in FIM_TOKENS.values() for token in family if token),
            *("<|endoftext|>", "<|im_end|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"),
            *("<file_sep>", "<repo_name>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>"),
            *("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),  # of Codestral
        ]
    )
)
"""Tokens after which a fill-in-the-middle model's text is no longer the missing code."""
_DOCSTRING = re.compile(r"(\"{3}|'{3})[\s\S]*?\1")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
"""Code within a sentence."""
_MOST_REPEATED = 40
"""Most lines next to the gap that an answer repeats."""
_START = re.compile(r"\A(?:<[|｜]?fim[_▁](?:middle|end)[|｜]?>|<MID>)")
"""The token after which a model writes what is missing."""
_SPACED = re.compile(" (<(?:SUF|MID|EOT)>)")
"""Tokens of Code Llama have a blank before them, which is part of the token."""
_ONLY_TAG = re.compile(r"^[ \t]*</?\w+>[ \t]*$", re.MULTILINE)
_MOST_CUTS = 6
"""Ends of prose at which code is tried."""
_DEEPEST = 24
"""Deepest indent of HumanEval's solutions."""
_NAMES = frozenset({*keyword.kwlist, *dir(builtins)})


@dataclass(frozen=True, slots=True)
class Gap:
    """What surrounds the missing code."""

    before: str
    """All code before it."""
    after: str
    """All code after it."""

    @property
    def is_lines(self) -> bool:
        """Whether whole lines are missing."""
        return self.before.endswith("\n")


@dataclass(frozen=True, slots=True)
class InfillingBench:
    """One part of HumanEval-Infilling, loaded into memory."""

    name: str
    """The name on the command line."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    gaps: Mapping[str, Gap]
    """What surrounds each problem's gap, by its id."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def prompt(self, problem: Problem) -> PromptSettings:
        """Return the texts of a problem's prompt; its code ends where the gap begins."""
        gap = self.gaps[problem.id]
        instruction = (
            f"Part of this Python code is missing; {MARK} marks where.\n\n"
            f"```python\n{gap.before}{MARK}{gap.after}\n```\n\n"
            f"Answer with only the code that goes in the place of {MARK}, in one fenced block."
        )
        return PromptSettings(instruction, gap.before, "python", END_TOKENS, after=gap.after)

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Put the missing code of a sample between what is before and after the gap."""
        gap = self.gaps[problem.id]
        extract = _extract(problem, gap, sample)
        is_nothing = extract.found is ExtractedProgram.NOTHING or sample.fault is not None
        is_whole = sample.form is PromptForm.PROGRAM
        is_whole |= extract.found is ExtractedProgram.REPEATED_SIGNATURE
        whole = extract.code if is_whole else f"{gap.before}{extract.code}{gap.after}"
        found = ExtractedProgram.NOTHING if is_nothing else extract.found
        program = "" if is_nothing else whole
        return CandidateProgram.of(sample, program, found, cut=extract.cut)


def infilling(name: str) -> Callable[[DataFolder], InfillingBench]:
    """Return a function that reads a benchmark such as `infilling-span`."""
    path, digest = _FILES[name]
    file = DataFile(f"infilling/{path}", f"{_PLACE}{path}", digest, ())

    def read(folder: DataFolder) -> InfillingBench:
        found = rows(file, folder)
        gaps = {row["task_id"]: Gap(row["prompt"], row["suffix"]) for row in found}
        return InfillingBench(name, tuple(map(_problem, found)), gaps)

    return read


def _problem(row: Row) -> Problem:
    whole, name = f"{row['prompt']}{row['canonical_solution']}{row['suffix']}", row["entry_point"]
    head = whole.partition(f"\ndef {name}(")[0] if f"\ndef {name}(" in whole else ""
    return Problem(
        id=row["task_id"],
        prompt=row["prompt"],
        checks=AssertChecks(f"{head}\n{row['test']}", (name,), "check"),
        reference=whole,
        stub=f"def {name}(*arguments):\n    raise NotImplementedError\n",
        groups=(),
    )


def _extract(problem: Problem, gap: Gap, sample: Sample) -> Extraction:
    """Find the missing code; REPEATED_SIGNATURE if the code is the whole program."""
    text = sample.text
    if sample.form in {PromptForm.PROGRAM, PromptForm.COMPLETION}:
        is_nothing = sample.form is PromptForm.PROGRAM and not text.strip()
        found = ExtractedProgram.NOTHING if is_nothing else ExtractedProgram.WHOLE
        return Extraction(text, found, ())
    text = text.replace("\r\n", "\n")
    if sample.form is PromptForm.CONTINUATION:
        return _continued(text, gap)
    answer, cut = plain_answer(text)
    answer = as_fences(answer)
    blocks = [one for one in code_blocks(answer) if one.language in {None, "python"}]
    blocks = [one for one in blocks if one.code.strip()][-MAX_BLOCKS:] or blocks[:1]
    shown = [one for one in blocks if _is_shown(one.code, problem, gap)]
    likeliest = [*(one for one in reversed(blocks) if one not in shown), *reversed(shown)]
    tried = (_of_block(one, problem, gap, cut) for one in likeliest)
    fitting = (one for one in tried if parses(_filled(one, gap)))
    if blocks:
        return next(fitting, None) or _of_block(blocks[0], problem, gap, cut)
    code, found = _unfenced(answer, problem, gap)
    if found is ExtractedProgram.NOTHING:
        return Extraction("", found, cut)
    return _as_missing(code, found, problem, gap, cut)


def _is_shown(code: str, problem: Problem, gap: Gap) -> bool:
    """Whether a block seems to show a usage of the function, or code that the prompt gives."""
    assert isinstance(problem.checks, AssertChecks)
    name = problem.checks.entry_points[0]
    is_usage = f"{name}(" in code and f"def {name}(" not in code
    return is_usage or code.strip() in f"{gap.before}{MARK}{gap.after}"


def _filled(extract: Extraction, gap: Gap) -> str:
    """Return the whole program with the code of an extraction in its gap."""
    is_whole = extract.found is ExtractedProgram.REPEATED_SIGNATURE
    return extract.code if is_whole else f"{gap.before}{extract.code}{gap.after}"


def _of_block(block: CodeBlock, problem: Problem, gap: Gap, cut: tuple[str, ...]) -> Extraction:
    found = ExtractedProgram.FENCE if block.closed else ExtractedProgram.OPEN_FENCE
    plain = plain_code(block.code, block.tag)
    # A part of a table may look like numbered lines, so the code is first taken as it is.
    tried = [
        _as_missing(code, found, problem, gap, cut)
        for code in (block.code, plain, NOTEBOOK.sub("", plain))
    ]
    return next((one for one in tried if parses(_filled(one, gap))), tried[0])


def _as_missing(
    code: str, found: ExtractedProgram, problem: Problem, gap: Gap, cut: tuple[str, ...]
) -> Extraction:
    """Take code as what is missing, without the code around it, or as the whole program."""
    middle = between_repeats(code, gap)
    if middle is not None:
        return Extraction(fit_gap(middle, gap), found, (*cut, "repeated_context"))
    whole = _rewritten(code, problem, gap)
    if whole is not None:
        return Extraction(whole, ExtractedProgram.REPEATED_SIGNATURE, cut)
    shorter = _without_neighbours(code, gap)
    if shorter != code and _fits(fitted := fit_gap(shorter, gap), gap):
        return Extraction(fitted, found, (*cut, "repeated_context"))
    return Extraction(fit_gap(code, gap), found, cut)


def _without_neighbours(code: str, gap: Gap) -> str:
    """Remove lines next to the gap that an answer repeats at its beginning and its end.

    Two lines in sequence, or one that opens a block, do not occur twice in a row in a solution;
    one other line may.
    """
    lines = code.strip("\n").split("\n")
    bare = [line.strip() for line in lines]
    above = [line.strip() for line in gap.before.split("\n") if line.strip()]
    below = [line.strip() for line in gap.after.split("\n") if line.strip()]
    n_first = _overlap(above, bare)
    n_last = _overlap(bare[n_first:], below)
    kept = lines[n_first : len(lines) - n_last]
    return "\n".join(kept) if any(map(str.strip, kept)) else code


def _overlap(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many of the last lines of `first` are the first ones of `second`."""
    for n in range(min(len(first), len(second), _MOST_REPEATED), 0, -1):
        if first[-n:] == second[:n] and (n > 1 or first[-1].endswith(":")):
            return n
    return 0


def _continued(text: str, gap: Gap) -> Extraction:
    """Cut a continuation at an end token, and where it continues with what is after the gap."""
    start = _START.sub("", text.removeprefix("\ufeff"))
    start = start.removeprefix(gap.before) if gap.before.strip() else start
    start = _SPACED.sub(r"\1", start)
    ends = [at for token in END_TOKENS if (at := start.find(token)) >= 0]
    kept = without_end(start[: min(ends, default=None)], is_base=True)[0]
    after = gap.after.strip()
    at = kept.find(after) if len(after) > len(MARK) * 8 else -1
    kept = kept if at < 0 else kept[: at - (len(gap.after) - len(gap.after.lstrip()))]
    if not gap.is_lines and len(gap.after.strip()) >= len(MARK) and _repeats_end(kept, gap):
        kept = kept.rstrip().removesuffix(gap.after.rstrip())
    if not _fits(kept, gap):
        kept = next((one for one in _shortened(kept, gap) if _fits(one, gap)), kept)
    return Extraction(
        kept, ExtractedProgram.WHOLE, ("continuation",) if len(kept) < len(text) else ()
    )


def _fits(code: str, gap: Gap) -> bool:
    return parses(f"{gap.before}{code}{gap.after}")


def _repeats_end(text: str, gap: Gap) -> bool:
    """Whether a text ends with all that follows the gap."""
    return gap.after.strip() != "" and text.rstrip().endswith(gap.after.rstrip())


def _shortened(text: str, gap: Gap) -> Iterator[str]:
    """Yield a continuation up to what may be a token, and up to what is after the gap."""
    yield from (text[:end] for end in glued_tokens(text))
    if _repeats_end(text, gap):
        yield text.rstrip().removesuffix(gap.after.rstrip())


def _unfenced(answer: str, problem: Problem, gap: Gap) -> tuple[str, ExtractedProgram]:
    """Take of an answer without a fence the most lines that Python accepts in the gap."""
    bare = without_code(answer).strip("\n")
    if not _is_accepted(bare, problem, gap):
        bare = NOTEBOOK.sub("", plain_code(_ONLY_TAG.sub("", bare))).strip("\n")
    lines = bare.split("\n")
    for begin, end in _shorter(lines):
        code = "\n".join(lines[begin:end]).strip("\n")
        if code.strip() and _is_accepted(code, problem, gap):
            is_all = end - begin == len(lines)
            return code, ExtractedProgram.NO_FENCE if is_all else ExtractedProgram.AMID_PROSE
    blocks = [block.code for block in code_blocks(indented_as_fences(bare))]
    for code in [*blocks, *reversed(_INLINE.findall(bare)[-MAX_BLOCKS:])]:
        if _is_accepted(code, problem, gap):
            return code, ExtractedProgram.AMID_PROSE
    return "", ExtractedProgram.NOTHING


def _is_accepted(code: str, problem: Problem, gap: Gap) -> bool:
    return parses(_filled(_as_missing(code, ExtractedProgram.NO_FENCE, problem, gap, ()), gap))


def _shorter(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield all lines, then those without prose above or below them."""
    yield 0, len(lines)
    begins = [at for at in range(1, len(lines)) if _ends_prose(lines[at - 1])][:_MOST_CUTS]
    ends = [at for at in range(len(lines) - 1, 0, -1) if not lines[at].strip()][:_MOST_CUTS]
    yield from ((begin, len(lines)) for begin in begins)
    yield from ((0, end) for end in ends)
    yield from ((begin, end) for begin in begins for end in ends if end > begin)


def _ends_prose(line: str) -> bool:
    return not line.strip() or line.rstrip().endswith((":", "."))


def between_repeats(code: str, gap: Gap) -> str | None:
    """Return what an answer that repeats the surrounding code puts into the gap, else None."""
    start, after = gap.before.lstrip(), gap.after.rstrip()
    for before in (start, start[max(0, start.find("def ")) :]):
        at = code.find(before)
        whole = code.rstrip()
        end = len(whole) - len(after) if whole.endswith(after) else code.rfind(after)
        if before and at >= 0 and end >= at + len(before):
            return code[at + len(before) : end]
    return None


def _rewritten(code: str, problem: Problem, gap: Gap) -> str | None:
    """Return the program of an answer that is the whole function, without its description."""
    checks = problem.checks
    assert isinstance(checks, AssertChecks)
    signature = f"def {checks.entry_points[0]}("
    head, _, body = f"\n{gap.before}".rpartition(f"\n{signature}")
    given = [*_DOCSTRING.sub("", body, count=1).split("\n")[1:-1], *gap.after.split("\n")[1:]]
    present = {line.strip() for line in code.split("\n")}
    is_whole = signature in code and all(line.strip() in present for line in given if line.strip())
    return f"{head}\n{code}" if is_whole and parses(code) else None


def fit_gap(code: str, gap: Gap) -> str:
    """Add the blanks that a chat answer lacks at its ends, so that the whole is valid Python.

    Returns the code as it is if nothing makes it valid.
    """
    whole = ((one, f"{gap.before}{one}{gap.after}") for one in _fitted(code, gap))
    fits = (one for one, program in whole if broken_source.is_program(program))
    return next(fits, code)


def _fitted(code: str, gap: Gap) -> Iterator[str]:
    """Return an answer in the indents and blanks that it may be meant to have, likeliest first."""
    text = code.strip("\n")
    if gap.is_lines:
        ending = "" if gap.after.startswith("\n") or not gap.after else "\n"
        if text[:1].isspace():
            yield text + ending
        for indent in _indents(gap):
            yield textwrap.indent(textwrap.dedent(text), " " * indent) + ending
            yield " " * indent + text.lstrip() + ending
        if "\n" in text:
            yield from (f"{body}{ending}" for body in _reindented(text, gap))
        return
    yield code.removesuffix("\n")
    yield text
    text = text.strip()
    breaks = [f"\n{' ' * indent}" for indent in _indents(gap)]
    bodies = [text, *(_hanging(text, indent) for indent in _indents(gap) if "\n" in text)]
    leads = [*_blanks(gap.before, text), *breaks]
    trails = [*_blanks(text, gap.after), "\n", *breaks]
    for lead, body, trail in itertools.product(leads, bodies, trails):
        yield f"{lead}{body}{trail}"


def _reindented(text: str, gap: Gap) -> list[str]:
    """Indent the first line and the others apart; first where a block at the end opens the next."""
    first, _, rest = text.partition("\n")
    found = [
        f"{' ' * outer}{first.lstrip()}\n{textwrap.indent(textwrap.dedent(rest), ' ' * inner)}"
        for outer, inner in itertools.product(_indents(gap), repeat=2)
    ]
    below = next((line for line in gap.after.split("\n") if line.strip()), "")
    wanted = _indent(below) - 4 * rest.rstrip().endswith(":")
    return sorted(found, key=lambda one: _indent(one.rpartition("\n")[2]) != wanted)


def _hanging(text: str, indent: int) -> str:
    """Indent all lines of a text but its first."""
    first, _, rest = text.partition("\n")
    return f"{first}\n{textwrap.indent(textwrap.dedent(rest), ' ' * indent)}"


def _indents(gap: Gap) -> list[int]:
    """Return all indents, first those of the lines next to the gap."""
    above = [line for line in gap.before.split("\n") if line.strip()]
    below = [line for line in gap.after.split("\n")[1:] if line.strip()]
    if gap.is_lines and gap.after[:1] != "\n":
        below = [line for line in gap.after.split("\n") if line.strip()]
    found = []
    if above:
        last = _indent(above[-1])
        opens = above[-1].rstrip().endswith(":")
        # At a function's end the last line is rarely as deep as the one before it.
        found += [last + 4] if opens else [last] if gap.after.strip() else [4, last]
    found += [_indent(line) for line in below[:1]]
    return list(dict.fromkeys([*found, *range(4, _DEEPEST + 1, 4), 0]))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _blanks(left: str, right: str) -> list[str]:
    """Return what may stand between two pieces of code: nothing and a blank, likeliest first."""
    word, other = re.search(r"\w+\Z", left), re.match(r"\w+", right)
    if word is None or other is None:
        return ["", " "]
    joined = word[0] + other[0]
    is_known = joined in _NAMES or len(re.findall(rf"\b{joined}\b", left + right)) > 0
    return ["", " "] if is_known else [" ", ""]
