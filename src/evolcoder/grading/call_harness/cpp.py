"""C++: tests of the form `assert(f(arguments) == value);` in a main function.

Also assertions of a call, of its negation, of a difference below a tolerance, and of
HumanEvalPack's `issame`.

A line contains type and value, such as `vector<i64> [1,2]`. Two lines are equal if `==` compiles
for the types and is true: numbers by their common type, strings of any kind by their characters, an
optional with its value type, tuples element by element, all else at the same type. The text of a
floating-point number is unambiguous; an expected NaN equals nothing. An expected line that begins
with `near` contains the tolerance for a number, or for each element of a vector.
"""

import re
import struct
from decimal import Context, Decimal

from evolcoder.grading.call_harness.base import (
    CallHarness,
    SplitTest,
    fresh_name,
    is_plausible_length,
)
from evolcoder.grading.call_harness.splitting import AssertForm, BodyForm, Conditions, Rule

_LINES = r"(?:[ \t]*#[ \t]*(?:include|undef)[^\n]*\n|[ \t]*\n)*"
_FORM = AssertForm(
    head=(
        rf"{_LINES}[ \t]*\}}{_LINES}\s*int\s+main\s*\([^()]*\)\s*\{{\s*"
        r"(?:auto\s+candidate\s*=\s*&?\s*\w+\s*;\s*)?"
    ),
    opening=r"[ \t]*assert\s*\(",
    relations={"": r"\s*==(?!=)"},
    tail=r"\s*(?:return\s+0\s*;)?\s*\}\s*",
)
_SIZES = r"if \(a\.size\(\)!=b\.size\(\)\) return false;\s*"
_ITEMS = r"for \(int i=0;i<a\.size\(\);i\+\+\)\s*\{\s*"
_SAME_ITEMS = rf"{_SIZES}{_ITEMS}if \(a\[i\]!=b\[i\]\) return false;\s*\}}\s*return true;\s*"
_NEAR_ITEMS = _SAME_ITEMS.replace(r"if \(a\[i\]!=b\[i\]\)", r"if \(abs\(a\[i\]-b\[i\]\)>1e-4\)")
_ISSAME = (
    rf"bool issame\((?P<type>vector<(?:int|string)>) a,\s*(?P=type)\s*b\)\s*\{{\s*{_SAME_ITEMS}\}}"
)
_ISNEAR = r"bool issame\((?P<type>vector<float>) a,\s*(?P=type)\s*b\)\s*\{\s*" + _NEAR_ITEMS + r"\}"
_OPENING, _NUMERAL = r"assert\s*\(\s*", r"[\d.]+(?:e-?\d+)?"
_VALUE, _WITHIN = rf"(?P<value>{_NUMERAL}(?:/{_NUMERAL})?)", rf"\)\s*<\s*(?P<within>{_NUMERAL})\s*"
_NEAR = "harness::near<double>{WITHIN, VALUE}"
_CALLED = r"issame\(\s*", r"\s*,\s*(?P<value>\{.*\})\s*\)\s*"
_RULES = (
    Rule(_OPENING, r"\s*==\s*(?P<value>.+)"),
    Rule(_OPENING + r"\(", r"\s*==\s*(?P<value>.+)\)\s*"),
    Rule(_OPENING + r"abs\s*\(\s*", rf"\s*-\s*{_VALUE}{_WITHIN}", expected=_NEAR, relation="near"),
    Rule(
        _OPENING + r"abs\s*\(\s*",
        rf"\s*\+\s*{_VALUE}{_WITHIN}",
        expected=_NEAR.replace("VALUE", "-(VALUE)"),
        relation="near",
    ),
    Rule(_OPENING + r"not\s*\(\s*", r"\s*\)\s*", "!CALL", "true"),
    Rule(_OPENING, r"\s*", "!CALL", "false"),
)


def _conditions(issame: str, *rules: Rule) -> BodyForm:
    """Return the form of tests that define the helper function `issame` (a regex), if any."""
    return BodyForm(
        head=rf"{_LINES}[ \t]*(?P<close>\}}?){_LINES}{issame}\s*int\s+main\s*\([^()]*\)\s*\{{",
        begin=r"\g<close>\nint main() {\n",
        opening=r"assert\s*\(",
        variable=(
            r"(?:std::)?(?:int|long|float|double|string|bool|char|vector<[\w<>, :]*>)"
            r"\s+(?P<name>\w+)\s*=\s*"
        ),
        tail=r"(?:return\s+0\s*;)?\s*\}\s*",
        conditions=Conditions((*rules, *_RULES), names=r"(?!(?:abs|fabs|not|issame|sizeof)\b)\w+"),
    )


