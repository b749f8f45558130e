"""Checks that the program of a response parses, compiles and runs. Every response gets a verdict.

Responses are only run inside the sandbox, and only parsed there in depth. Kinds:

- `parse_error`, `compile_error`: the program itself is wrong.
- `not_run`: it lacks a library, uses names from the task's context, may be in a dialect that the
  installed tools do not support, is Python 2, data, commands of a shell, plainly another language
  or prose whatever its fence says, or is no program.
  `why` has the reason.
- `wants`: it needs input, arguments, files, network, display, browser, an environment (variables,
  locales, for a shell what the user's machine has) or a permission, or runs until it is stopped.
  `why` has the resource.
- `error`, `timeout`, `memory`, `output`: it fails by itself.
- `misstated`: it ran, and printed something else than the response says (`stated_output`).
- `passed`: it ran, which does not mean that it does what the task asks.

Patterns per language find in the output of compilers and interpreters what is not the program's
fault: a library that is not installed, a name that a fragment expects from its context, a dialect
that the compiler does not support, and missing input, files, network, display or browser. They are
searched in the first `MAX_DIAGNOSTIC_CHARS` of the output.

>>> missing_resource("c", "main.c:1:10: fatal error: curl/curl.h: No such file or directory")
'library'
>>> check = ExecutionCheck(sandbox, languages=("c",), limits=Limits())   # doctest: +SKIP
>>> (await check(task, response, {})).kind   # doctest: +SKIP
'passed'
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from evolcoder.code.blocks import (
    FoundProgram,
    find_program,
    is_data,
    is_newer_python,
    is_python2,
    is_shell,
    looks_like,
)
from evolcoder.code.mistagged import is_plainly_python, other_language
from evolcoder.code.notations import plain_code
from evolcoder.programming_language import named_languages
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Execution, Limits, Program, Sandbox, Status
from evolcoder.text import clean, one_line
from evolcoder.verification.execution.stated_output import misstated
from evolcoder.verification.execution.wrapping import AnswerShape, WrappedForm, wrap_variants
from evolcoder.verification.pipeline import NOT_RUN

MAX_DIAGNOSTIC_CHARS = 20_000
"""Bytes of output that are searched."""


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.MULTILINE)


SYNTAX: Mapping[str, re.Pattern[str]] = {
    "javascript": _any(
        r"SyntaxError[\s\S]*?(?:wrapSafe|compileFunction|compileSource"
        r"|importModule)"
    ),
    "bash": _any(
        r"main\.sh: line \d+: (?:syntax error(?! in expr)|unexpected EOF)",
        r"main\.sh: line \d+: .*(?:unexpected EOF|syntax error near)",
    ),
    "php": _any(r"^(?:PHP )?Parse error: ", r"Fatal error: +Cannot redeclare"),
    "ruby": _any(r"^main\.rb:\d+: (?:.*\(SyntaxError\)|syntax error)", r"--> main\.rb"),
    "perl": _any(r"(?:aborted due to|had) compilation errors", r"^syntax error at main\.pl"),
    "lua": _any(r"main\.lua:\d+: .*near (?:'|<eof>)", r"main\.lua:\d+: unfinished"),
    "r": _any(r"Error: (?:unexpected|incomplete|malformed|invalid token|unexpected end)"),
    "julia": _any(r"ParseError|syntax: "),
    "racket": _any(r"read-syntax: |: bad syntax|unbound identifier"),
}
"""Syntax errors of interpreters."""
_LIBRARY: Mapping[str, re.Pattern[str]] = {
    "python": _any(r"ModuleNotFoundError|ImportError"),
    "c": _any(r"fatal error: [\w./+-]+: No such file", r"undefined reference to `(?!main)"),
    "cpp": _any(r"fatal error: [\w./+-]+: No such file", r"undefined reference to `(?!main)"),
    "java": _any(r"error: package [\w.]+ does not exist", r"module not found|No suitable driver"),
    "csharp": _any(r"error CS(?:0234|0246|0012|0006)"),
    "go": _any(r"cannot find package", r"no required module", r"is not in (?:GOROOT|std)"),
    "rust": _any(r"error\[E(?:0432|0433|0463)\]"),
    "scala": _any(r"error: not found: object", r"is not a member of package"),
    "d": _any(r"unable to read module", r"cannot be read"),
    "swift": _any(r"error: no such module"),
    "typescript": _any(r"error TS(?:2307|2580|2582|2591|2792|7016|2503)"),
    "javascript": _any(
        r"Cannot find (?:module|package)|ERR_MODULE_NOT_FOUND|Failed to resolve",
        r"\b(?:describe|it|test|expect|jest|beforeEach|cy|axios|_|moment|THREE|Chart|Deno|Bun|db"
        r"|\w+App|Logger|game|figma) is not defined",
    ),
    "php": _any(r'Call to undefined function \w+\(\)|Class "[\w\\]+" not found|Failed opening'),
    "ruby": _any(r"LoadError|cannot load such file|uninitialized constant"),
    "perl": _any(r"Can't locate [\w/]+\.pm"),
    "lua": _any(
        r"module '[\w.-]+' not found",
        r"\(global '(?:love|game|script|workspace|vim|ngx|redis|minetest|awesome|hs|wx)'\)",
    ),
    "r": _any(r"there is no package called"),
    "julia": _any(r"Package \w+ not found"),
    "racket": _any(r"collection not found|cannot open module file"),
    "bash": _any(r"command not found"),
}
_UNDEFINED_NAME: Mapping[str, re.Pattern[str]] = {
    "c": _any(r"undeclared|unknown type name|implicit declaration|has no type or storage class"),
    "cpp": _any(
        r"was not declared|does not name a type|has not been declared"
        r"|not a class, namespace"
    ),
    "java": _any(r"error: (?:cannot find symbol|<identifier> expected|illegal start of type)"),
    "csharp": _any(r"error CS(?:0103|0246|0234|1061|1519)"),
    "go": _any(r"undefined: "),
    "rust": _any(r"error\[E(?:0412|0425|0405|0422|0531|0574)\]|cannot find "),
    "scala": _any(r"error: not found: "),
    "d": _any(r"undefined identifier"),
    "typescript": _any(r"error TS(?:2304|2552|2339)"),
    "swift": _any(r"cannot find (?:type )?'?\w+'? in scope"),
    "python": _any(r"'(?:return|yield|await|async with|async for)' outside"),
}
"""Compiler errors for names that a fragment uses and does not define."""
_DIALECT: Mapping[str, re.Pattern[str]] = {
    "csharp": _any(
        r"\brecord\b|\w\?\s+\w+\s*[;=,)]|\binit;|= new\(|\bis not\b|\busing var\b|\?\?="
        r"|\bswitch\s*\{|\basync (?:Value)?Task(?:<int>)? Main\b",
        r"^namespace [\w.]+;|\[\^\d|\.\.\w|\$@?\"\"\"|\bglobal using\b|\bawait foreach\b|!\.",
    ),
    "scala": _any(r"@main\b|^enum |\bgiven\b|^extension|\bthen$|^[^\S\n]*end \w+$|(?:=|:)$"),
    "cpp": _any(
        r"\bconcept\b|\brequires\b|\bco_(?:await|yield|return)\b|<=>|\bconsteval\b"
        r"|std::ranges|^[^\S\n]*(?:export )?(?:import|module) [\w.:<>\"]+;"
    ),
    "java": _any(r'"""|\bsealed\b|^void main\(|STR\."'),
    "javascript": _any(
        r"return\s*\(?\s*<[A-Za-z>]|=>\s*\(?\s*<[A-Za-z>]|=\s*<[A-Za-z]"
        r"|\(\s*<[A-Z]",
        r"^[^\S\n]*<",
    ),
    "typescript": _any(r"return\s*\(?\s*<[A-Za-z>]", r"^[^\S\n]*@\w+\("),
    "python": _any(
        # later than 3.11, and Cython
        r"^[ \t]*type \w+(?:\[[^\n]*\])? =",
        r"^[ \t]*(?:async )?(?:def|class) \w+\[",
        r"^[ \t]*c(?:def|pdef|import)\b",
        # a template with places to fill in
        r"[=(,:\[][ \t]*<[A-Za-z][\w -]*>",
        r"^[ \t]*(?:import|from)[ \t]+<[A-Za-z][\w -]*>",
    ),
    "rust": _any(r"^[^\S\n]*(?:async|let .* else)\b"),
    "php": _any(r"^[^\S\n]*@(?:if|foreach|section)\b"),
    "bash": _any(r"(?<= )<[A-Za-z][\w -]*>"),
}
"""Source in a dialect that the installed compiler or interpreter may not support."""
_RESOURCES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "input",
        _any(
            r"EOFError|EOF when reading|NoSuchElementException|No line found"
            r"|end of file reached"
        ),
    ),
    (
        "browser",
        _any(
            r"\b(?:document|window|\$|alert|localStorage|sessionStorage|XMLHttpRequest|jQuery"
            r"|navigator|chrome"
            r"|prompt|confirm|HTMLElement|Image|React|angular|location|event|self|Vue"
            r"|d3) is not defined"
        ),
    ),
    (
        "network",
        _any(
            r"URLError|ConnectionError|ConnectionRefused|Connection refused|getaddrinfo"
            r"|ENOTFOUND|EAI_AGAIN|connection refused|was refused"
            r"|UnknownHost|Network is unreachable|gaierror|Could not resolve|fetch failed"
            r"|no such host"
            r"|SocketException|ECONNREFUSED|ENETUNREACH|EADDR|Failed to open stream: php_network"
        ),
    ),
    (
        "display",
        _any(
            r"TclError|[Nn]o display|cannot open display|HeadlessException|XDG_RUNTIME_DIR|xcb"
            r"|could not find terminal"
        ),
    ),
    (
        "file",
        _any(
            r"FileNotFound|No such file|ENOENT|no such file|NoSuchFile|cannot open file"
            r"|[Cc]ould not open|[Uu]nable to open"
            r"|Failed to open stream|DirectoryNotFound|does not exist|no such table"
        ),
    ),
    (
        "environment",
        _any(r"<frozen os>\", line \d+, in __getitem__|unsupported locale setting"),
    ),
    (
        "permission",
        _any(
            r"PermissionError|Operation not permitted|Permission denied|EACCES"
            r"|EPERM|EROFS|Read-only file system"
        ),
    ),
)
_READS_INPUT = re.compile(
    r"\binput\s*\(|\bscanf\s*\(|\bcin\s*>>|\bgetline\s*\(|\bScanner\s*\(|System\.in"
    r"|\bsys\.stdin|\bSTDIN\b"
    r"|\bReadLine\s*\(|\breadline\b|\bread\s+-?\w|\bgets\b|\bstdin\b|\bfgets\s*\(|readLine"
    r"|\bprompt\s*\(|\bopen\(0[,)]"
    r"|Console\.Read|\bselect \w+ in\b"
)
_READS_ARGUMENTS = re.compile(
    r"\bargv\b|\bARGV\b|\bargs\s*[\[(]|\$[1-9@#]|\bos\.Args\b|\bargparse\b|\bargs\.length\b"
    r"|std::env::args"
)
_REFUSES_ENVIRONMENT = re.compile(
    r"\b(\w+)\s*=\s*os\.(?:getenv|environ\.get)\(\s*(['\"])\w+\2\s*\)"
    r"(?=[\s\S]{0,2000}\bif (?:not \1\b|\1 is None\b)[^\n]*:\s*(?:raise\b|(?:sys\.)?exit\b))"
)
"""An environment variable without which a program refuses to run."""
_REFUSES_IN_NODE = re.compile(
    r"\bif \(!\s*process\.env\b[^{;\n]*\)\s*\{?\s*(?:throw|process\.exit)\b"
)
"""The same in JavaScript."""
_ACTS_ON_MACHINE = re.compile(
    r"^[ \t]*(?:sudo +)?(?:pip3?|python3? -m (?:pip|venv)|conda|npm|npx|yarn|pnpm|apt(?:-get)?|yum"
    r"|dnf|brew|git|docker(?:-compose)?|podman|kubectl|helm|curl|wget|ssh|scp|sftp|rsync"
    r"|systemctl|service|mount|umount|make|cmake|mvn|gradle|cargo|go|java|javac|dotnet|mysql|psql"
    r"|redis-cli|mongo|ping|nc|adb|aws|gcloud|az|terraform|ansible\S*|crontab|user(?:add|mod|del)"
    r"|groupadd|iptables|ufw|hostnamectl|nmcli|ip|ifconfig|modprobe|fdisk|mkfs\S*|reboot"
    r"|shutdown)(?: |$)",
    re.MULTILINE,
)
"""Commands of a shell that need what is on the user's machine: packages, a repository, services."""
_RUNS_FOREVER = re.compile(
    r"\blisten\s*\(|serve_forever|\bmainloop\s*\(|\bapp\.run\b|setInterval|\baccept\s*\("
    r"|ListenAndServe|ServerSocket|\brun_forever|start_polling|\bsleep\b|inotifywait|\btail -f\b"
    r"|\.wait\s*\(\s*\)|\bsignal\.pause\b|\.get\s*\(\s*\)|\.acquire\s*\(\s*\)"
)


