r"""Makes something that compiles alone out of what answers hold: functions, methods, statements.

Promises: a source that is a whole program is tried first, as it is but for what only the name of
its file or folder needs (a public class, a package line). A fragment gets what its language wants
around it, and the usual imports where it has none; nothing inside of it is changed.

>>> [form.shape for form in forms("c", "int one(void) { return 1; }")]
[<Shape.PARTS: 'parts'>, <Shape.STEPS: 'steps'>]
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class AnswerShape(StrEnum):
    """What an answer's code is. Values are stored; never rename one."""

    WHOLE = "whole"
    """A program."""
    PARTS = "parts"
    """Functions or classes without an entry."""
    MEMBERS = "members"
    """Methods without their class."""
    STEPS = "steps"
    """Statements without a function around them."""


@dataclass(frozen=True, slots=True)
class WrappedForm:
    """One way to make a program of a source."""

    shape: AnswerShape
    """What the source is taken for."""
    source: str = field(repr=False)
    """The program."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a compiled language wants around a fragment; CODE stands for it."""

    whole: str
    """Regex of a source that has an entry of its own."""
    declares: str
    """Regex of a source that holds what may stand at the top level."""
    parts: str
    """Around functions or classes."""
    steps: str
    """Around statements."""
    members: str = ""
    """Around methods; empty where there are none."""
    imports: str = r"(?m)^\s*#\s*include\b.*$"
    """Regex of the lines that must stay at the top."""
    usual: str = ""
    """Imports for a fragment that has none."""
    unwanted: str = ""
    """Regex of what only names files and folders."""


_EVERY = "CODE"
_JAVA_TYPE = (
    r"(?m)^(?:(?:public|final|abstract|sealed|static|strictfp) +)*"
    r"(?:class|interface|enum|record|@interface) +\w+"
)
_CSHARP_TYPE = (
    r"(?m)^(?:(?:public|internal|static|sealed|abstract|partial) +)*"
    r"(?:class|interface|enum|struct|namespace) +\w+"
)
_C_DECLARES = (
    r"(?m)^(?:[\w:<>,*&\[\] ]+[ *&]+)?[\w:~]+ *\([^;]*\)[^;]*\{"
    r"|^(?:struct|class|enum|template|typedef|union)\b"
)
_C = Frame(
    whole=r"\bmain\s*\(",
    declares=_C_DECLARES,
    parts="CODE\nint main(void) { return 0; }\n",
    steps="int main(void) {\nCODE\nreturn 0;\n}\n",
    usual="".join(
        f"#include <{name}.h>\n"
        for name in ("stdio", "stdlib", "string", "stdbool", "stdint", "math", "ctype", "limits")
    ),
)
FRAMES: dict[str, Frame] = {
    "c": _C,
    "cpp": Frame(
        whole=_C.whole,
        declares=_C.declares,
        parts=_C.parts,
        steps=_C.steps,
        imports=r"(?m)^\s*(?:#\s*include\b.*|using namespace \w+;)$",
        usual="#include <bits/stdc++.h>\nusing namespace std;\n",
    ),
    "java": Frame(
        whole=r"\bstatic\s+void\s+main\s*\(",
        declares=_JAVA_TYPE,
        parts="CODE\nclass Entry_ { public static void main(String[] a) {} }\n",
        members="class Entry_ {\nCODE\npublic static void main(String[] a) {}\n}\n",
        steps="class Entry_ { public static void main(String[] a) throws Exception {\nCODE\n} }\n",
        imports=r"(?m)^import [\w.* ]+;",
        usual="".join(
            f"import java.{name}.*;\n"
            for name in ("util", "util.function", "util.stream", "io", "math", "time")
        ),
        unwanted=r"(?m)^package [\w.]+;|^public (?=(?:\w+ +)*(?:class|interface|enum|record) )",
    ),
    "csharp": Frame(
        whole=r"\bstatic\s+(?:async\s+)?(?:void|int|Task(?:<int>)?)\s+Main\s*\(",
        declares=_CSHARP_TYPE,
        parts="CODE\nstatic class Entry_ { static void Main() {} }\n",
        members="class Entry_ {\nCODE\nstatic void Main() {}\n}\n",
        steps="class Entry_ { static void Main() {\nCODE\n} }\n",
        imports=r"(?m)^using [\w.= ]+;",
        usual="using System;\nusing System.Collections.Generic;\nusing System.IO;\n"
        "using System.Linq;\nusing System.Text;\n",
    ),
    "go": Frame(
        whole=r"(?m)^func main\(\)",
        declares=r"(?m)^(?:func|type|const|var)\b",
        parts="package main\nCODE\nfunc main() {}\n",
        steps="package main\nfunc main() {\nCODE\n}\n",
        imports=r"(?ms)^import (?:\(.*?^\)|[^\n]+)",
        unwanted=r"(?m)^package \w+",
    ),
    "rust": Frame(
        whole=r"\bfn\s+main\s*\(",
        declares=r"(?m)^(?:pub |async |unsafe |const )*(?:fn|struct|enum|trait|impl|mod)\b",
        parts="CODE\nfn main() {}\n",
        steps="fn main() {\nCODE\n}\n",
        imports=r"(?m)^(?:#!\[.*\]|use [^;]+;)",
    ),
    "scala": Frame(
        whole=r"\bdef\s+main\b",
        declares=r"(?m)^(?:case |abstract |sealed )*(?:class|object|trait)\b",
        parts="CODE\nobject Entry_ { def main(a: Array[String]): Unit = {} }\n",
        members="object Entry_ {\nCODE\ndef main(a: Array[String]): Unit = {}\n}\n",
        steps="object Entry_ { def main(a: Array[String]): Unit = {\nCODE\n} }\n",
        imports=r"(?m)^import [^\n]+",
        unwanted=r"(?m)^package [\w.]+$",
    ),
    "d": Frame(
        whole=r"\bmain\s*\(",
        declares=_C_DECLARES,
        parts="CODE\nvoid main() {}\n",
        steps="void main() {\nCODE\n}\n",
        imports=r"(?m)^import [^;]+;|^module [\w.]+;",
        usual="import std;\n",
    ),
}
"""Languages whose programs are more than a file of statements."""
_APP = re.compile(r"(?m)^object +(\w+) +extends +App\b")
_IS_MODULE = re.compile(r"(?m)^\s*(?:import\b(?!\s*\()|export\b)")
_SHELL_LINE = re.compile(r"(?m)^(?:[!%]\s*\w.*|>>> |\.\.\. )")


