"""Go: MultiPL-E's tests compare the texts that `fmt.Sprintf("%v", …)` makes of two values.

So a line is that text, quoted. The calls stand in a `TestMain` of their own, which runs no tests;
packages that the test's own code would have used are used once more.
"""

import re

from evolcoder.grade.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grade.call_harness.brackets import C_LIKE

_IMPORTS = """
import (
    NAMEfmt "fmt"
    NAMEos "os"
    NAMEstrconv "strconv"
    MORE
)
"""
_SERIALISER = """
var NAMEanswers = NAMEos.NewFile(3, "answers")

func NAME(value interface{}) {
    NAMEanswers.WriteString(NAMEstrconv.QuoteToASCII(NAMEfmt.Sprintf("%v", value)) + "\\n")
}
"""
_USED = "var _, _ = fmt.Sprintf, testing.Verbose"
"""A package that is imported must be used."""
_PACKAGE = re.compile(r"(?m)^package \w+[^\n]*$")
_HEAD = re.compile(
    r"(\s*\}?\s*)func Test\w*\(t \*testing\.T\) \{\s*(candidate := [\w.]+)\s*"
    r"type test struct \{\s*actual\s+interface\{\}\s*expected\s+interface\{\}\s*\}\s*"
    r"tests := \[\]test\{\s*"
)
_TAIL = (
    r"\s*\}\s*for i, tc := range tests \{\s*t\.Run\(.*, func\(t \*testing\.T\) \{\s*"
    r'if fmt\.Sprintf\("%v", tc\.actual\) != fmt\.Sprintf\("%v", tc\.expected\) \{\s*'
    r"t\.Errorf\(.*\)\s*\}\s*\}\)\s*\}\s*\}\s*"
)


def _split(test: str) -> SplitTest | None:
    """Take the table of calls and values apart."""
    head = re.match(_HEAD, test)
    if head is None:
        return None
    checks, tail = C_LIKE.groups(test[head.end() :], r"\{", r"\s*,?\s*")
    found = [one for check in checks if (one := _comparison(check.inner))]
    if not 0 < len(found) == len(checks) or not re.fullmatch(_TAIL, tail):
        return None
    return SplitTest(f"{head[1].strip()}\n{head[2]}".lstrip(), tuple(found))


def _comparison(entry: str) -> Comparison | None:
    parts = C_LIKE.parts(entry)
    told = [re.fullmatch(r"(\w+):\s*(.+)", part, re.DOTALL) for part in parts]
    named = {one[1]: one[2] for one in told if one}
    call, value = named.get("actual", ""), named.get("expected", "")
    if len(parts) != 2 or not value or not C_LIKE.is_call(call, r"candidate\("):
        return None
    return None if C_LIKE.calls_candidate(value) else Comparison(call, value)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Import under names of our own, and call before any test would run."""
    name = fresh_name()
    at = match.end() if (match := _PACKAGE.search(candidate)) else 0
    imports = _IMPORTS.replace("MORE", f'{name}testing "testing"').replace("NAME", name)
    whole = f"{candidate[:at]}\n{imports}{candidate[at:]}"
    closing, _, alias = test.head.rpartition("\n")
    calls = [f"    {name}({check.call})" for check in test.comparisons]
    main = f"func TestMain(m *{name}testing.M) {{"
    run = [_USED, main, f"    {alias}", *calls, f"    {name}os.Exit(0)", "}", ""]
    return "\n".join([whole, closing, _SERIALISER.replace("NAME", name), *run])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - literals have a type
    """Serialise the expected values, which the test takes as they are."""
    head = (_IMPORTS.replace("MORE", "") + _SERIALISER).replace("NAME", "expected")
    values = [f"    expected({check.expected})" for check in test.comparisons]
    return "\n".join(["package main", head, "func main() {", *values, "}", ""])


HARNESS = CallHarness("go", _split, _calling_program, _expected_program)
