"""All call harnesses by language."""

from evolcoder.grading.call_harness import (
    bash,
    cpp,
    csharp,
    d,
    go,
    java,
    javascript,
    julia,
    lua,
    perl,
    php,
    r,
    racket,
    ruby,
    rust,
    scala,
    swift,
    typescript,
)
from evolcoder.grading.call_harness.base import CallHarness

HARNESSES: dict[str, CallHarness] = {
    "bash": bash.HARNESS,
    "cpp": cpp.HARNESS,
    "csharp": csharp.HARNESS,
    "d": d.HARNESS,
    "go": go.HARNESS,
    "java": java.HARNESS,
    "javascript": javascript.HARNESS,
    "julia": julia.HARNESS,
    "lua": lua.HARNESS,
    "perl": perl.HARNESS,
    "php": php.HARNESS,
    "r": r.HARNESS,
    "racket": racket.HARNESS,
    "ruby": ruby.HARNESS,
    "rust": rust.HARNESS,
    "scala": scala.HARNESS,
    "swift": swift.HARNESS,
    "typescript": typescript.HARNESS,
}
"""Canonical name of the language -> harness."""
