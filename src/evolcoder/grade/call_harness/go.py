"""Go: MultiPL-E's tests compare the texts that `fmt.Sprintf("%v", …)` makes of two values.

So a line is that text, quoted. The calls stand in a `TestMain` of their own, which runs no tests;
packages that the test's own code would have used are used once more.
"""

import re

from evolcoder.grade.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grade.call_harness.brackets import C_LIKE

IMPORTS = """
import (
    NAMEfmt "fmt"
    NAMEos "os"
    NAMEstrconv "strconv"
    MORE
)
"""
SERIALISER = """
var NAMEanswers = NAMEos.NewFile(3, "answers")

func NAME(value interface{}) {
    NAMEanswers.WriteString(NAMEstrconv.QuoteToASCII(NAMEfmt.Sprintf("%v", value)) + "\\n")
}
"""
USED = "var _, _ = fmt.Sprintf, testing.Verbose"
"""A package that is imported must be used."""
PACKAGE = re.compile(r"(?m)^package \w+[^\n]*$")
HEAD = re.compile(
    r"(\s*\}?\s*)func Test\w*\(t \*testing\.T\) \{\s*(candidate := [\w.]+)\s*"
    r"type test struct \{\s*actual\s+interface\{\}\s*expected\s+interface\{\}\s*\}\s*"
    r"tests := \[\]test\{\s*"
)
TAIL = (
    r"\s*\}\s*for i, tc := range tests \{\s*t\.Run\(.*, func\(t \*testing\.T\) \{\s*"
    r'if fmt\.Sprintf\("%v", tc\.actual\) != fmt\.Sprintf\("%v", tc\.expected\) \{\s*'
    r"t\.Errorf\(.*\)\s*\}\s*\}\)\s*\}\s*\}\s*"
)


def split(test: str) -> SplitTest | None:
    """Take the table of calls and values apart."""
    head = HEAD.match(test)
    if head is None:
        return None
    checks, tail = C_LIKE.groups(test[head.end() :], r"\{", r"\s*,?\s*")
    found = [C_LIKE.parts(check.inner) for check in checks]
    if not found or not re.fullmatch(TAIL, tail):
        return None
    pairs = [(parts[0], parts[1]) for parts in found if len(parts) == 2]
    if len(pairs) < len(found) or not all(
        call.startswith("actual: candidate(") and want.startswith("expected: ")
        for call, want in pairs
    ):
        return None
    comparisons = [
        Comparison(call.removeprefix("actual: "), want.removeprefix("expected: "))
        for call, want in pairs
    ]
    return SplitTest(f"{head[1].strip()}\n{head[2]}".lstrip(), tuple(comparisons))


def calling_program(candidate: str, test: SplitTest) -> str:
    """Import under names of our own, and call before any test would run."""
    name = fresh_name()
    at = match.end() if (match := PACKAGE.search(candidate)) else 0
    imports = IMPORTS.replace("MORE", f'{name}testing "testing"').replace("NAME", name)
    whole = f"{candidate[:at]}\n{imports}{candidate[at:]}"
    closing, _, alias = test.head.rpartition("\n")
    calls = [f"    {name}({check.call})" for check in test.comparisons]
    main = f"func TestMain(m *{name}testing.M) {{"
    run = [USED, main, f"    {alias}", *calls, f"    {name}os.Exit(0)", "}", ""]
    return "\n".join([whole, closing, SERIALISER.replace("NAME", name), *run])


def expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - literals have a type
    """Serialise the expected values, which the test takes as they are."""
    head = (IMPORTS.replace("MORE", "") + SERIALISER).replace("NAME", "expected")
    values = [f"    expected({check.expected})" for check in test.comparisons]
    return "\n".join(["package main", head, "func main() {", *values, "}", ""])


HARNESS = CallHarness("go", split, calling_program, expected_program)
