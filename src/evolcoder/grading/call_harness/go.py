"""Go: MultiPL-E's tests compare the texts that `fmt.Sprintf("%v", …)` returns for two values.

A line is that text, quoted. The calls are in a `TestMain`, which runs no tests. Packages that only
the removed test code used are referenced, since Go rejects unused imports.

HumanEvalPack's tests call `assert.Equal(value, f(arguments))` of testify, which compares like
`reflect.DeepEqual`. There a line contains type and value of all parts, such as `[]int[int 1]`; a
nil slice differs from an empty one, and an expected NaN equals nothing. Testify is not required.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import C_LIKE

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
_DEEP = r"""
func NAMEdeep(value interface{}) {
    NAMEanswers.WriteString(NAMEstrconv.QuoteToASCII(NAMEtext(NAMEreflect.ValueOf(value))) + "\n")
}

func NAMEtext(one NAMEreflect.Value) string {
    if !one.IsValid() {
        return "nil"
    }
    text := one.Type().String()
    switch one.Kind() {
    case NAMEreflect.Interface:
        return text + "(" + NAMEtext(one.Elem()) + ")"
    case NAMEreflect.Bool:
        return text + " " + NAMEstrconv.FormatBool(one.Bool())
    case NAMEreflect.String:
        return text + " " + NAMEstrconv.Quote(one.String())
    case NAMEreflect.Float32, NAMEreflect.Float64:
        if one.Float() != one.Float() {
            return text + " NOT_A_NUMBER"
        }
        return text + " " + NAMEstrconv.FormatFloat(one.Float() + 0, 'g', -1, 64)
    case NAMEreflect.Int, NAMEreflect.Int8, NAMEreflect.Int16, NAMEreflect.Int32, NAMEreflect.Int64:
        return text + " " + NAMEstrconv.FormatInt(one.Int(), 10)
    case NAMEreflect.Uint, NAMEreflect.Uint8, NAMEreflect.Uint16, NAMEreflect.Uint32,
        NAMEreflect.Uint64:
        return text + " " + NAMEstrconv.FormatUint(one.Uint(), 10)
    case NAMEreflect.Slice, NAMEreflect.Array:
        return text + NAMEitems(one)
    case NAMEreflect.Map:
        return text + NAMEentries(one)
    }
    OTHER
}

func NAMEitems(all NAMEreflect.Value) string {
    if all.Kind() == NAMEreflect.Slice && all.IsNil() {
        return "(nil)"
    }
    parts := []string{}
    for i := 0; i < all.Len(); i++ {
        parts = append(parts, NAMEtext(all.Index(i)))
    }
    return "[" + NAMEstrings.Join(parts, ", ") + "]"
}

