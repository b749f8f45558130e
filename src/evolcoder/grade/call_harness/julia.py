"""Julia: MultiPL-E's tests are `@test(result == value)`.

Numbers are equal by value, truth values among them, arrays by size and items, dictionaries and sets
by content. Not-a-number, `missing` and structures equal nothing.
"""

import re

from evolcoder.grade.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grade.call_harness.brackets import JULIA

SERIALISER = r"""
module NAME
const answers = open("/dev/fd/3", "w")
items(values) = join((text(item) * " " for item in values))
text(value) = OPAQUE
text(::Nothing) = "nothing"
text(value::AbstractString) = repr(String(value))
text(value::AbstractChar) = repr(Char(value))
text(value::Symbol) = ":" * repr(string(value))
text(value::Integer) = string(BigInt(value))
function text(value::AbstractFloat)
    isnan(value) && return OPAQUE
    isinteger(value) && return text(BigInt(value))
    return Float64(value) == value ? repr(Float64(value)) : string(value) * "b"
end
function text(value::Rational)
    isinteger(value) && return text(numerator(value))
    exact = Float64(value) == value
    return exact ? repr(Float64(value)) : string(numerator(value), "//", denominator(value))
end
text(value::Complex) = iszero(imag(value)) ? text(real(value)) : OPAQUE
text(value::Tuple) = "( " * items(value) * ")"
text(value::Pair) = "pair " * text(value.first) * " " * text(value.second)
text(value::AbstractArray) = "[" * join(size(value), "x") * " " * items(value) * "]"
text(value::AbstractSet) = "< " * join(sort([text(item) * " " for item in value])) * ">"
function text(value::AbstractDict)
    found = [text(name) * " " * text(item) * " " for (name, item) in value]
    return "{ " * join(sort(found)) * "}"
end
function line(value)
    write(answers, text(value) * "\n")
    flush(answers)
end
end
"""
HEAD = re.compile(r"\s*using Test\s*@testset\s*(?:\"[^\"]*\"\s*)?begin\s*(candidate = \w+!?);?\s*")
TAIL = r"\s*end\s*"


def split(test: str) -> SplitTest | None:
    """Take the tests apart."""
    head = HEAD.match(test)
    if head is None:
        return None
    checks, tail = JULIA.groups(test[head.end() :], r"@test\(", r"\s*;?\s*")
    found = [JULIA.compared(check.inner.strip(), ()) for check in checks]
    comparisons = tuple(Comparison(call, want) for call, want, _ in filter(None, found))
    if not found or len(comparisons) < len(found) or not re.fullmatch(TAIL, tail):
        return None
    if any(not check.call.startswith("candidate(") for check in comparisons):
        return None
    return SplitTest(head[1], comparisons)


def calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser into a module of its own, and the calls behind the candidate."""
    name = fresh_name()
    serialiser = SERIALISER.replace("NAME", name).replace("OPAQUE", '"?"')
    calls = [f"    {name}.line({check.call})" for check in test.comparisons]
    return "\n".join([serialiser, candidate, f"let {test.head}", *calls, "end", ""])


def expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - literals have a type
    """Serialise the expected values; one that has no text of its own is an error."""
    serialiser = SERIALISER.replace("NAME", "Expected").replace("OPAQUE", 'error("opaque")')
    values = [f"Expected.line({check.expected})" for check in test.comparisons]
    return "\n".join([serialiser, *values, ""])


HARNESS = CallHarness("julia", split, calling_program, expected_program)