def forms(language: str, source: str) -> tuple[WrappedForm, ...]:
    """Return the programs that a source may be meant as, likeliest first."""
    if language in FRAMES:
        return tuple(_framed(FRAMES[language], source))
    return tuple(
        WrappedForm(AnswerShape.WHOLE, text) for text in _LOOSE.get(language, _as_is)(source)
    )


def _framed(frame: Frame, source: str) -> Iterator[WrappedForm]:
    if frame.unwanted:
        source = re.sub(frame.unwanted, "", source)
    declares = re.search(frame.declares, source) is not None
    if re.search(frame.whole, source):
        if declares or not frame.members:
            yield WrappedForm(AnswerShape.WHOLE, _inside(frame, _EVERY, source, usual=False))
            return
        around = frame.members.replace(_entry(frame.members), "")
        yield WrappedForm(AnswerShape.MEMBERS, _inside(frame, around, source, usual=True))
        return
    if app := _APP.search(source):
        call = f"object Entry_ {{ def main(a: Array[String]): Unit = {app[1]}.main(a) }}\n"
        yield WrappedForm(AnswerShape.WHOLE, f"{source}\n{call}")
        return
    shapes = {
        AnswerShape.PARTS: frame.parts,
        AnswerShape.MEMBERS: frame.members,
        AnswerShape.STEPS: frame.steps,
    }
    if not declares and not frame.members:
        shapes = {AnswerShape.STEPS: frame.steps, AnswerShape.PARTS: frame.parts}
    for shape, around in shapes.items():
        if around and (shape is not AnswerShape.PARTS or declares or not frame.members):
            yield WrappedForm(shape, _inside(frame, around, source, usual=True))


def _entry(members: str) -> str:
    """Return the line that gives a class an entry."""
    return members.splitlines()[2]


def _inside(frame: Frame, around: str, source: str, *, usual: bool) -> str:
    """Put a source into its frame, with its imports, or the usual ones, above."""
    imports = [found[0].strip() for found in re.finditer(frame.imports, source)]
    package = around.startswith("package")
    if around == _EVERY:
        head = "package main\n" if frame is FRAMES["go"] else ""
        return head + source
    body = re.sub(frame.imports, "", source)
    top = "".join(f"{line}\n" for line in imports) or (frame.usual if usual else "")
    if package:
        first, _, rest = around.partition("\n")
        return f"{first}\n{top}{rest.replace(_EVERY, body)}"
    return top + around.replace(_EVERY, body)


def _as_is(source: str) -> tuple[str, ...]:
    return (source,)


def _python(source: str) -> tuple[str, ...]:
    """Read it as it is, then without a notebook's commands and a session's prompts."""
    return tuple(dict.fromkeys((source, _SHELL_LINE.sub("", source))))


def _javascript(source: str) -> tuple[str, ...]:
    """Read it as a script, then as a module, which Node takes from a URL as well as from a file."""
    coded = b64encode(source.encode("utf-8", "replace")).decode()
    module = f'import("data:text/javascript;base64,{coded}");'
    return (module,) if _IS_MODULE.search(source) else (source, module)


def _typescript(source: str) -> tuple[str, ...]:
    """Keep its names apart from those of a browser, which scripts share."""
    return (source if _IS_MODULE.search(source) else f"{source}\nexport {{}};\n",)


def _php(source: str) -> tuple[str, ...]:
    return (source if "<?" in source else f"<?php\n{source}",)


def _racket(source: str) -> tuple[str, ...]:
    return (source if "#lang" in source or "(module " in source else f"#lang racket\n{source}",)


_LOOSE = {
    "python": _python,
    "javascript": _javascript,
    "typescript": _typescript,
    "php": _php,
    "racket": _racket,
}
