r"""What compilers and interpreters say when a program cannot be blamed, and when it can.

Promises: a program is called wrong only by what it holds. A library that is not here, a name that
a fragment takes from elsewhere, a dialect that our compiler does not speak, standard input, files,
a network, a display, a browser: none of these is its fault, and each has a word of its own.
Expressions here are searched in the first `SAID_CHARS` of what was said.

>>> missing("c", "main.c:1:10: fatal error: curl/curl.h: No such file or directory")
'library'
"""

import re
from collections.abc import Mapping

SAID_CHARS = 20_000
"""How much of what a compiler or program says is looked at."""


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
"""How an interpreter says that a source is not of its language."""
_LIBRARY: Mapping[str, re.Pattern[str]] = {
    "python": _any(r"ModuleNotFoundError|ImportError"),
    "c": _any(r"fatal error: [\w./+-]+: No such file", r"undefined reference to `(?!main)"),
    "cpp": _any(r"fatal error: [\w./+-]+: No such file", r"undefined reference to `(?!main)"),
    "java": _any(r"error: package [\w.]+ does not exist", r"module not found"),
    "csharp": _any(r"error CS(?:0234|0246|0012|0006)"),
    "go": _any(r"cannot find package", r"no required module", r"is not in (?:GOROOT|std)"),
    "rust": _any(r"error\[E(?:0432|0433|0463)\]"),
    "scala": _any(r"error: not found: object", r"is not a member of package"),
    "d": _any(r"unable to read module", r"cannot be read"),
    "swift": _any(r"error: no such module"),
    "typescript": _any(r"error TS(?:2307|2580|2582|2591|2792|7016|2503)"),
    "javascript": _any(r"Cannot find (?:module|package)|ERR_MODULE_NOT_FOUND|Failed to resolve"),
    "php": _any(r'Call to undefined function \w+\(\)|Class "[\w\\]+" not found|Failed opening'),
    "ruby": _any(r"LoadError|cannot load such file"),
    "perl": _any(r"Can't locate [\w/]+\.pm"),
    "lua": _any(r"module '[\w.-]+' not found"),
    "r": _any(r"there is no package called"),
    "julia": _any(r"Package \w+ not found"),
    "racket": _any(r"collection not found|cannot open module file"),
    "bash": _any(r"command not found"),
}
_ELSEWHERE: Mapping[str, re.Pattern[str]] = {
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
"""How a compiler says that a fragment uses a name that it does not define."""
_DIALECT: Mapping[str, re.Pattern[str]] = {
    "csharp": _any(
        r"\brecord\b|\w\?\s+\w+\s*[;=,)]|\binit;|= new\(|\bis not\b|\busing var\b|\?\?="
        r"|\bswitch\s*\{",
        r"^namespace [\w.]+;|\[\^\d|\.\.\w|\$@?\"\"\"|\bglobal using\b|\bawait foreach\b|!\.",
    ),
    "scala": _any(r"@main\b|^enum |\bgiven\b|^extension|\bthen$|^\s*end \w+$|(?:=|:)$"),
    "cpp": _any(
        r"\bconcept\b|\brequires\b|\bco_(?:await|yield|return)\b|<=>|\bconsteval\b"
        r"|std::ranges"
    ),
    "java": _any(r'"""|\bsealed\b|^void main\(|STR\."'),
    "javascript": _any(
        r"return\s*\(?\s*<[A-Za-z>]|=>\s*\(?\s*<[A-Za-z>]|=\s*<[A-Za-z]"
        r"|\(\s*<[A-Z]",
        r"^\s*<",
    ),
    "typescript": _any(r"return\s*\(?\s*<[A-Za-z>]", r"^\s*@\w+\("),
    "rust": _any(r"^\s*(?:async|let .* else)\b"),
    "php": _any(r"^\s*@(?:if|foreach|section)\b"),
}
"""Source that is of a dialect which the compiler or interpreter here may not speak."""
_WANTS: tuple[tuple[str, re.Pattern[str]], ...] = (
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
            r"|navigator"
            r"|prompt|confirm|HTMLElement|Image|React|angular|location|event|self|Vue"
            r"|d3) is not defined"
        ),
    ),
    (
        "network",
        _any(
            r"URLError|ConnectionError|ConnectionRefused|Connection refused|getaddrinfo"
            r"|ENOTFOUND|EAI_AGAIN"
            r"|UnknownHost|Network is unreachable|gaierror|Could not resolve|fetch failed"
            r"|no such host"
            r"|SocketException|ECONNREFUSED|ENETUNREACH|EADDR|Failed to open stream: php_network"
        ),
    ),
    (
        "display",
        _any(r"TclError|[Nn]o display|cannot open display|HeadlessException|XDG_RUNTIME_DIR|xcb"),
    ),
    (
        "file",
        _any(
            r"FileNotFound|No such file|ENOENT|no such file|NoSuchFile|cannot open file"
            r"|[Cc]ould not open|[Uu]nable to open"
            r"|Failed to open stream|DirectoryNotFound|does not exist"
        ),
    ),
    (
        "permission",
        _any(
            r"PermissionError|Operation not permitted|Permission denied|EACCES"
            r"|EPERM|EROFS"
        ),
    ),
)
_READS_INPUT = re.compile(
    r"\binput\s*\(|\bscanf\s*\(|\bcin\s*>>|\bgetline\s*\(|\bScanner\s*\(|System\.in"
    r"|\bsys\.stdin|\bSTDIN\b"
    r"|\bReadLine\s*\(|\breadline\b|\bread\s+-?\w|\bgets\b|\bstdin\b|\bfgets\s*\(|readLine"
    r"|\bprompt\s*\("
    r"|Console\.Read|\bselect \w+ in\b"
)
_READS_ARGUMENTS = re.compile(
    r"\bargv\b|\bARGV\b|\bargs\s*[\[(]|\$[1-9@#]|\bos\.Args\b|\bargparse\b|\bargs\.length\b"
    r"|std::env::args"
)
_STAYS = re.compile(
    r"\blisten\s*\(|serve_forever|\bmainloop\s*\(|\bapp\.run\b|setInterval|\baccept\s*\("
    r"|ListenAndServe|ServerSocket|\brun_forever|start_polling|\bsleep\b|inotifywait|\btail -f\b"
)


def missing(language: str, said: str) -> str:
    """Name what a program lacks through no fault of its own, going by what was said; or ''."""
    if (sign := _LIBRARY.get(language)) and sign.search(said):
        return "library"
    return next((name for name, sign in _WANTS if sign.search(said)), "")


def is_of_elsewhere(language: str, said: str) -> bool:
    """Tell whether a compiler stumbled over a name that a fragment does not define."""
    sign = _ELSEWHERE.get(language)
    return sign is not None and sign.search(said) is not None


def may_be_dialect(language: str, source: str) -> bool:
    """Tell whether a source may be of a dialect that is not spoken here."""
    sign = _DIALECT.get(language)
    return sign is not None and sign.search(source) is not None


def is_no_syntax(language: str, said: str) -> bool:
    """Tell whether an interpreter says that a source is not of its language."""
    sign = SYNTAX.get(language)
    return sign is not None and sign.search(said) is not None


def waits_for(source: str) -> str:
    """Name what a program that did not end by itself may have waited for, or ''."""
    if _READS_INPUT.search(source):
        return "input"
    return "to_be_stopped" if _STAYS.search(source) else ""


def asks_for(source: str) -> str:
    """Name what a program that ended with an error reads from its user, or ''."""
    if _READS_INPUT.search(source):
        return "input"
    return "arguments" if _READS_ARGUMENTS.search(source) else ""
