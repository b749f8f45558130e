r"""Wraps the code of responses (functions, methods, statements) into programs that compile.

A complete program is kept, except for declarations that depend on its file or folder name (a public
class, a package line). A fragment is put into its language's template, with common imports if it
has none; the fragment itself does not change.

>>> [form.shape for form in wrap_variants("c", "int one(void) { return 1; }")]
[<AnswerShape.PARTS: 'parts'>, <AnswerShape.STEPS: 'steps'>]
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class AnswerShape(StrEnum):
    """Shape of a response's code. Values are stored; never rename one."""

    WHOLE = "whole"
    """A complete program."""
    PARTS = "parts"
    """Functions or classes without an entry point."""
    MEMBERS = "members"
    """Methods without their class."""
    STEPS = "steps"
    """Statements outside of a function."""


@dataclass(frozen=True, slots=True)
class WrappedForm:
    """A candidate program made from a source."""

    shape: AnswerShape
    """Shape assumed for the source."""
    source: str = field(repr=False)
    """The program."""
    written: str = field(default="", repr=False)
    """What the response wrote, if the program holds it in another coding."""

    @property
    def readable(self) -> str:
        """The source to search for what a program uses."""
        return self.written or self.source


@dataclass(frozen=True, slots=True)
class LanguageTemplate:
    """Templates of a compiled language for fragments; CODE is replaced by the fragment."""

    whole: str
    """Regex of a source with an entry point."""
    declares: str
    """Regex of a source with top-level declarations."""
    parts: str
    """Template for functions or classes."""
    steps: str
    """Template for statements."""
    members: str = ""
    """Template for methods; empty if the language has none."""
    imports: str = r"(?m)^[^\S\n]*#[^\S\n]*include\b.*$"
    """Regex of lines that must stay at the top."""
    common_imports: str = ""
    """Imports for a fragment without imports."""
    removed: str = ""
    """Regex of declarations that depend on file or folder names."""


_PLACEHOLDER = "CODE"
_JAVA_TYPE = (
    r"(?m)^(?:(?:public|final|abstract|sealed|static|strictfp) +)*"
    r"(?:class|interface|enum|record|@interface) +\w+"
)
_CSHARP_TYPE = (
    r"(?m)^(?:(?:public|internal|static|sealed|abstract|partial) +)*"
    r"(?:class|interface|enum|struct|namespace) +\w+"
)
_C_DECLARES = (
    r"(?m)^(?:[\w:<>,*&\[\] ]+[ *&])?[\w:~]+ *\([^;)]{0,500}\)[^;{]{0,500}\{"
    r"|^(?:struct|class|enum|template|typedef|union)\b"
)
_C = LanguageTemplate(
    whole=r"\bmain\s*\(",
    declares=_C_DECLARES,
    parts="CODE\nint main(void) { return 0; }\n",
    steps="int main(void) {\nCODE\nreturn 0;\n}\n",
    common_imports="".join(
        f"#include <{name}.h>\n"
        for name in ("stdio", "stdlib", "string", "stdbool", "stdint", "math", "ctype", "limits")
    ),
)
TEMPLATES: dict[str, LanguageTemplate] = {
    "c": _C,
    "cpp": LanguageTemplate(
        whole=_C.whole,
        declares=_C.declares,
        parts=_C.parts,
        steps=_C.steps,
        imports=r"(?m)^[^\S\n]*(?:#[^\S\n]*include\b.*|using namespace \w+;)$",
        common_imports="#include <bits/stdc++.h>\nusing namespace std;\n",
    ),
    "java": LanguageTemplate(
        whole=r"\bstatic\s+void\s+main\s*\(",
        declares=_JAVA_TYPE,
        parts="CODE\nclass Entry_ { public static void main(String[] a) {} }\n",
        members="class Entry_ {\nCODE\npublic static void main(String[] a) {}\n}\n",
        steps="class Entry_ { public static void main(String[] a) throws Exception {\nCODE\n} }\n",
        imports=r"(?m)^import [\w.* ]+;",
        common_imports="".join(
            f"import java.{name}.*;\n"
            for name in ("util", "util.function", "util.stream", "io", "math", "time")
        ),
        removed=r"(?m)^package [\w.]+;|^public (?=(?:\w+ +)*(?:class|interface|enum|record) )",
    ),
    "csharp": LanguageTemplate(
        whole=r"\bstatic\s+(?:async\s+)?(?:void|int|Task(?:<int>)?)\s+Main\s*\(",
        declares=_CSHARP_TYPE,
        parts="CODE\nstatic class Entry_ { static void Main() {} }\n",
        members="class Entry_ {\nCODE\nstatic void Main() {}\n}\n",
        steps="class Entry_ { static void Main() {\nCODE\n} }\n",
        imports=r"(?m)^using [\w.= ]+;",
        common_imports="using System;\nusing System.Collections.Generic;\nusing System.IO;\n"
        "using System.Linq;\nusing System.Text;\n",
    ),
    "go": LanguageTemplate(
        whole=r"(?m)^func main\(\)",
        declares=r"(?m)^(?:func|type|const|var)\b",
        parts="package main\nCODE\nfunc main() {}\n",
        steps="package main\nfunc main() {\nCODE\n}\n",
        imports=r"(?m)^import (?:\((?:[^\n]*\n){1,40}?\)|[^\n]+)",
        removed=r"(?m)^package \w+",
    ),
    "rust": LanguageTemplate(
        whole=r"\bfn\s+main\s*\(",
        declares=r"(?m)^(?:pub |async |unsafe |const )*(?:fn|struct|enum|trait|impl|mod)\b",
        parts="CODE\nfn main() {}\n",
        steps="fn main() {\nCODE\n}\n",
        imports=r"(?m)^(?:#!\[.*\]|use [^;]+;)",
    ),
    "scala": LanguageTemplate(
        whole=r"\bdef\s+main\b",
        declares=r"(?m)^(?:case |abstract |sealed )*(?:class|object|trait)\b",
        parts="CODE\nobject Entry_ { def main(a: Array[String]): Unit = {} }\n",
        members="object Entry_ {\nCODE\ndef main(a: Array[String]): Unit = {}\n}\n",
        steps="object Entry_ { def main(a: Array[String]): Unit = {\nCODE\n} }\n",
        imports=r"(?m)^import [^\n]+",
        removed=r"(?m)^package [\w.]+$",
    ),
    "d": LanguageTemplate(
        whole=r"\bmain\s*\(",
        declares=_C_DECLARES,
        parts="CODE\nvoid main() {}\n",
        steps="void main() {\nCODE\n}\n",
        imports=r"(?m)^import [^;]+;|^module [\w.]+;",
        common_imports="import std;\n",
    ),
}
"""Languages whose programs need an entry point."""
_APP = re.compile(r"(?m)^object +(\w+) +extends +App\b")
_IS_MODULE = re.compile(r"(?m)^[^\S\n]*(?:import\b(?!\s*\()|export\b)")
_SHELL_LINE = re.compile(r"(?m)^(?:[!%]\s*\w.*|%%\w.*|>>> ?|\.\.\.(?: |$))")
_OMITTED = re.compile(r"(?m)^([ \t]*)#[^\n]*(?:\.\.\.|…)[^\n]*$")
_PROMPT = re.compile(r">>> |\.\.\.(?: |$)")