def missing_resource(language: str, output: str) -> str:
    """Return the resource that a program lacks according to its output, or ''."""
    if (pattern := _LIBRARY.get(language)) and pattern.search(output):
        return "library"
    return next((name for name, pattern in _RESOURCES if pattern.search(output)), "")


def is_undefined_name(language: str, output: str) -> bool:
    """Whether a compiler reports a name that the source does not define."""
    pattern = _UNDEFINED_NAME.get(language)
    return pattern is not None and pattern.search(output) is not None


def may_be_unsupported_dialect(language: str, source: str) -> bool:
    """Whether a source may be in a dialect that the installed tools do not support."""
    pattern = _DIALECT.get(language)
    return pattern is not None and pattern.search(source) is not None


def is_syntax_error(language: str, output: str) -> bool:
    """Whether an interpreter reports a syntax error."""
    pattern = SYNTAX.get(language)
    return pattern is not None and pattern.search(output) is not None


def likely_waiting_for(source: str) -> str:
    """Return what a program that did not end by itself probably waited for, or ''."""
    if _READS_INPUT.search(source):
        return "input"
    return "to_be_stopped" if _RUNS_FOREVER.search(source) else ""


def requested_input(source: str) -> str:
    """Return what a program that ended with an error reads from its user, or ''."""
    if _READS_INPUT.search(source):
        return "input"
    if _READS_ARGUMENTS.search(source):
        return "arguments"
    is_refused = _REFUSES_ENVIRONMENT.search(source) or _REFUSES_IN_NODE.search(source)
    return "environment" if is_refused else ""


