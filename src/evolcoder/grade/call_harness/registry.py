"""The harness of every language that has one."""

from evolcoder.grade.call_harness import (
    bash,
    csharp,
    d,
    go,
    julia,
    lua,
    perl,
    r,
    racket,
    ruby,
    scala,
    swift,
)
from evolcoder.grade.call_harness.base import CallHarness

HARNESSES: dict[str, CallHarness] = {
    "bash": bash.HARNESS,
    "csharp": csharp.HARNESS,
    "d": d.HARNESS,
    "go": go.HARNESS,
    "julia": julia.HARNESS,
    "lua": lua.HARNESS,
    "perl": perl.HARNESS,
    "r": r.HARNESS,
    "racket": racket.HARNESS,
    "ruby": ruby.HARNESS,
    "scala": scala.HARNESS,
    "swift": swift.HARNESS,
}
"""By our name of the language; one line each."""
