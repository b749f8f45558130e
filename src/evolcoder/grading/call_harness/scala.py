"""Scala: MultiPL-E's tests are `assert` of `result == value` or of `result.equals(value)`.

With `==`, and within lists, tuples, options and maps, numbers and characters are equal by value;
`equals` on a number also compares classes. All sequences with equal items are equal, whatever their
class. Arrays, NaN and objects of other classes equal nothing.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import AssertForm

_SERIALISER = r"""
object NAME {
  import _root_.java.lang.String
  private val answers = new _root_.java.io.FileOutputStream("/dev/fd/3")

  private def number(value: _root_.scala.Double): String =
    if (value.isNaN) OPAQUE
    else if (value == _root_.java.lang.Math.rint(value) && !value.isInfinite)
      new _root_.java.math.BigDecimal(value).toBigInteger.toString
    else value.toString

  private def escaped(item: _root_.scala.Char): String =
    if (item >= ' ' && item <= '~' && item != '"' && item != '\\') item.toString
    else "\\" + "u%04x".format(item.toInt)

  private def items(values: _root_.scala.collection.Iterable[_root_.scala.Any]): String =
    values.map(item => text(item) + " ").mkString

  private def pairs(values: _root_.scala.collection.Map[_, _]): String =
    values.toList.map(pair => text(pair._1) + " " + text(pair._2) + " ").sorted.mkString

  private def collection(value: _root_.scala.Any): String = value match {
    case found: _root_.scala.collection.Map[_, _] => "{ " + pairs(found) + "}"
    case found: _root_.scala.collection.Set[_] =>
      "< " + found.toList.map(item => text(item) + " ").sorted.mkString + ">"
    case found: _root_.scala.collection.Seq[_] => "[ " + items(found) + "]"
    case _root_.scala.Some(found) => "some " + text(found)
    case _root_.scala.None => "none"
    case _root_.scala.util.Left(found) => "left " + text(found)
    case _root_.scala.util.Right(found) => "right " + text(found)
    case found: _root_.scala.Product if found.getClass.getName.startsWith("scala.Tuple") =>
      "( " + items(found.productIterator.toList) + ")"
    case _ => OPAQUE
  }

  private def text(value: _root_.scala.Any): String = value match {
    case null => "null"
    case found: String => "\"" + found.toList.map(escaped).mkString + "\""
    case found: _root_.java.lang.Boolean => found.toString
    case found: _root_.java.lang.Character => found.charValue.toInt.toString
    case found: _root_.java.lang.Float => number(found.doubleValue)
    case found: _root_.java.lang.Double => number(found.doubleValue)
    case found: _root_.scala.math.BigInt => found.toString
    case found: _root_.scala.math.BigDecimal if !found.isWhole => number(found.toDouble)
    case found: _root_.scala.math.BigDecimal => found.toBigInt.toString
    case found: _root_.java.lang.Number if found.getClass.getName.startsWith("java.lang.") =>
      found.longValue.toString
    case found: _root_.scala.runtime.BoxedUnit => "unit"
    case found => collection(found)
  }

  private def write(line: String): _root_.scala.Unit = {
    answers.write((line + "\n").getBytes("US-ASCII"))
    answers.flush()
  }

  def operator(value: _root_.scala.Any): _root_.scala.Unit = write(text(value))

  def method(value: _root_.scala.Any): _root_.scala.Unit = {
    val name = value.getClass.getName
    write((if (name.startsWith("java.lang.")) name + ":" else "") + text(value))
  }
}
"""
_FORM = AssertForm(
    head=r"\s*\}\s*def main\(args: Array\[String\]\)(?:: Unit)? = \{\s*",
    opening=r"[ \t]*assert\(",
    relations={"operator": r"\s*==(?!=)", "method": r"\.equals\("},
    tail=r"\s*\}\s*\}\s*",
    ending=r"\s*;?[ \t]*\n?",
)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Call in the main method, with the serialiser in a separate object."""
    name = fresh_name("H")
    calls = [f"    {name}.{check.relation}({check.call});" for check in test.comparisons]
    main = [test.head, *calls, "    }", "}"]
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", '"?"')
    return "\n".join([candidate, *main, serialiser])


def _expected_program(prompt: str, test: SplitTest) -> str:
    """Serialise the expected values; an unsupported value is an error."""
    head = re.findall(r"(?m)^import [^\n]*", prompt)
    values = [f"    Expected.{one.relation}({one.expected});" for one in test.comparisons]
    main = ["object Problem {", "  def main(args: Array[String]): Unit = {", *values, "  }", "}"]
    serialiser = _SERIALISER.replace("NAME", "Expected")
    serialiser = serialiser.replace("OPAQUE", '_root_.scala.sys.error("opaque")')
    return "\n".join([*head, *main, serialiser])


HARNESS = CallHarness("scala", _FORM.split, _calling_program, _expected_program)