_FORMS = (
    _conditions(""),
    _conditions(_ISSAME, Rule(_OPENING + _CALLED[0], _CALLED[1], expected="TYPEVALUE")),
    _conditions(
        _ISNEAR,
        Rule(
            _OPENING + _CALLED[0],
            _CALLED[1],
            expected="harness::near<TYPE>{1e-4, TYPEVALUE}",
            relation="near",
        ),
    ),
)
_NEARNESS = r"""namespace harness {
template <class T> struct near { double within; T value; };
template <class T> struct form<near<T>> {
    static void type(text &out) { out += "near"; }
    static void value(text &out, const near<T> &one) {
        value_of(out, one.within); out += ' ';
        type_of<T>(out); out += ' ';
        value_of(out, one.value);
    }
};
}
"""
_PRELUDE = r"""#include <bits/stdc++.h>
#include <unistd.h>
namespace NAME {
using text = std::string;
template <class T, class = void> struct form;
template <class T> void type_of(text &out) { form<std::decay_t<T>>::type(out); }
template <class T> void value_of(text &out, const T &one) {
    form<std::decay_t<T>>::value(out, one);
}
template <> struct form<bool> {
    static void type(text &out) { out += "bool"; }
    static void value(text &out, bool one) { out += one ? "true" : "false"; }
};
template <class T> struct form<T, std::enable_if_t<std::is_integral_v<T>>> {
    static void type(text &out) {
        out += std::is_signed_v<T> ? 'i' : 'u';
        out += std::to_string(8 * sizeof(T));
    }
    static void value(text &out, T one) { out += std::to_string(one); }
};
template <class T> struct form<T, std::enable_if_t<std::is_floating_point_v<T>>> {
    static void type(text &out) { out += 'f'; out += std::to_string(8 * sizeof(T)); }
    static void value(text &out, T one) {
        char digits[64];
        const int most = sizeof(T) > 8 ? 36 : 17;
        std::snprintf(digits, sizeof digits, "%.*Lg", most, static_cast<long double>(one));
        out += one != one ? "NOT_A_NUMBER" : one == 0 ? "0" : digits;
    }
};
template <class T>
struct form<T, std::enable_if_t<std::is_convertible_v<const T &, std::string_view>>> {
    static void type(text &out) { out += "string"; }
    static void value(text &out, std::string_view all) {
        out += '"';
        for (const char one : all) {
            char code[8];
            const unsigned char byte = static_cast<unsigned char>(one);
            const char *escaped = byte < 32 || byte == 127 ? "\\x%02x" : "\\%c";
            std::snprintf(code, sizeof code, escaped, byte);
            if (byte < 32 || byte == 127 || one == '"' || one == '\\') out += code;
            else out += one;
        }
        out += '"';
    }
};
template <> struct form<std::nullopt_t> {
    static void type(text &out) { out += "nullopt"; }
    static void value(text &out, std::nullopt_t) { out += "nullopt"; }
};
template <class T> struct form<std::optional<T>> {
    static void type(text &out) { out += "optional<"; type_of<T>(out); out += '>'; }
    static void value(text &out, const std::optional<T> &one) {
        if (one) value_of(out, *one);
        else out += "nullopt";
    }
};
template <class T> struct form<std::optional<std::optional<T>>>;
template <class A, class B> struct form<std::pair<A, B>> {
    static void type(text &out) {
        out += "pair<"; type_of<A>(out); out += ','; type_of<B>(out); out += '>';
    }
    static void value(text &out, const std::pair<A, B> &one) {
        out += '('; value_of(out, one.first); out += ','; value_of(out, one.second); out += ')';
    }
};
template <class... T> struct form<std::tuple<T...>> {
    static void type(text &out) {
        const char *mark = "tuple<";
        ((out += mark, type_of<T>(out), mark = ","), ...);
        out += '>';
    }
    static void value(text &out, const std::tuple<T...> &all) {
        const char *mark = "(";
        std::apply([&](const auto &...one) {
            ((out += mark, value_of(out, one), mark = ","), ...);
        }, all);
        out += ')';
    }
};
template <> struct form<std::tuple<>>;
template <class... T> const char *name_of(const std::vector<T...> *) { return "vector"; }
template <class... T> const char *name_of(const std::deque<T...> *) { return "deque"; }
template <class... T> const char *name_of(const std::list<T...> *) { return "list"; }
template <class... T> const char *name_of(const std::set<T...> *) { return "set"; }
template <class... T> const char *name_of(const std::multiset<T...> *) { return "multiset"; }
template <class... T> const char *name_of(const std::map<T...> *) { return "map"; }
template <class... T> const char *name_of(const std::multimap<T...> *) { return "multimap"; }
template <class T, std::size_t N> const char *name_of(const std::array<T, N> *) { return "array"; }
template <class... T>
const char *name_of(const std::unordered_set<T...> *) { return "unordered_set"; }
template <class... T>
const char *name_of(const std::unordered_map<T...> *) { return "unordered_map"; }
template <class T> struct form<T, std::void_t<decltype(name_of(static_cast<T *>(nullptr)))>> {
    static text name() { return name_of(static_cast<T *>(nullptr)); }
    static void type(text &out) {
        out += name(); out += '<'; type_of<typename T::value_type>(out); out += '>';
    }
    static void value(text &out, const T &all) {
        std::vector<text> parts;
        for (const auto &one : all) {
            parts.emplace_back();
            value_of<typename T::value_type>(parts.back(), one);
        }
        if (name().rfind("unordered", 0) == 0) std::sort(parts.begin(), parts.end());
        out += '[';
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (i) out += ',';
            out += parts[i];
        }
        out += ']';
    }
};
template <class T> int NAME(const T &one) {
    text line;
    type_of<T>(line);
    line += ' ';
    value_of(line, one);
    line += '\n';
    for (std::size_t at = 0; at < line.size();) {
        const ssize_t size = ::write(3, line.data() + at, line.size() - at);
        if (size <= 0) ::_exit(1);
        at += static_cast<std::size_t>(size);
    }
    return 0;
}
}
"""
_C_STRING = re.compile(
    r"\W*(?:str(?:len|cmp|chr|rchr|str|spn|cspn|pbrk|coll)|atoi|atof|puts|system)\("
)
_NUMBER = re.compile(r"bool|[iuf](?:8|16|32|64|128)")
_MOST_TYPE = 1000
"""Maximum characters of a type name; a candidate's own types can be of any length."""
_INT_BITS = 32
_LONG_DOUBLE = Context(prec=36)
"""The number of digits with which the serialiser writes a long double."""