WANTS = "wants"
PASSED = "passed"
MISSTATED = "misstated"
_RAN = frozenset({PASSED, MISSTATED})
PARSE_ERROR = "parse_error"
MAX_VARIANTS = 6
"""Variants of a program that are tried in one language."""
_RETRIED = {NOT_RUN: 0, PARSE_ERROR: 1, Status.COMPILE_ERROR.value: 1}
"""Kinds after which the next variant is tried; if all fail, the lowest value is reported."""
_ERROR_LINE = re.compile(r".*(?:[Ee]rror|Exception|panicked|fatal|undefined|cannot).*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class ExecutionFinding:
    """Outcome of running one variant of a program."""

    kind: str
    """Kind of the verdict."""
    why: str
    """Missing resource or reason; may be empty."""
    message: str
    """The line of the compiler's or program's output that names the error."""
    shape: AnswerShape | None
    """Shape assumed for the source, if there was one."""


class ExecutionCheck:
    """A `RowCheck` that runs the program of a response."""

    check = Check.RUNS

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        languages: Collection[str],
        limits: Limits,
        works: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Make the check for the installed languages.

        `works` returns whether the tools of a language can run any program at all.
        """
        self._sandbox = sandbox
        self._languages = frozenset({*languages, "python"})
        self._limits = limits
        self._works = works

    async def __call__(
        self, task: Task, response: Response, _before: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Run the program of a response; see the module for the kinds."""
        program = find_program(clean(response.text), _languages_of(task))
        if program.why:
            finding = ExecutionFinding(NOT_RUN, program.why, "", None)
            return _verdict(response, program, program.language, finding)
        assert program.language is not None
        findings: dict[str, ExecutionFinding] = {}
        for language in (program.language, *program.alternatives):
            finding = await self._run_variants(program, language, response.text)
            if finding.kind not in _RAN and not (program.is_stated or _may_be(language, program)):
                # Text without a tag: data, a log or another language is no wrong program.
                finding = ExecutionFinding(NOT_RUN, "language_unknown", "", None)
            findings[language] = finding
            if finding.kind not in _RETRIED:
                break
        language = min(findings, key=lambda name: _RETRIED.get(findings[name].kind, -1))
        finding = findings[language]
        if finding.kind in _WRONG and (why := _why_no_program(language, program)):
            finding = ExecutionFinding(NOT_RUN, why, finding.message, finding.shape)
        return _verdict(response, program, language, finding)

    async def _run_variants(
        self, program: FoundProgram, language: str, text: str
    ) -> ExecutionFinding:
        """Run variants of the program of a response's text until one compiles.

        If none does, the first `not_run` is returned, otherwise the first error.
        """
        if language not in self._languages or (self._works and not await self._works(language)):
            return ExecutionFinding(NOT_RUN, "language", "", None)
        failed: list[ExecutionFinding] = []
        for form in _variants(program, language):
            finding = await self._run(language, form, text)
            if finding.kind not in _RETRIED:
                return finding
            failed.append(finding)
        return min(failed, key=lambda finding: _RETRIED[finding.kind])

    async def _run(self, language: str, form: WrappedForm, text: str) -> ExecutionFinding:
        execution = await self._sandbox.run(Program(language, form.source), self._limits)
        output = _output(execution)
        kind, why = _classify(language, form, execution, output)
        if kind == PASSED and not requested_input(form.readable):
            printed = clean(execution.stdout.decode("utf-8", "replace"))
            if stated := misstated(form.readable, text, printed):
                said = f"the response says that it prints {one_line(stated, 80)}"
                return ExecutionFinding(MISSTATED, "", said, form.shape)
        return ExecutionFinding(
            kind, why, "" if kind == PASSED else _error_line(output), form.shape
        )


_WRONG = frozenset({PARSE_ERROR, Status.COMPILE_ERROR.value, "error"})
"""Findings on a text that may be no program in the language of its fence."""


def _why_no_program(language: str, program: FoundProgram) -> str:
    """Return what a text is if its tag does not say so, such as `python2` or `data`; or ''."""
    if language == "python" and any(map(is_python2, program.sources)):
        return "python2"
    if language == "python" and all(map(is_shell, program.sources)):
        return "shell"
    if all(map(is_data, program.sources)):
        return "data"
    if language != "python":
        return "python" if all(map(is_plainly_python, program.sources)) else ""
    found = {other_language(source) for source in program.sources}
    return found.pop() if len(found) == 1 else ""


def _languages_of(task: Task) -> list[str]:
    """Return the languages that a task names, its main language first."""
    first = [task.language] if task.language else []
    return list(dict.fromkeys([*first, *named_languages(task.instruction)]))


def _may_be(language: str, program: FoundProgram) -> bool:
    return any(looks_like(language, source) for source in program.sources)


_CELLS = re.compile(r"\s*In \[\d*\]:")
"""A session of IPython, which parses as annotations of Python."""


def _variants(program: FoundProgram, language: str) -> Iterator[WrappedForm]:
    every = (form for source in program.sources for form in wrap_variants(language, source))
    plain = (
        form
        for source in program.sources
        if not is_data(source) and (code := plain_code(source)) != source
        for form in wrap_variants(language, code)
    )
    orders = (every, plain)
    if any(map(_CELLS.match, program.sources)):
        orders = (plain, every)
    for forms in orders:
        yield from islice(forms, MAX_VARIANTS)


def _classify(
    language: str, form: WrappedForm, execution: Execution, output: str
) -> tuple[str, str]:
    """Return the kind of an execution, and the missing resource or reason."""
    if execution.status is Status.COMPILE_ERROR:
        return _classify_uncompiled(language, form, output)
    on_machine = language == "bash" and _ACTS_ON_MACHINE.search(form.readable)
    if execution.status is not Status.FINISHED:
        wanted = missing_resource(language, output) or likely_waiting_for(form.readable)
        wanted = wanted or ("environment" if on_machine else "")
        return (WANTS, wanted) if wanted else (execution.status.value, "")
    if execution.exit_code == 0:
        return PASSED, ""
    if is_syntax_error(language, output):
        return _classify_uncompiled(language, form, output)
    wanted = missing_resource(language, output) or requested_input(form.readable)
    wanted = wanted or ("environment" if on_machine else "")
    return (WANTS, wanted) if wanted else ("error", "")


def _classify_uncompiled(language: str, form: WrappedForm, output: str) -> tuple[str, str]:
    parsed = language != "python" and not is_syntax_error(language, output)
    kind = Status.COMPILE_ERROR.value if parsed else PARSE_ERROR
    if parsed and missing_resource(language, output) == "library":
        return NOT_RUN, "library"
    is_fragment = form.shape is not AnswerShape.WHOLE or language in {
        "python",
        "swift",
        "typescript",
    }
    if is_fragment and is_undefined_name(language, output):
        return NOT_RUN, "fragment"
    is_newer = language == "python" and is_newer_python(form.readable)
    if is_newer or may_be_unsupported_dialect(language, form.readable):
        return NOT_RUN, "dialect"
    return kind, ""


def _output(execution: Execution) -> str:
    """Return stderr, or stdout if that is empty: some compilers report errors there."""
    output = execution.stderr or execution.stdout
    return clean(output[:MAX_DIAGNOSTIC_CHARS].decode("utf-8", "replace"))


def _error_line(output: str) -> str:
    """Return the line that names the error: the last of a traceback, the first of a compiler."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    if "Traceback (most" in output:
        errors = lines[-1:]
    line = (errors or lines or [""])[0]
    return _ADDRESS.sub("0x…", one_line(line, 200))


def _verdict(
    response: Response, program: FoundProgram, language: str | None, finding: ExecutionFinding
) -> CheckResult:
    detail: dict[str, JSON] = {
        "language": language,
        "shape": finding.shape and finding.shape.value,
        "why": finding.why,
        "said": finding.message,
        "beside": list(program.other_languages),
    }
    known = {name: value for name, value in detail.items() if value}
    return CheckResult.of(response, Check.RUNS, finding.kind, detail=known)
