"""Julia: MultiPL-E's tests are `@test(result == value)`.

Numbers (including booleans) are equal by value, arrays by size and items, dictionaries and sets by
content. NaN, `missing` and structures equal nothing.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import JULIA, AssertForm

_SERIALISER = r"""
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
_ALIAS = re.compile(r"candidate = \w+!?")
_FORM = AssertForm(
    head=rf"\s*using Test\s*@testset\s*(?:\"[^\"]*\"\s*)?begin\s*{_ALIAS.pattern};?\s*",
    opening=r"[ \t]*@test\(",
    relations={"": r"\s*==(?!=)"},
    ending=r"[ \t]*;?[ \t]*\n?",
    tail=r"\s*end\s*",
    literal=JULIA.literal,
)


def _split(test: str) -> SplitTest | None:
    """Split a test without loading the Test module, which takes a second."""
    split = _FORM.split(test)
    alias = _ALIAS.search(split.head) if split else None
    return SplitTest(alias[0], split.comparisons) if split and alias else None


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser into a separate module, and the calls after the candidate."""
    name = fresh_name()
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", '"?"')
    calls = [f"    {name}.line({check.call})" for check in test.comparisons]
    return "\n".join([serialiser, candidate, f"let {test.head}", *calls, "end", ""])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - literals have a type
    """Serialise the expected values; an unsupported value is an error."""
    serialiser = _SERIALISER.replace("NAME", "Expected").replace("OPAQUE", 'error("opaque")')
    values = [f"Expected.line({check.expected})" for check in test.comparisons]
    return "\n".join([serialiser, *values, ""])


HARNESS = CallHarness("julia", _split, _calling_program, _expected_program)