def _calling_program(candidate: str, split: SplitTest) -> str:
    name = fresh_name()
    prelude = _PRELUDE.replace("NAME", name).replace("NOT_A_NUMBER", "nan")
    calls = "".join(f"    {name}::{name}({call});\n" for call, _, _ in split.comparisons)
    return f"{prelude}{candidate}\n{split.head}\n{calls}}}\n"


def _expected_program(prompt: str, split: SplitTest) -> str:
    prelude = _PRELUDE.replace("NAME", "harness").replace("NOT_A_NUMBER", "nan, equal to nothing")
    if any(one.relation for one in split.comparisons):
        prelude += _NEARNESS
    lines = "".join(
        f"    (void) &harness::harness<std::decay_t<decltype({call})>>;\n"
        f"    (void) sizeof({f'({call})' if relation else f'({call}) == {expected}'});\n"
        f"    harness::harness({expected});\n"
        for call, expected, relation in split.comparisons
    )
    close = "" if "}" in split.head.partition("main")[0] else "}\n"
    return f"{prelude}{prompt}\n    throw 0;\n{close}{split.head}\n{lines}}}\n"


def _split(test: str) -> SplitTest | None:
    """Split a test of one of the forms, unless it calls a function named as one of the C library.

    With all headers, the text in `strlen("x")` is passed to the C library's function.
    """
    found = (form.split(test) for form in _FORMS)
    split = _FORM.split(test) or next(filter(None, found), None)
    is_library = split is not None and _C_STRING.match(split.comparisons[0].call)
    return None if is_library else split


