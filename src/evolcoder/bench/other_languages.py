r"""Finds programs of languages other than Python in answers, by their text alone.

Guarantees: linear time but for unbalanced brackets; any text gives a result. A block is judged by
the function that it defines: with a body, as a stub, or not at all. It is no parser: a string that
looks like a bracket of the language may be counted.

>>> rank("fn f() { todo!() }", "rust", "f"), rank("fn f() -> u8 { 1 }", "rust", "f")
(2, 3)
"""

import re
import textwrap
from collections.abc import Sequence
from itertools import pairwise

from evolcoder.bench.answer_blocks import blocks_of, last_wanted
from evolcoder.bench.base import ChosenBy, ExtractedProgram, Extraction
from evolcoder.code.blocks import as_fences
from evolcoder.code.notations import indented_as_fences, plain_code
from evolcoder.fences import before_bare_fence, without_code
from evolcoder.programming_language import code_blocks, language_of

_C_LIKE = (
    r"^(?![ \t]*(?:return|throw|else|new)\b)[^\n/=.(;]*[\w>\]&*:][\s&*]+{name}\s*"
    r"\([^;{{]*\)[^;{{()]*\{{"
)
_SCRIPT = (
    r"\bfunction\s*\*?\s*{name}\b|\b(?:const|let|var)\s+{name}\b\s*[=:]|^(?:exports\.)?{name}\s*="
)
DEFINITIONS = {
    "rust": r"\bfn\s+{name}\b",
    "go": r"^func\s+(?:\([^)]*\)\s*)?{name}\s*[\[(]",
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "swift": r"\bfunc\s+{name}\b",
    "php": r"\bfunction\s+{name}\b",
    "perl": r"\bsub\s+{name}\b",
    "scala": r"\bdef\s+{name}\b",
    "ruby": r"\bdef\s+(?:self\.)?{name}\b",
    "lua": r"\bfunction\s+(?:\w+\.)?{name}\b|^(?:local\s+)?{name}\s*=\s*function",
    "r": r"\b{name}\s*(?:<-|=)\s*function",
    "julia": r"\bfunction\s+{name}\b|^{name}\([^\n]*\)\s*=",
    "racket": r"\(define\s+\(?\s*{name}\b",
    "bash": r"^[ \t]*(?:function\s+)?{name}\s*\(\s*\)|\bfunction\s+{name}\b",
    **dict.fromkeys(("cpp", "c", "java", "csharp", "d"), _C_LIKE),
}
"""Language -> pattern of a definition of `{name}`."""
_SCRIPT_FUNCTION = (
    r"\bfunction\s*\*?\s*\w+|\b(?:const|let|var)\s+\w+\b[^=\n]*=\s*(?:async\s*)?"
    r"(?:function\b|\w+\s*=>|\([^()\n]*\)[^=\n]*=>)"
)
"""A function of any name: bodies have variables too."""
BRACED = frozenset(
    "rust go javascript typescript swift php perl scala r cpp c java csharp d".split()
)
"""Languages whose functions end with a brace."""
WHOLE, STUB, MENTION = 3, 2, 1
"""Ranks of a block: defines the function, as a stub only, or merely names it."""

