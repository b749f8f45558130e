r"""Fits programs of other languages than Python to tests that are appended to them.

MultiPL-E's tests are made for a continued prompt: in some languages they begin by closing the
function (or class) that the prompt left open. A chat answer is already closed, so `fit_to_tests`
appends an empty open function for the tests to close, removes the answer's `main` and tests, and
prepends lines of the prompt's head (imports) that are missing. It takes bounded time; a program
that cannot be parsed or is longer than MAX_CHARS is passed on for the compiler to reject.

>>> fit_to_tests("fn f() {}", language="rust", prompt="/// Does nothing.\nfn f() {")
'fn f() {}\nfn end_of_answer() {'
"""

import re

from evolcoder.bench.other_languages import BRACED, closing_bracket, n_open, without_usage

MAX_CHARS = 32_000
"""About ten times a long answer; unbalanced brackets take quadratic time."""

_HEAD_LINE = re.compile(r"#include|#lang|#!|<\?php|using\s|import\s(?!\()|use\s|package\s")
MAIN_FUNCTIONS = {
    "cpp": r"^(?:int|void|auto)\s+main\s*\([^)]*\)[^{;]*\{",
    "csharp": r"^[ \t]*(?:\w+\s+)?static\s+(?:async\s+)?\w+\s+Main\s*\([^)]*\)\s*\{",
    "d": r"^(?:int|void)\s+main\s*\([^)]*\)\s*\{",
    "java": r"^[ \t]*public\s+static\s+void\s+main\s*\([^)]*\)[^{;]*\{",
    "rust": r"^(?:pub\s+)?fn\s+main\s*\(\s*\)[^{;]*\{",
    "scala": r"^[ \t]*def\s+main\s*\([^)]*\)[^{\n]*\{",
}
TEST_FUNCTIONS = {
    "d": r"^unittest\s*\{",
    "go": r"^func\s+(?:(?:Test|Example|Benchmark|Fuzz)(?![a-z])\w*|main)\s*\([^)]*\)\s*\{",
}
"""Tests in an answer, which a compiler would collect with the benchmark's, and Go's `main`."""
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
GO_IMPORTS = re.compile(
    r"^import\s*(?:\(([^()]*)\)|((?:[\w.]+\s+)?\"[^\"\n]+\"))[ \t]*\n?", re.MULTILINE
)
GO_PACKAGE = re.compile(r"^package\s+\w+[ \t]*\n?", re.MULTILINE)


def fit_to_tests(code: str, *, language: str, prompt: str, name: str = "") -> str:
    """Change a complete answer so that MultiPL-E's tests of `name` can be appended to it."""
    if len(code) > MAX_CHARS:
        return code
    original = code
    code = without_function(code, MAIN_FUNCTIONS.get(language))
    while (shorter := without_function(code, TEST_FUNCTIONS.get(language))) != code:
        code = shorter
    if language in {"javascript", "typescript"} and name:
        code = without_usage(code, name)
    if language == "php":
        code = code.strip().removesuffix("?>")
    if language in BRACED - _OPEN_END.keys():
        code = code.rstrip() + n_open(code) * "\n}"
    if language == "go":
        return _go(code, prompt, original)
    if language in _IN_CLASS:
        code = _open_class(code, _IN_CLASS[language])
    return missing_head(code, prompt) + code.rstrip() + _ending(code, language)


def _ending(code: str, language: str) -> str:
    """Return an open function for the tests to close, if the program does not end within one."""
    n_outer = int(language in _IN_CLASS)
    n_left = n_open(code) - n_outer if language in BRACED else 0
    if language == "bash":  # its braces have other uses than blocks
        n_left = len(re.findall(r"\{\s*$", code, re.MULTILINE))
        n_left -= len(re.findall(r"^[ \t]*\}", code, re.MULTILINE))
    if n_left > 0:
        return (n_left - 1) * "\n}"
    return f"\n{_OPEN_END[language]}" if language in _OPEN_END else ""


def missing_head(code: str, prompt: str) -> str:
    """Return the lines of the prompt's head that an answer does not have."""
    present = {line.strip() for line in code.split("\n")}
    lines = [line for line in prompt.split("\n") if _HEAD_LINE.match(line)]
    return "".join(f"{line}\n" for line in lines if line.strip() not in present)


def without_function(code: str, pattern: str | None) -> str:
    """Remove the first function that matches (a `main` or a test)."""
    found = re.search(pattern, code, re.MULTILINE) if pattern else None
    if found is None:
        return code
    end = closing_bracket(code, found.end() - 1)
    return code if end is None else code[: found.start()] + code[end + 1 :]


def _open_class(code: str, keyword: str) -> str:
    """Leave the class `Problem` open at the end; add or rename the class if necessary."""
    opening = rf"{_NO_COMMENT}\b{keyword}\s+"
    found = re.search(rf"{opening}(\w+)[^{{;]*\{{", code, re.MULTILINE)
    if found is None:
        lines = code.split("\n")
        head = [line for line in lines if _HEAD_LINE.match(line)]
        rest = [line for line in lines if not _HEAD_LINE.match(line)]
        return "\n".join([*head, f"{keyword} Problem {{", *rest])
    problem = re.search(rf"{opening}(Problem)\b[^{{;]*\{{", code, re.MULTILINE) or found
    end = closing_bracket(code, problem.end() - 1)
    before, body = code[: problem.start()], code[problem.start() : end]
    after = "" if end is None else code[end + 1 :]
    # Code after the class is kept only if it defines types; otherwise it is example usage.
    program = f"{before}{after.strip()}\n{body}" if _TYPE.search(after) else before + body
    program = re.sub(rf"\bpublic\s+((?:final\s+)?{keyword}\s)", r"\1", program)
    return re.sub(rf"\b{problem[1]}\b", "Problem", program)


def _go(code: str, prompt: str, original: str) -> str:
    """Put the package and the imports of prompt and answer first, without duplicates."""
    imports = dict.fromkeys(go_imports(prompt))
    imports |= dict.fromkeys(line for line in go_imports(code) if _is_used(line, code, original))
    package = GO_PACKAGE.search(prompt)
    rest = GO_IMPORTS.sub("", GO_PACKAGE.sub("", code)).strip("\n")
    listed = "".join(f"    {name}\n" for name in imports)
    return f"{package[0] if package else ''}\nimport (\n{listed})\n\n{rest}\n"


def go_imports(text: str) -> list[str]:
    """Return the import specs of a program."""
    found = GO_IMPORTS.findall(text)
    lines = [line for block, single in found for line in (block.split("\n") if block else [single])]
    return [line.strip() for line in lines if line.strip()]


def _is_used(line: str, code: str, original: str) -> bool:
    """Whether to keep an import; Go rejects unused ones.

    Only imports that the removed parts alone used are dropped: an import that the original answer
    did not use is the answer's error.
    """
    name = re.match(r'(?:(\w+)\s+)?"(?:[^"]*/)?([^"/]+)"', line)
    if name is None:
        return True
    use = re.compile(rf"\b{re.escape(name[1] or name[2])}\.")
    return bool(use.search(code)) or not use.search(original)
