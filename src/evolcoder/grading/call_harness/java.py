"""Java: assertions of `f(arguments) == value` or `f(arguments).equals(value)` in a main method.

Also lists of such conditions, `List<Boolean> correct = Arrays.asList(s.f(arguments) == value, …);`
of which none may be false.

If the test uses `==`, a line is a primitive type and its value, such as `long 5`; lines are equal
if the primitives are equal after binary numeric promotion, and an expected NaN equals nothing. If
it uses `equals`, a line is a value in Java's syntax, such as `[5L, "a"]`; lines are equal if values
and classes are, as far as `equals` distinguishes classes: any list can equal any other list.
"""

import re
import struct

from evolcoder.grading.call_harness.base import (
    CallHarness,
    SplitTest,
    fresh_name,
    is_plausible_length,
)
from evolcoder.grading.call_harness.splitting import (
    C_LIKE,
    C_LITERAL,
    AssertForm,
    Conditions,
    Rule,
    closing_bracket,
)

_FORM = AssertForm(
    head=r"\s*\}\s*public static void main\(String\[\] args\)[^{;]*\{\s*",
    opening=r"[ \t]*assert\s*\(",
    relations={"equal": r"\s*\.equals\s*\(", "same": r"\s*==(?!=)"},
    tail=r"\s*\}\s*\}\s*",
)
_LIST_HEAD = re.compile(
    r"\s*(?P<kept>public class Main \{\s*public static void main\(String\[\] args\)[^{;]*\{\s*"
    r"Solution s = new Solution\(\);\s*)List<Boolean> correct = Arrays\.asList\("
)
_LIST_TAIL = re.compile(
    r"\)\s*;\s*if \(correct\.contains\(false\)\) \{\s*throw new AssertionError\(\);\s*\}"
    r"\s*\}\s*\}\s*"
)
_NOT_NULL = r"(?P<value>(?!\s*null\b).+)"
_CONDITIONS = Conditions(
    (
        Rule(r"Objects\.equals\(", rf"\s*,\s*{_NOT_NULL}\)", relation="equal"),
        Rule(
            r"Objects\.equals\(", rf"\.get\(\)\s*,\s*{_NOT_NULL}\)", "CALL.get()", relation="equal"
        ),
        Rule("", rf"\.get\(\)\.equals\({_NOT_NULL}\)", "CALL.get()", relation="equal"),
        Rule("", rf"\s*\.equals\({_NOT_NULL}\)", relation="equal"),
        Rule("", r"\s*==\s*(?P<value>.+)", relation="same"),
        Rule("", rf"\s*\.get\(\)\s*==\s*{_NOT_NULL}", "CALL.get()", relation="same"),
        Rule("", r"\s*\.isEmpty\(\)", "CALL.isEmpty()", "true", "same"),
        Rule("!", r"\s*", "!CALL", "true", "same"),
        Rule("", r"\s*", "CALL", "true", "same"),
    ),
    names=r"s\.\w+",
)
_SERIALISER = r"""
final class NAME {
    private static final java.io.OutputStream OUT = open();

    private static java.io.OutputStream open() {
        try {
            return new java.io.FileOutputStream("/dev/fd/3");
        } catch (java.io.IOException error) {
            throw new java.lang.IllegalStateException(error);
        }
    }

    private static void line(java.lang.String text) {
        try {
            OUT.write((text + "\n").getBytes(java.nio.charset.StandardCharsets.UTF_8));
        } catch (java.io.IOException error) {
            throw new java.lang.IllegalStateException(error);
        }
    }

    static void same(boolean one) { line("boolean " + one); }
    static void same(byte one) { line("byte " + one); }
    static void same(short one) { line("short " + one); }
    static void same(char one) { line("char " + (int) one); }
    static void same(int one) { line("int " + one); }
    static void same(long one) { line("long " + one); }
    static void same(float one) {
        line("float " + (one != one ? "NOT_A_NUMBER" : one == 0 ? "0.0" : one + ""));
    }
    static void same(double one) {
        line("double " + (one != one ? "NOT_A_NUMBER" : one == 0 ? "0.0" : one + ""));
    }
    static void same(java.lang.Object one) {
        BOXED
        if (one instanceof java.lang.Boolean) same((boolean) (java.lang.Boolean) one);
        else if (one instanceof java.lang.Byte) same((byte) (java.lang.Byte) one);
        else if (one instanceof java.lang.Short) same((short) (java.lang.Short) one);
        else if (one instanceof java.lang.Character) same((char) (java.lang.Character) one);
        else if (one instanceof java.lang.Integer) same((int) (java.lang.Integer) one);
        else if (one instanceof java.lang.Long) same((long) (java.lang.Long) one);
        else if (one instanceof java.lang.Float) same((float) (java.lang.Float) one);
        else if (one instanceof java.lang.Double) same((double) (java.lang.Double) one);
        else line(one == null ? "null" : other(one));
    }

    static void equal(java.lang.Object one) { line(one == null ? "NO_OBJECT" : text(one)); }

    private static java.lang.String text(java.lang.Object one) {
        if (one == null) return "null";
        if (one instanceof java.lang.String) return quoted((java.lang.String) one, '"');
        if (one instanceof java.lang.Character) return quoted(one.toString(), '\'');
        if (one instanceof java.lang.Boolean || one instanceof java.lang.Integer
            || one instanceof java.lang.Double) return one.toString();
        if (one instanceof java.lang.Long) return one + "L";
        if (one instanceof java.lang.Float) return one + "f";
        java.lang.String name = one.getClass().getSimpleName();
        if (one instanceof java.lang.Byte || one instanceof java.lang.Short
            || one.getClass() == java.math.BigInteger.class
            || one.getClass() == java.math.BigDecimal.class) return name + "(" + one + ")";
        if (one instanceof java.util.List) return "[" + all((java.lang.Iterable<?>) one) + "]";
        if (one instanceof java.util.Set) {
            return "Set[" + sorted((java.util.Set<?>) one) + "]";
        }
        if (one instanceof java.util.Map) {
            return "{" + sorted(((java.util.Map<?, ?>) one).entrySet()) + "}";
        }
        if (one instanceof java.util.Map.Entry) {
            java.util.Map.Entry<?, ?> entry = (java.util.Map.Entry<?, ?>) one;
            return text(entry.getKey()) + "=" + text(entry.getValue());
        }
        if (one instanceof java.util.Optional) {
            java.util.Optional<?> held = (java.util.Optional<?>) one;
            return held.isPresent() ? "Optional(" + text(held.get()) + ")" : "Optional()";
        }
        if (one.getClass().getName().equals("org.javatuples." + name)) {
            return name + "(" + all((java.lang.Iterable<?>) one) + ")";
        }
        return other(one);
    }

    private static java.lang.String other(java.lang.Object one) { OTHER }

    private static java.lang.String all(java.lang.Iterable<?> all) {
        java.util.StringJoiner joined = new java.util.StringJoiner(", ");
        for (java.lang.Object one : all) joined.add(text(one));
        return joined.toString();
    }

    private static java.lang.String sorted(java.util.Collection<?> all) {
        java.util.List<java.lang.String> texts = new java.util.ArrayList<>();
        for (java.lang.Object one : all) texts.add(text(one));
        java.util.Collections.sort(texts);
        return java.lang.String.join(", ", texts);
    }

    private static java.lang.String quoted(java.lang.String text, char mark) {
        java.lang.StringBuilder out = new java.lang.StringBuilder().append(mark);
        for (int i = 0; i < text.length(); i++) {
            char one = text.charAt(i);
            if (one == mark || one == '\\') out.append('\\').append(one);
            else if (one >= 32 && one != 127 && !java.lang.Character.isSurrogate(one)) {
                out.append(one);
            } else out.append(java.lang.String.format("\\u%04x", (int) one));
        }
        return out.append(mark).toString();
    }
}
"""
_CALLING = {
    "OTHER": 'return "an instance of " + quoted(one.getClass().getName(), \'"\');',
    "NOT_A_NUMBER": "NaN",
    "NO_OBJECT": "null",
    "BOXED": "",
}
_EXPECTING = {
    "OTHER": "throw new java.lang.IllegalArgumentException(one.getClass().getName());",
    "NOT_A_NUMBER": "NaN, equal to nothing",
    "NO_OBJECT": "null, equal to nothing",
    "BOXED": "if (one != null) other(one);",
}
_PRIMITIVE = re.compile(
    r"(boolean|byte|short|char|int|long|float|double) (-?[\w.-]{1,40})", re.ASCII
)
_IMPORT = re.compile(r"^[ \t]*import\s[^\n]*", re.MULTILINE)