TOKEN = re.compile(
    r'//[^\n]*|/\*.{0,2000}?\*/|"""(?:.*?)"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|[{}]',
    re.DOTALL,
)
_SIGN = re.compile(TOKEN.pattern.replace("[{}]", "[{()]"), re.DOTALL)
_OF_TYPE = re.compile(r"(?:\binterface|\bstruct|\)\s*:|\|)\s*\Z")
"""What stands before the bracket of a type: in Go, and as the type of a result in TypeScript."""
_COMMENT = re.compile(
    r"//[^\n]*|/\*.{0,2000}?\*/|^[ \t]*(?:#(?![\[!])|--|;)[^\n]*", re.DOTALL | re.MULTILINE
)
_EMPTY = re.compile(
    r"[\s;]*(?:(?:\.\.\.|pass|todo!|unimplemented!|panic!?|throw|raise|die|error"
    r"|stop|fatalError|assert|abort)[^\n]*|return|\.\.\.)?[\s;})]*(?:end)?\s*"
)
_TODO = re.compile(
    r"^(?>[^\n]*?(?://|#|/\*|--|;))"
    r"[^\n]*(?:\.\.\.|\bTODO\b|\b(?:your|the) (?:code|implementation)\b|\bimplement\b|\brest of\b)",
    re.IGNORECASE | re.MULTILINE,
)
_RETURNS = re.compile(r"\breturn\b|=>|^[ \t]*\w[^\n;]*\n\s*\}", re.MULTILINE)
_CODE_START = re.compile(
    r"^(?:package[ \t]+\w+;?"
    r"|use[ \t]+[\w:]+::[^\n]*;"
    r"|(?:import|use|using|open|require|require_relative|library)\b[ \t(]*[\w:.\"'<*{][^\n ]*;?"
    r"|import[ \t]+(?:static[ \t]+|\(|[\w{*][^\n]*from\b)[^\n]*"
    r"|using[ \t]+(?:namespace|static)\b[^\n]*"
    r"|\#(?:include|define|lang|!|\[)[^\n]*|<\?php[^\n]*|//[^\n]*|/\*[^\n]*|@\w[^\n]*"
    r"|\(define[^\n]*|\[\[?\w[^\n]*"
    r"|(?:pub|fn|func|function|const|let|var|class|struct|enum|interface|trait|impl|template"
    r"|public|private|internal"
    r"|protected|static|export|async|def|sub|local|object|type|mod|int|long"
    r"|bool|boolean|string|String|std::|vector|void"
    r"|double|float|auto|char|unsigned|size_t|List|Map|ArrayList)\b[^\n]*[;{(=<>:,)][^\n]*)$",
    re.MULTILINE,
)
_HEAD = re.compile(
    r"^(?:#include|#lang|\(define|<\?php|package\s|import\s|using\s|use\s|(?:public\s+)?class\s|object\s)",
    re.MULTILINE,
)
_FENCE_LINE = re.compile(r"[`~]{3,}[\w+#.-]*\s*|[\w./-]+\.\w{1,5}:?\s*|%%\w[^\n]*|\s*")
"""A fence within a block, a file name, a command of a notebook, or nothing."""
_SENTENCE = re.compile(r"[A-Z][\w'’,]*(?: [\w'’`,()-]+)+ ?[.:!]?\s*")
_GLUED_END = re.compile(r"(?<=[};])[ \t]*<[^\s<>]{1,40}>\s*\Z")
"""A token of a model that ends a program."""
_SCRIPT_USAGE = re.compile(
    r"(?:console|assert|process|expect|chai)\b|(?:test|it|describe|main|run\w*|demo)\s*\("
    r"|(?:const|let|var)\s+(?:\{[^}\n]*\}|\w+)\s*=\s*require\([\"'](?:node:)?(?:assert|test|fs|readline)"
    r"|while \(true\)"
)
"""What begins a statement of a script that is a usage or a test, at its margin."""
_BOUND_USAGE = re.compile(r"(?:const|let|var)\s+(\w+)")
_EXPORT = re.compile(
    r"^export\s+(?:default\s+)?"
    r"(?=(?:const|let|var|function|async|class|interface|type|enum|abstract)\b)"
    r"|^export\s+(?:default\s+[\w.]+|\{[^{}]*\}|=\s*\w+)[ \t]*;?[ \t]*$",
    re.MULTILINE,
)
"""What makes a script a module, which tests cannot be appended to."""
_SCRIPT_BLOCK = re.compile(r"(?:for|while|if|try)\b")
_LINE_OF_BODY = re.compile(r"^[ \t]+\S|[;{})\],]\s*$|^//")
_IMPORTS_ONLY = re.compile(
    r"(?:\s*(?:#include[^\n]*|(?:import|use|using|package|require|library|open)\b[^\n]*"
    r"|(?:const|let|var)\s[^=\n]*=\s*require\([^\n]*|import\s*\((?:\s*[\w.]*\s*\"[^\"\n]*\")*\s*\)"
    r"|//[^\n]*)(?:\n|\Z))+\s*"
)
"""A block that only imports."""
_OWN_FILE = re.compile(
    r"^(?:#include[ \t]*\"[^\"\n]*\""
    r"|(?:const|let|var)[ \t][^=\n]*=[ \t]*require\([\"']\.[^\n]*"
    r"|import[ \t][^\n]*from[ \t]*[\"']\.[^\n]*"
    r"|mod[ \t]+\w+;|use[ \t]+(?:crate|self|super)::[^\n]*;)[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
"""An import of another file of the answer."""
_TYPE_NAME = re.compile(r"\b(?:struct|class|enum|interface|trait|type|record)\s+(\w+)")
_CLASS = re.compile(r"^[\w \t]*\bclass\s+\w+[^\n{;]*\{", re.MULTILINE)
_KEYWORDS = frozenset("if for while switch catch return main else do match loop".split())
_CODE_END = re.compile(r"^(?:[ \t]+\S|[})\]]|end\b|\)\)|done\b|fi\b)")


def definition(code: str, language: str, name: str) -> re.Match[str] | None:
    """Return the last definition of a function in a text."""
    pattern = DEFINITIONS.get(language)
    if pattern is None or not name:
        return None
    found = [*re.finditer(pattern.format(name=re.escape(name)), code, re.MULTILINE)]
    return found[-1] if found else None


def is_body(code: str, language: str) -> bool:
    """Whether a block defines no function at its margin and has no head of a program."""
    code = textwrap.dedent(code.strip("\n"))
    pattern = DEFINITIONS.get(language)
    if pattern is None or _HEAD.search(code):
        return False
    any_name = _SCRIPT_FUNCTION if pattern == _SCRIPT else pattern.format(name=r"\w+")
    found = re.finditer(any_name, code, re.MULTILINE)
    return not any(re.match(r"\w", code[code.rfind("\n", 0, one.start()) + 1 :]) for one in found)


def rank(code: str, language: str, name: str) -> int:
    """Return how much of a function a block has: WHOLE, STUB, MENTION or 0."""
    found = definition(code, language, name)
    if found is None:
        is_named = not name or re.search(rf"\b{re.escape(name)}\b", code) is not None
        return MENTION if is_named else 0
    body = _body(code, language, found)
    bare = _COMMENT.sub("", body)
    n_lines = sum(1 for line in bare.split("\n") if line.strip())
    is_short = _RETURNS.search(bare) is None or n_lines <= 1
    is_open = _TODO.search(body) is not None and is_short
    if is_open or _EMPTY.fullmatch(bare) or re.search(r"^[ \t]*\.\.\.;?\s*$", bare, re.MULTILINE):
        return STUB
    return WHOLE


def _body(code: str, language: str, found: re.Match[str]) -> str:
    if language not in BRACED:
        head, newline, rest = code[found.start() :].partition("\n")
        return rest if newline else head[found.end() - found.start() :]
    start = body_start(code, found.end() - 1)
    if start < 0:
        return ""
    end = closing_bracket(code, start)
    return code[start + 1 : end]


def body_start(code: str, at: int) -> int:
    """Return where the bracket of a function's body opens; -1 if there is none.

    Brackets among its parameters, or of a type as in `interface{}`, are none of it.
    """
    if code[at : at + 1] == "{":
        return at
    depth, found = 0, _SIGN.search(code, at)
    while found is not None:
        if found[0] in "()":
            depth += 1 if found[0] == "(" else -1
        elif depth <= 0 and found[0] == "{":
            if not _OF_TYPE.search(code, max(0, found.start() - 20), found.start()):
                return found.start()
            end = closing_bracket(code, found.start())
            if end is None:
                return -1
            found = _SIGN.search(code, end + 1)
            continue
        found = _SIGN.search(code, found.end())
    return -1


def closing_bracket(code: str, start: int) -> int | None:
    """Return where the bracket that opens at `start` closes, ignoring strings and comments."""
    depth = 0
    for token in TOKEN.finditer(code, start):
        if token[0] in "{}":
            depth += 1 if token[0] == "{" else -1
            if depth == 0:
                return token.start()
    return None


def n_open(code: str) -> int:
    """Return how many brackets a program leaves open; 0 if its last line closes one at the margin.

    A bracket in a string or pattern that is not recognised cannot count as open then.
    """
    last = code.rstrip().rpartition("\n")[2]
    if last.startswith("}"):
        return 0
    depth = 0
    for token in TOKEN.finditer(code):
        if token[0] in "{}":
            depth += 1 if token[0] == "{" else -1
    return max(depth, 0)


def _without_notes(code: str, language: str) -> str:
    """Remove what models write around the code of a block: its file, its language, sentences."""
    lines = code.split("\n")
    while lines and _is_note(lines[0], language):
        del lines[0]
    while lines and _is_note(lines[-1], language):
        del lines[-1]
    return "\n".join(lines) or code


def _is_note(line: str, language: str) -> bool:
    if _FENCE_LINE.fullmatch(line) or language_of(line.strip()) == language:
        return True
    return _SENTENCE.fullmatch(line) is not None and not _CODE_START.match(line)


def without_usage(code: str, name: str) -> str:
    """Remove a script's exports, and tests and usages at its margin below its function.

    They would run with it; what calls methods of a removed object is removed too.
    """
    code = _EXPORT.sub("", code)
    found = definition(code, "javascript", name)
    start = -1 if found is None else body_start(code, found.end())
    end = None if start < 0 else closing_bracket(code, start)
    if end is None:
        return code
    below = code.find("\n", end)
    if below < 0:
        return code
    lines = code[below + 1 :].split("\n")
    tops = [at for at, line in enumerate(lines) if line[:1].strip() and line[0] not in "})]"]
    kept = lines[: tops[0]] if tops else lines
    removed = set[str]()
    for begin, end_line in pairwise([*tops, len(lines)]):
        statement = "\n".join(lines[begin:end_line])
        if not _is_script_usage(statement, name) and statement.partition(".")[0] not in removed:
            kept.append(statement)
        elif bound := _BOUND_USAGE.match(statement):
            removed.add(bound[1])
    return code[: below + 1] + "\n".join(kept)


def _is_script_usage(statement: str, name: str) -> bool:
    if _SCRIPT_USAGE.match(statement):
        return True
    shows = re.search(rf"\bconsole\.|\bassert\b|\b{re.escape(name)}\(", statement)
    return _SCRIPT_BLOCK.match(statement) is not None and shows is not None


def without_prose(text: str, language: str, name: str) -> str:
    """Cut prose before and after an unfenced program; unchanged if it does not define `name`."""
    found = definition(text, language, name)
    if found is None:
        return text
    lines = text.split("\n")
    head = text[: found.start()].count("\n")
    begin = next(at for at, line in enumerate(lines) if at == head or _CODE_START.match(line))
    ends = [
        at for at, line in enumerate(lines) if at >= head and _is_code(line, is_head=at == head)
    ]
    return "\n".join(lines[begin : ends[-1] + 1]) + "\n"


def _is_code(line: str, *, is_head: bool) -> bool:
    return is_head or bool(_CODE_END.match(line) or _CODE_START.match(line))


def _indented(answer: str, language: str, name: str) -> str:
    """Return an answer with fences around its indented blocks, if one of them is the program."""
    fenced = indented_as_fences(answer)
    found = any(rank(one.code, language, name) == WHOLE for one in code_blocks(fenced))
    return fenced if found else plain_code(answer)


def _is_bare_body(answer: str, language: str) -> bool:
    """Whether an answer is a body without a fence: each line is code, and brackets are there."""
    lines = [line for line in answer.split("\n") if line.strip()]
    is_code = all(map(_LINE_OF_BODY.search, lines)) and any(line[-1] in ";{}" for line in lines)
    return language in BRACED and is_code and is_body(answer, language)


def foreign_program(answer: str, prompt: str, language: str, name: str) -> Extraction:
    """Extract the program that defines `name` from a plain answer to `prompt`.

    A body without its signature continues the prompt, which then is part of the result.
    """
    answer = as_fences(answer)
    if "```" not in answer and "~~~" not in answer:
        answer = _indented(answer, language, name)
    answer = _GLUED_END.sub("\n", answer)
    code, found, rule = last_wanted(
        answer, language, lambda block: rank(block, language, name), WHOLE
    )
    helpers = _helpers(answer, code, language, name)
    code = _without_notes(code, language)
    is_defined = definition(code, language, name) is not None
    head, signature = before_bare_fence(answer), prompt.rstrip().rpartition("\n")[2]
    if signature in head and signature not in answer[len(head) :]:
        return Extraction(without_prose(head, language, name), ExtractedProgram.CLOSING_FENCE, ())
    bare = "" if is_defined else without_code(answer)
    if definition(bare, language, name):
        code = without_prose(bare, language, name)
        is_whole = code.strip() == bare.strip()
        found = ExtractedProgram.NO_FENCE if is_whole else ExtractedProgram.AMID_PROSE
        return Extraction(code, found, ())
    if code.strip() and not is_defined and is_body(code, language):
        # Code without the signature continues the prompt, as models often do with Perl's prompts.
        return Extraction(prompt + code, ExtractedProgram.BODY, (), rule)
    if found is ExtractedProgram.NOTHING:
        return _without_blocks(answer, prompt, language, name) or Extraction(code, found, (), rule)
    if helpers and is_defined:
        return Extraction(_with_helpers(code, helpers, language), found, (), ChosenBy.JOINED)
    return Extraction(code, found, (), rule)


def _without_blocks(answer: str, prompt: str, language: str, name: str) -> Extraction | None:
    """Take an answer without a block as a body, or as code if it has the function's name."""
    if _is_bare_body(answer, language):
        return Extraction(prompt + answer, ExtractedProgram.BODY, ())
    if re.search(rf"\b{re.escape(name)}\b", answer):
        return Extraction(answer, ExtractedProgram.NO_FENCE, ())
    return None


def _helpers(answer: str, code: str, language: str, name: str) -> list[str]:
    """Return the other blocks with only imports, or with functions and types that code lacks."""
    parts = [part.code for part in blocks_of(answer, language)]
    others = [one for one in parts if one.strip() and one.strip() not in code]
    others = [one for one in others if definition(one, language, name) is None]
    own, wanted = _defined(code, language), code
    kept: list[str] = []
    for one in reversed(others):
        plain = _without_notes(one, language)
        new = _defined(plain, language) - own
        is_used = any(re.search(rf"\b{re.escape(name)}\b", wanted) for name in new)
        if is_used or _IMPORTS_ONLY.fullmatch(plain):
            kept.insert(0, plain)
            own |= new
            wanted += plain
    return kept


def _defined(code: str, language: str) -> set[str]:
    """Return the names of the functions and types that code defines."""
    pattern = DEFINITIONS.get(language)
    if pattern is None:
        return set()
    any_name = re.compile(pattern.format(name=r"(\w+)"), re.MULTILINE)
    found = (one for match in any_name.finditer(code) for one in match.groups())
    return {one for one in (*found, *_TYPE_NAME.findall(code)) if one and one not in _KEYWORDS}


def _with_helpers(code: str, helpers: Sequence[str], language: str) -> str:
    """Put helpers before code, or methods into its class and classes behind it.

    What code imports of other files of the answer is removed, since they are part of it then.
    """
    code = _OWN_FILE.sub("", code)
    opening = _CLASS.search(code) if language in {"java", "csharp"} else None
    for helper in reversed(helpers):
        if opening is None or _IMPORTS_ONLY.fullmatch(helper):
            code = f"{helper.rstrip()}\n\n{code}"
        elif _CLASS.search(helper):
            closing = n_open(code) * "\n}"
            code = f"{code.rstrip()}{closing}\n\n{helper.rstrip()}\n"
        else:
            at = code.index("{", code.index(opening[0])) + 1
            code = f"{code[:at]}\n{helper.rstrip()}\n{code[at:]}"
    return code