func NAMEentries(all NAMEreflect.Value) string {
    if all.IsNil() {
        return "(nil)"
    }
    parts := []string{}
    for _, key := range all.MapKeys() {
        parts = append(parts, NAMEtext(key) + ": " + NAMEtext(all.MapIndex(key)))
    }
    NAMEsort.Strings(parts)
    return "{" + NAMEstrings.Join(parts, ", ") + "}"
}
"""
_DEEP_IMPORTS = "".join(f'NAME{name} "{name}"\n    ' for name in ("reflect", "sort", "strings"))
_TESTIFY = re.compile(r'(?m)^[ \t]*(?:import[ \t]+)?"github\.com/stretchr/testify/assert"[ \t]*$')
_ASSERT = re.compile(r"\s*func Test\w*\(t \*testing\.T\) \{\s*assert := assert\.New\(t\)\s*")
_USED = "var _, _ = fmt.Sprintf, testing.Verbose"
"""Go rejects unused imports."""
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
    """Split a test of either form."""
    return _split_table(test) or _split_assertions(test)


def _split_assertions(test: str) -> SplitTest | None:
    """Split a test of calls of `assert.Equal`."""
    head = _ASSERT.match(test)
    if head is None:
        return None
    checks, tail = C_LIKE.groups(test[head.end() :], r"assert\.Equal\(", r"\s*(?://[^\n]*\n\s*)*")
    found = [one for check in checks if (one := _equality(check.inner))]
    called = {one.call.partition("(")[0] for one in found}
    is_whole = tail.strip() == "}" and 0 < len(found) == len(checks)
    return SplitTest("", tuple(found)) if is_whole and len(called) == 1 else None


def _equality(arguments: str) -> Comparison | None:
    """Parse the arguments of `assert.Equal`: a value, a call, and an optional message."""
    parts = C_LIKE.split_at(arguments)
    if len(parts) not in {2, 3} or not all(re.fullmatch(r'"[^"\\]*"', one) for one in parts[2:]):
        return None
    value, call = parts[:2]
    name = re.match(r"[A-Z]\w*(?=\()", call)
    if not name or not C_LIKE.is_call(call, name[0]):
        return None
    mentions = re.search(rf"\b{name[0]}\b", C_LIKE.literal.sub("", value))
    return None if mentions or not value else Comparison(call, value, "deep")


def _split_table(test: str) -> SplitTest | None:
    """Split a test with a table of calls and values."""
    head = re.match(_HEAD, test)
    if head is None:
        return None
    checks, tail = C_LIKE.groups(test[head.end() :], r"\{", r"\s*,?\s*")
    found = [one for check in checks if (one := _comparison(check.inner))]
    if not 0 < len(found) == len(checks) or not re.fullmatch(_TAIL, tail):
        return None
    return SplitTest(f"{head[1].strip()}\n{head[2]}".lstrip(), tuple(found))


def _comparison(entry: str) -> Comparison | None:
    parts = C_LIKE.split_at(entry)
    matches = [re.fullmatch(r"(\w+):\s*(.+)", part, re.DOTALL) for part in parts]
    fields = {one[1]: one[2] for one in matches if one}
    call, value = fields.get("actual", ""), fields.get("expected", "")
    if len(parts) != 2 or not value or not C_LIKE.is_call(call, r"candidate\("):
        return None
    return None if C_LIKE.calls_candidate(value) else Comparison(call, value)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Import packages under fresh names, and call the candidate in `TestMain`, before any test."""
    name, is_deep = fresh_name(), _is_deep(test)
    source = _TESTIFY.sub("", candidate) if is_deep else candidate
    at = match.end() if (match := _PACKAGE.search(source)) else 0
    more = f'{name}testing "testing"\n    ' + _DEEP_IMPORTS * is_deep
    imports = _IMPORTS.replace("MORE", more.rstrip()).replace("NAME", name)
    whole = f"{source[:at]}\n{imports}{source[at:]}"
    closing, _, alias = test.head.rpartition("\n")
    calls = [f"    {name}{check.relation}({check.call})" for check in test.comparisons]
    main = f"func TestMain(m *{name}testing.M) {{"
    used = "var _ = testing.Verbose" if is_deep else _USED
    run = [used, main, f"    {alias}", *calls, f"    {name}os.Exit(0)", "}", ""]
    serialiser = _serialiser(name, "NaN", 'return text + " that is not compared"', is_deep=is_deep)
    return "\n".join([whole, closing, serialiser, *run])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - literals have a type
    """Serialise the expected values, without conversion."""
    is_deep = _is_deep(test)
    imports = _IMPORTS.replace("MORE", _DEEP_IMPORTS.rstrip() * is_deep).replace("NAME", "expected")
    serialiser = _serialiser("expected", "NaN, equal to nothing", "panic(text)", is_deep=is_deep)
    values = [f"    expected{check.relation}({check.expected})" for check in test.comparisons]
    return "\n".join(["package main", imports + serialiser, "func main() {", *values, "}", ""])


def _is_deep(test: SplitTest) -> bool:
    return any(check.relation for check in test.comparisons)


def _serialiser(name: str, nan: str, other: str, *, is_deep: bool) -> str:
    deep = _DEEP.replace("NOT_A_NUMBER", nan).replace("OTHER", other)
    return (_SERIALISER + deep * is_deep).replace("NAME", name)


HARNESS = CallHarness("go", _split, _calling_program, _expected_program)