def _split(test: str) -> SplitTest | None:
    """Split a test of either form."""
    head = _LIST_HEAD.match(test)
    close = closing_bracket(test, head.end() - 1, C_LITERAL) if head else None
    if head is None or close is None:
        return _FORM.split(test)
    conditions = C_LIKE.split_at(test[head.end() : close])
    is_whole = _LIST_TAIL.fullmatch(test, close)
    return _CONDITIONS.split(head["kept"], conditions) if is_whole else None


def _calling_program(candidate: str, split: SplitTest) -> str:
    name = fresh_name("H")
    calls = "".join(f"    {name}.{one.relation}({one.call});\n" for one in split.comparisons)
    return _whole(candidate, split.head + calls, _serialiser(name, _CALLING))


def _expected_program(prompt: str, split: SplitTest) -> str:
    """Use only the imports of the prompt: some prompts declare types that do not exist."""
    imports = "".join(f"{line}\n" for line in _IMPORT.findall(prompt))
    lines = "".join(f"    Harness.{one.relation}({one.expected});\n" for one in split.comparisons)
    main = f"class Problem {{\n    public static void main(String[] args) {{\n{lines}"
    return _whole(imports, main, _serialiser("Harness", _EXPECTING))


def _whole(source: str, test: str, serialiser: str) -> str:
    return f"{source}\n{test}    }}\n\n}}\n{serialiser}"


def _serialiser(name: str, words: dict[str, str]) -> str:
    text = _SERIALISER.replace("NAME", name)
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


def _same(got: bytes, expected: bytes) -> bool:
    if got == expected:
        return True
    if not is_plausible_length(got, expected):
        return False
    one, other = (_PRIMITIVE.fullmatch(line.decode("utf-8", "replace")) for line in (got, expected))
    if one is None or other is None:
        return False
    try:
        return _equal(one[1], one[2], other[1], other[2])
    except (ValueError, OverflowError):
        return False


def _equal(kind: str, value: str, wanted: str, text: str) -> bool:
    """Compare two primitives of different types; a boolean only equals a boolean."""
    kinds = {kind, wanted}
    if "boolean" in kinds:
        return False
    if kinds & {"float", "double"}:
        one, other = _floating(kind, value), _floating(wanted, text)
        return one == other if "double" in kinds else _as_float(one) == _as_float(other)
    return int(value) == int(text)


def _floating(kind: str, text: str) -> float:
    """Parse a number in its type's format."""
    if kind == "float":
        return _as_float(float(text))
    return float(text) if kind == "double" else float(int(text))


def _as_float(number: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


HARNESS = CallHarness("java", _split, _calling_program, _expected_program, _same)
