"""C#: MultiPL-E's tests are `Debug.Assert` of `result == value` or of `result.Equals(value)`.

`==` compares numbers and booleans. `Equals` compares values of the same type, tuples item by item;
lists, arrays and dictionaries only equal themselves, so no result equals the one that a test
creates. A null result is an error unless its type is `Nullable`.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import AssertForm

_SERIALISER = r"""
static class NAME
{
    static readonly global::System.Globalization.CultureInfo plain =
        global::System.Globalization.CultureInfo.InvariantCulture;

    static string Text(string value)
    {
        var found = new global::System.Text.StringBuilder("\"");
        foreach (char item in value)
        {
            if (item >= ' ' && item <= '~' && item != '"' && item != '\\') found.Append(item);
            else found.Append("\\u" + ((int) item).ToString("x4", plain));
        }
        return found.Append('"').ToString();
    }

    static string Number(double value)
    {
        if (value == global::System.Math.Floor(value) && global::System.Math.Abs(value) < 1e18)
            return ((long) value).ToString(plain);
        return value.ToString("G17", plain);
    }

    static string Scalar(object value)
    {
        if (value == null) return "null";
        if (value is string) return Text((string) value);
        if (value is bool) return (bool) value ? "true" : "false";
        if (value is char) return ((int) (char) value).ToString(plain);
        if (value is double || value is float)
            return Number(global::System.Convert.ToDouble(value, plain));
        if (value is decimal && decimal.Floor((decimal) value) != (decimal) value)
            return ((decimal) value).ToString(plain).TrimEnd('0') + "m";
        if (value is decimal) return decimal.Floor((decimal) value).ToString("F0", plain);
        if (value.GetType().IsPrimitive || value is global::System.Numerics.BigInteger)
            return global::System.Convert.ToString(value, plain);
        return null;
    }

    static object Item(object value, global::System.Type type, string name)
    {
        var field = type.GetField(name);
        if (field != null) return field.GetValue(value);
        return type.GetProperty(name).GetValue(value, null);
    }

    static string Strict(object value)
    {
        var scalar = Scalar(value);
        if (value == null || value is string) return scalar;
        var type = value.GetType();
        if (scalar != null) return type.FullName + ":" + scalar;
        if (value is global::System.Collections.IEnumerable) return REFERENCE;
        if (!type.IsGenericType || !(type.FullName.StartsWith("System.Tuple`")
                || type.FullName.StartsWith("System.ValueTuple`")))
            OPAQUE
        var found = new global::System.Text.StringBuilder("( " + type + " ");
        int count = type.GetGenericArguments().Length;
        for (int number = 1; number <= count; number++)
            found.Append(Strict(Item(value, type, number == 8 ? "Rest" : "Item" + number)) + " ");
        return found + ")";
    }

    static void Write(string line)
    {
        global::System.IO.File.AppendAllText("/dev/fd/3", line + "\n");
    }

    public static void Operator(object value)
    {
        var scalar = Scalar(value);
        if (scalar == null || scalar == "NaN") OPAQUE_LINE
        Write(scalar);
    }

    public static void Method<T>(T value)
    {
        if ((object) value == null && global::System.Nullable.GetUnderlyingType(typeof(T)) == null)
            NULL_LINE
        Write(Strict(value));
    }

    public static void Sequence<T>(global::System.Collections.Generic.IEnumerable<T> values)
    {
        var found = new global::System.Text.StringBuilder("[ ");
        foreach (var value in values) found.Append(Strict(value) + " ");
        Write(found + "]");
    }
}
"""
_CALLING = {
    "OPAQUE_LINE": '{ Write("?"); return; }',
    "NULL_LINE": "throw new global::System.NullReferenceException();",
    "OPAQUE": 'return "?";',
    "REFERENCE": '"?"',
}
_EXPECTED = {
    "OPAQUE_LINE": 'throw new global::System.NotSupportedException("opaque");',
    "NULL_LINE": "{ }",
    "OPAQUE": 'throw new global::System.NotSupportedException("opaque");',
    "REFERENCE": r'"\u2260"',
}
_UNEQUAL = "\u2260".encode()
"""Text of an object that only equals itself; all other texts are ASCII."""
_FORM = AssertForm(
    head=r"\s*\}\s*public static void Main\(string\[\] args\)\s*\{\s*",
    opening=r"[ \t]*Debug\.Assert\(",
    relations={
        "Operator": r"\s*==(?!=)",
        "Method": r"\.Equals\(",
        "Sequence": r"\.SequenceEqual\(",
    },
    tail=r"\s*\}\s*\}\s*",
)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Call in the main method, with the serialiser in a separate class."""
    name = fresh_name("H")
    calls = [f"    {name}.{check.relation}({check.call});" for check in test.comparisons]
    main = [test.head, *calls, "    }", "}"]
    return "\n".join([candidate, *main, _filled(name, _CALLING)])


def _expected_program(prompt: str, test: SplitTest) -> str:
    """Serialise the expected values, boxed as they are passed to `Equals`."""
    head = re.findall(r"(?m)^using [^;]*;", prompt)
    boxed = {"Method": "Method<object>"}
    values = [
        f"    Expected.{boxed.get(check.relation, check.relation)}({check.expected});"
        for check in test.comparisons
    ]
    main = ["class Problem {", "    public static void Main() {", *values, "    }", "}"]
    return "\n".join([*head, *main, _filled("Expected", _EXPECTED)])


def _same(got: bytes, expected: bytes) -> bool:
    """Compare the texts; one that contains a reference equals nothing."""
    return got == expected and _UNEQUAL not in expected


def _filled(name: str, parts: dict[str, str]) -> str:
    serialiser = _SERIALISER.replace("NAME", name)
    for word, code in parts.items():
        serialiser = serialiser.replace(word, code)
    return serialiser


HARNESS = CallHarness("csharp", _FORM.split, _calling_program, _expected_program, _same)