def _same(got: bytes, expected: bytes) -> bool:
    if got == expected:
        return not expected.startswith(b"near ")
    if not is_plausible_length(got, expected):
        return False
    (kind, _, value), (wanted, _, text) = (
        line.decode("utf-8", "replace").partition(" ") for line in (got, expected)
    )
    if len(kind) > _MOST_TYPE:
        return False
    if wanted == "near" and len(parts := text.split(" ", 2)) == 3:
        return _near(kind, value, *parts)
    return _equal_values(kind, value, wanted, text)


def _equal_values(kind: str, value: str, wanted: str, text: str) -> bool:
    """Compare two values of named types as `==` does."""
    if "nullopt" in {kind, wanted} and "nullopt" == value == text:
        return f"{kind}{wanted}".removeprefix("nullopt").startswith("optional<")
    kind, wanted = _value_type(kind), _value_type(wanted)
    if _NUMBER.fullmatch(kind) and _NUMBER.fullmatch(wanted) and value != text:
        return _equal_numbers(kind, value, wanted, text)
    return value == text and _comparable(kind) == _comparable(wanted)


def _near(kind: str, value: str, within: str, wanted: str, text: str) -> bool:
    """Compare a number, or a vector of floats, with the expected one within a tolerance."""
    if kind.startswith("vector<"):
        return kind == wanted and _all_near(value[1:-1].split(","), within, text[1:-1].split(","))
    return bool(_NUMBER.fullmatch(kind)) and _all_near([value], within, [text])


def _all_near(values: list[str], within: str, wanted: list[str]) -> bool:
    try:
        return len(values) == len(wanted) and all(
            one == other or abs(float(one) - float(other)) < float(within)
            for one, other in zip(values, wanted, strict=True)
        )
    except ValueError:
        return False


def _value_type(name: str) -> str:
    """Return the value type of an optional; other types unchanged."""
    return name[len("optional<") : -1] if name.startswith("optional<") else name


def _comparable(name: str) -> str:
    """Return a name that is equal for types that `==` can compare."""
    name = _value_type(name)
    if _NUMBER.fullmatch(name):
        return "number"
    if not name.startswith("tuple<"):
        return name
    return f"tuple<{','.join(map(_comparable, _type_arguments(name[len('tuple<') : -1])))}>"


def _type_arguments(names: str) -> list[str]:
    """Split a list of types at its top-level commas."""
    found, depth = [""], 0
    for character in names:
        depth += (character == "<") - (character == ">")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return found


def _equal_numbers(kind: str, value: str, wanted: str, text: str) -> bool:
    """Compare two numbers after the usual arithmetic conversions; an invalid one equals nothing."""
    try:
        return _equal(kind, _number(kind, value), wanted, _number(wanted, text))
    except (ValueError, ArithmeticError):
        return False


def _equal(kind: str, one: Decimal, wanted: str, other: Decimal) -> bool:
    floating = [name for name in (kind, wanted) if name[0] == "f"]
    if "f128" in floating:
        return _LONG_DOUBLE.create_decimal(one) == _LONG_DOUBLE.create_decimal(other)
    if floating:
        is_float = "f64" not in floating
        return _rounded(one, is_float=is_float) == _rounded(other, is_float=is_float)
    bits = max(_INT_BITS, _bits(kind), _bits(wanted))
    if any(name[0] == "u" and _bits(name) == bits for name in (kind, wanted)):
        return (one - other) % (1 << bits) == 0
    return one == other


def _number(kind: str, text: str) -> Decimal:
    """Parse a number in its type's format, a float or double exactly; raises ValueError."""
    if kind == "bool":
        return Decimal(("false", "true").index(text))
    if kind in {"f32", "f64"}:
        return Decimal(float(text))
    return Decimal(text)


def _rounded(number: Decimal, *, is_float: bool) -> float:
    """Round to double, or to float."""
    double = float(number)
    return struct.unpack("f", struct.pack("f", double))[0] if is_float else double


def _bits(name: str) -> int:
    return 1 if name == "bool" else int(name[1:])


HARNESS = CallHarness("cpp", _split, _calling_program, _expected_program, _same)
