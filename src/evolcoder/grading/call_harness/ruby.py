"""Ruby: MultiPL-E's tests are `assert_equal` of Test::Unit, which is `expected == result`.

Numbers are equal by value (1 and 1.0), but not as hash keys; strings of different encodings are
equal if they are ASCII; objects of a candidate's classes never equal plain data.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import SCRIPT, ArgumentForm

_SERIALISER = """
module NAME
  ANSWERS = ::IO.for_fd(3, autoclose: false)
  def self.text(value)
    plain = value.ascii_only? || value.encoding == ::Encoding::UTF_8
    value.dump + (plain ? "" : value.encoding.name)
  end
  def self.number(value)
    return OPAQUE unless value.finite?
    value == value.floor ? value.to_i.to_s : value.to_s
  end
  def self.big(value)
    value.denominator == 1 ? value.numerator.to_s : number(value.to_f)
  end
  def self.scalar(value)
    case value
    when nil then "nil"
    when true then "true"
    when false then "false"
    when ::String then text(value)
    when ::Symbol then ":" + text(value.name)
    when ::Integer then value.to_s
    when ::Float then number(value)
    when ::Rational then big(value)
    else
      exact = value.class.name == "BigDecimal" && value.finite?
      exact ? big(value.to_r) : OPAQUE
    end
  end
  def self.key(value)
    return "[ " + value.map { |item| key(item) + " " }.join + "]" if ::Array === value
    (::Integer === value || !(::Numeric === value) ? "" : value.class.name) + value(value)
  end
  def self.value(value)
    case value
    when ::Array then "[ " + value.map { |item| value(item) + " " }.join + "]"
    when ::Hash
      return OPAQUE if value.compare_by_identity?
      pairs = value.map { |name, item| key(name) + " " + value(item) + " " }
      "{ " + pairs.sort.join + "}"
    else scalar(value)
    end
  end
  def self.line(value)
    ANSWERS.syswrite(value(value) + "\\n")
  end
end
"""
_FORM = ArgumentForm(
    head=(
        r"\s*require 'test/unit'\s*class \w+ < Test::Unit::TestCase\s*def test_\w+\s*"
        r"(?P<kept>candidate = method\(:\w+[?!]?\))\s*"
    ),
    opening=r"assert_equal\(",
    call=r"candidate\.call\(",
    brackets=SCRIPT,
    tail=r"\s*end\s*end\s*",
    places=(1, 0),
)
_COMMENTS = re.compile(r"(?:[ \t]*#[^\n]*\n|[ \t]*\n)*")
"""Comments at the start, which may set the encoding of the file's strings."""


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Call from a method of a separate class, as the test does."""
    name = fresh_name("H")
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", '"?"')
    calls = [f"    {name}.line(({check.call}))" for check in test.comparisons]
    run = [f"class {name}Run", "  def run", f"    {test.head}", *calls, "  end", "end"]
    at = match.end() if (match := _COMMENTS.match(candidate)) else 0
    whole = f"{candidate[:at]}{serialiser}{candidate[at:]}"
    return "\n".join([whole, *run, f"{name}Run.new.run", ""])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Ruby has no types
    """Serialise the expected values; an unsupported value ends the program."""
    serialiser = _SERIALISER.replace("NAME", "Expected").replace(
        "OPAQUE", "::Kernel.raise('opaque')"
    )
    values = [f"Expected.line(({check.expected}))" for check in test.comparisons]
    return "\n".join([serialiser, *values, ""])


HARNESS = CallHarness("ruby", _FORM.split, _calling_program, _expected_program)
