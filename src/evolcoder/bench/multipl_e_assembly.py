r"""Whole answers in other languages, made to fit the tests that MultiPL-E appends.

MultiPL-E's tests follow a continued prompt: in some languages they begin by closing the function,
or a class too, that the prompt left open. A chat answer is closed already, so it gets an empty
function that the tests may close; its own `main` goes, and lines of the prompt's head that it lacks
are put first.

Promises: text in, text out, in time; a program that cannot be read, or is longer than MAX_CHARS, is
passed on for the compiler to judge.

>>> assembled("fn f() {}", language="rust", prompt="/// Does nothing.\nfn f() {")
'fn f() {}\nfn end_of_answer() {'
"""

import re

MAX_CHARS = 32_000
"""Some ten times a long answer; brackets that never close cost the square of the length."""

_HEAD_LINE = re.compile(r"#include|#lang|#!|<\?php|using\s|import\s(?!\()|use\s|package\s")
_MAIN = {
    "cpp": r"^(?:int|void|auto)\s+main\s*\([^)]*\)[^{;]*\{",
    "csharp": r"^[ \t]*(?:\w+\s+)?static\s+(?:async\s+)?\w+\s+Main\s*\([^)]*\)\s*\{",
    "d": r"^(?:int|void)\s+main\s*\([^)]*\)\s*\{",
    "java": r"^[ \t]*public\s+static\s+void\s+main\s*\([^)]*\)[^{;]*\{",
    "rust": r"^(?:pub\s+)?fn\s+main\s*\(\s*\)[^{;]*\{",
    "scala": r"^[ \t]*def\s+main\s*\([^)]*\)[^{\n]*\{",
}
_TESTS = {
    "d": r"^unittest\s*\{",
    "go": r"^func\s+(?:(?:Test|Example|Benchmark|Fuzz)(?![a-z])\w*|main)\s*\([^)]*\)\s*\{",
}
"""Tests that a compiler would collect beside the benchmark's, and what calls them."""
_OPEN_END = {
    "bash": "end_of_answer() {\n    :",
    "cpp": "void end_of_answer() {",
    "csharp": "    static void EndOfAnswer() {",
    "java": "    static void endOfAnswer() {",
    "rust": "fn end_of_answer() {",
    "scala": "    def endOfAnswer() = {",
    "swift": "func endOfAnswer() {",
}
_IN_CLASS = {"csharp": "class", "java": "class", "scala": "object"}
_TYPE = re.compile(r"\b(?:class|object|trait|interface|enum|record|struct)\b")
_NO_COMMENT = r"^[^\n/*\"]*?"
_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|"""(?:.*?)"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|[{}]', re.DOTALL
)
_GO_IMPORTS = re.compile(
    r"^import\s*(?:\(([^()]*)\)|((?:[\w.]+\s+)?\"[^\"\n]+\"))[ \t]*\n?", re.MULTILINE
)
_GO_PACKAGE = re.compile(r"^package\s+\w+[ \t]*\n?", re.MULTILINE)


def assembled(code: str, *, language: str, prompt: str) -> str:
    """Make a whole answer end where MultiPL-E's tests go on."""
    if len(code) > MAX_CHARS:
        return code
    whole = code
    code = _without(code, _MAIN.get(language))
    while (shorter := _without(code, _TESTS.get(language))) != code:
        code = shorter
    if language == "go":
        return _go(code, prompt, whole)
    if language == "php":
        code = code.strip().removesuffix("?>")
    if language in _IN_CLASS:
        code = _open_class(code, _IN_CLASS[language])
    ending = f"\n{_OPEN_END[language]}" if language in _OPEN_END else ""
    return _head(code, prompt) + code.rstrip() + ending


def _head(code: str, prompt: str) -> str:
    """Return the lines of the prompt's head that an answer lacks."""
    has = {line.strip() for line in code.split("\n")}
    lines = [line for line in prompt.split("\n") if _HEAD_LINE.match(line)]
    return "".join(f"{line}\n" for line in lines if line.strip() not in has)


def _without(code: str, pattern: str | None) -> str:
    """Take the first function of a kind out: a `main` or a test, which the tests bring."""
    found = re.search(pattern, code, re.MULTILINE) if pattern else None
    if found is None:
        return code
    end = _closing(code, found.end() - 1)
    return code if end is None else code[: found.start()] + code[end + 1 :]


def _open_class(code: str, keyword: str) -> str:
    """Leave the class `Problem` open at the end, making or naming it if need be."""
    opening = rf"{_NO_COMMENT}\b{keyword}\s+"
    found = re.search(rf"{opening}(\w+)[^{{;]*\{{", code, re.MULTILINE)
    if found is None:
        lines = code.split("\n")
        head = [line for line in lines if _HEAD_LINE.match(line)]
        rest = [line for line in lines if not _HEAD_LINE.match(line)]
        return "\n".join([*head, f"{keyword} Problem {{", *rest])
    problem = re.search(rf"{opening}(Problem)\b[^{{;]*\{{", code, re.MULTILINE) or found
    end = _closing(code, problem.end() - 1)
    before, body = code[: problem.start()], code[problem.start() : end]
    after = "" if end is None else code[end + 1 :]
    # What shows the class at work may stand in an answer, but not in a program.
    whole = f"{before}{after.strip()}\n{body}" if _TYPE.search(after) else before + body
    whole = re.sub(rf"\bpublic\s+((?:final\s+)?{keyword}\s)", r"\1", whole)
    return re.sub(rf"\b{problem[1]}\b", "Problem", whole)


def _closing(code: str, start: int) -> int | None:
    """Return where the bracket that opens at `start` closes, strings and comments left out."""
    depth = 0
    for token in _TOKEN.finditer(code, start):
        if token[0] in "{}":
            depth += 1 if token[0] == "{" else -1
            if depth == 0:
                return token.start()
    return None


def _go(code: str, prompt: str, whole: str) -> str:
    """Put the package and all imports of prompt and answer first, each once."""
    imports = dict.fromkeys(_go_imports(prompt))
    imports |= dict.fromkeys(line for line in _go_imports(code) if _is_needed(line, code, whole))
    package = _GO_PACKAGE.search(prompt)
    rest = _GO_IMPORTS.sub("", _GO_PACKAGE.sub("", code)).strip("\n")
    listed = "".join(f"    {name}\n" for name in imports)
    return f"{package[0] if package else ''}\nimport (\n{listed})\n\n{rest}\n"


def _go_imports(text: str) -> list[str]:
    """Return the imports of a program, one line each."""
    found = _GO_IMPORTS.findall(text)
    lines = [line for block, single in found for line in (block.split("\n") if block else [single])]
    return [line.strip() for line in lines if line.strip()]


def _is_needed(line: str, code: str, whole: str) -> bool:
    """Whether no part that was taken out is all that used an import; Go forbids unused ones."""
    name = re.match(r'(?:(\w+)\s+)?"(?:[^"]*/)?([^"/]+)"', line)
    if name is None:
        return True
    use = re.compile(rf"\b{re.escape(name[1] or name[2])}\.")
    return bool(use.search(code)) or not use.search(whole)