def wrap_variants(language: str, source: str) -> tuple[WrappedForm, ...]:
    """Return the programs that a source may stand for, most likely first."""
    if language in TEMPLATES:
        return tuple(_wrap(TEMPLATES[language], source))
    variants = _SCRIPT_VARIANTS.get(language, _unchanged)(source)
    return tuple(WrappedForm(AnswerShape.WHOLE, text, source) for text in variants)


def _wrap(template: LanguageTemplate, source: str) -> Iterator[WrappedForm]:
    if template.removed:
        source = re.sub(template.removed, "", source)
    declares = re.search(template.declares, source) is not None
    if re.search(template.whole, source):
        if declares or not template.members:
            head = "package main\n" if template is TEMPLATES["go"] else ""
            yield WrappedForm(AnswerShape.WHOLE, head + source)
            return
        entry_point = template.members.splitlines()[2]
        around = template.members.replace(entry_point, "")
        yield WrappedForm(AnswerShape.MEMBERS, _fill(template, around, source))
        return
    if app := _APP.search(source):
        call = f"object Entry_ {{ def main(a: Array[String]): Unit = {app[1]}.main(a) }}\n"
        yield WrappedForm(AnswerShape.WHOLE, f"{source}\n{call}")
        return
    shapes = {
        AnswerShape.PARTS: template.parts,
        AnswerShape.MEMBERS: template.members,
        AnswerShape.STEPS: template.steps,
    }
    if not declares and not template.members:
        shapes = {AnswerShape.STEPS: template.steps, AnswerShape.PARTS: template.parts}
    for shape, around in shapes.items():
        if around and (shape is not AnswerShape.PARTS or declares or not template.members):
            yield WrappedForm(shape, _fill(template, around, source))


def _fill(template: LanguageTemplate, around: str, source: str) -> str:
    """Put a source into a template, with its imports, or the common ones, at the top."""
    imports = [found[0].strip() for found in re.finditer(template.imports, source)]
    body = re.sub(template.imports, "", source)
    top = "".join(f"{line}\n" for line in imports) or template.common_imports
    if around.startswith("package"):
        first, _, rest = around.partition("\n")
        return f"{first}\n{top}{rest.replace(_PLACEHOLDER, body)}"
    return top + around.replace(_PLACEHOLDER, body)


def _unchanged(source: str) -> tuple[str, ...]:
    return (source,)


def _python(source: str) -> tuple[str, ...]:
    """Return the source, then versions without notebook commands and interactive prompts.

    Of an interactive session, what Python printed is left out first, but not the code above it. In
    an outline, comments stand for what is left out; a body of nothing else does not parse.
    """
    outline = _OMITTED.sub(r"\1...", source)
    lines = source.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith(">>> ")), len(lines))
    typed = [line for line in lines[first:] if _PROMPT.match(line)]
    both = "\n".join([*lines[:first], *typed])
    sessions = tuple(_SHELL_LINE.sub("", one) for one in (both, "\n".join(typed)) if typed)
    return tuple(dict.fromkeys((source, *sessions, _SHELL_LINE.sub("", source), outline)))


def _javascript(source: str) -> tuple[str, ...]:
    """Return the source as a script, then as a module in a data URL, which Node can import."""
    coded = b64encode(source.encode("utf-8", "replace")).decode()
    module = f'import("data:text/javascript;base64,{coded}");'
    return (module,) if _IS_MODULE.search(source) else (source, module)


def _typescript(source: str) -> tuple[str, ...]:
    """Make the source a module, so that its names do not clash with a browser's globals."""
    return (source if _IS_MODULE.search(source) else f"{source}\nexport {{}};\n",)


def _php(source: str) -> tuple[str, ...]:
    return (source if "<?" in source else f"<?php\n{source}",)


def _racket(source: str) -> tuple[str, ...]:
    return (source if "#lang" in source or "(module " in source else f"#lang racket\n{source}",)


_SCRIPT_VARIANTS = {
    "python": _python,
    "javascript": _javascript,
    "typescript": _typescript,
    "php": _php,
    "racket": _racket,
}
