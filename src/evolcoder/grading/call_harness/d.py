"""D: MultiPL-E's tests are `assert(candidate(…) == …)` in a `unittest`.

Numbers, booleans and characters are equal by value, whatever their types; a `Nullable` with a value
equals that value. Nullable results are checked in separate blocks,
`auto result = candidate(…); assert(!result.isNull && result.get == …);`, tuples of them item by
item. A structure, a class or a pointer equals nothing.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import C_LIKE, AssertForm

_SERIALISER = r"""
struct NAME
{
    static import core.stdc.stdio;
    static import core.sys.posix.unistd;
    static import std.algorithm.sorting;
    static import std.array;
    static import std.format;
    static import std.math;
    static import std.traits;
    static import std.typecons;
    static import std.utf;

    static immutable(char)[] text(T)(T value)
    {
        alias U = std.traits.Unqual!T;
        static if (is(U == typeof(null))) return "null";
        else static if (is(U == enum)) return text(cast(std.traits.OriginalType!U) value);
        else static if (std.traits.isSomeChar!U || std.traits.isBoolean!U)
            return std.format.format("%d", cast(long) value);
        else static if (std.traits.isIntegral!U) return std.format.format("%d", value);
        else static if (std.traits.isFloatingPoint!U) return number(value);
        else static if (is(U : const(C)[], C) && std.traits.isSomeChar!C)
            return quoted(cast(const(ubyte)[]) std.utf.toUTF8(value[]));
        else static if (is(U == void[])) return "[ ]";
        else static if (std.traits.isArray!U) return items(value[]);
        else static if (std.traits.isAssociativeArray!U) return pairs(value);
        else static if (std.traits.isInstanceOf!(std.typecons.Nullable, U))
            return value.isNull ? "null" : text(value.get);
        else static if (std.typecons.isTuple!U)
        {
            immutable(char)[] found = "( ";
            foreach (item; value.expand) found ~= text(item) ~ " ";
            return found ~ ")";
        }
        else OPAQUE
    }

    static immutable(char)[] number(real value)
    {
        if (value != value) NOT_A_NUMBER
        if (std.math.abs(value) < real.infinity && std.math.rint(value) == value)
            return std.format.format("%.0f", value + 0.0L);
        return std.format.format("%.21g", value);
    }

    static immutable(char)[] quoted(const(ubyte)[] value)
    {
        if (!value.length) return "[ ]";
        auto found = std.array.appender!(immutable(char)[])("\"");
        foreach (item; value)
        {
            if (item >= 32 && item < 127 && item != 34 && item != 92) found.put(cast(char) item);
            else found.put(std.format.format("\\x%02x", item));
        }
        found.put("\"");
        return found.data;
    }

    static immutable(char)[] items(T)(T values)
    {
        auto found = std.array.appender!(immutable(char)[])("[ ");
        foreach (item; values) { found.put(text(item)); found.put(" "); }
        found.put("]");
        return found.data;
    }

    static immutable(char)[] pairs(T)(T value)
    {
        immutable(char)[][] found;
        foreach (key, item; value) found ~= text(key) ~ " " ~ text(item);
        std.algorithm.sorting.sort(found);
        return "{ " ~ std.array.join(found, " ") ~ " }";
    }

    static void line(T)(T value)
    {
        auto all = text(value) ~ "\n";
        while (all.length)
        {
            auto count = core.sys.posix.unistd.write(3, all.ptr, all.length);
            if (count <= 0) assert(0, "no descriptor for answers");
            all = all[count .. $];
        }
    }
}
"""
_HEAD = re.compile(r"\s*\}?\s*unittest\s*\{\s*(alias candidate = [\w.]+;)\s*")
_TAIL = r"\s*\}\s*void main\(\)\s*\{\s*\}\s*"
_FORM = AssertForm(
    head=_HEAD.pattern, opening=r"[ \t]*assert\(", relations={"": r"\s*==(?!=)"}, tail=_TAIL
)
_RESULT = re.compile(r"\s*auto result = (.*)", re.DOTALL)
_GET = r"!result{0}\.isNull && result{0}\.get == (.*)"


def _split(test: str) -> SplitTest | None:
    """Split a test of assertions or of blocks."""
    head = _HEAD.match(test)
    if head is None:
        return None
    plain = _FORM.split(test)
    if plain is not None:
        return SplitTest(head[1], plain.comparisons)
    blocks, tail = C_LIKE.groups(test[head.end() :], r"\{", r"\s*")
    found = [one for block in blocks if (one := _block(block.inner))]
    fits = 0 < len(found) == len(blocks) and re.fullmatch(_TAIL, tail)
    return SplitTest(head[1], tuple(found)) if fits else None


def _block(block: str) -> Comparison | None:
    """Parse a block that checks a nullable result, or a tuple of nullable items."""
    first, *rest = C_LIKE.split_at(block, ";")
    call = _RESULT.fullmatch(first)
    if call is None or not C_LIKE.is_call(call[1], r"candidate\(") or not rest or rest.pop():
        return None
    asserts = [re.fullmatch(r"assert\((.*)\)", one, re.DOTALL) for one in rest]
    texts = [one[1].strip() for one in asserts if one]
    if not texts or len(texts) < len(asserts):
        return None
    if texts[0].startswith(("result[", "!result[")):
        items = [_value(text, rf"\[{number}\]") for number, text in enumerate(texts)]
        values = [item for item in items if item]
        return Comparison(call[1], f"tuple({', '.join(values)})") if values == items else None
    value = _value(texts[0], "")
    return Comparison(call[1], value) if value and len(texts) == 1 else None


def _value(text: str, item: str) -> str | None:
    """Return the source of the expected value of a result or of one of its items."""
    if re.fullmatch(rf"result{item}\.isNull", text):
        return "null"
    found = re.fullmatch(_GET.format(item), text, re.DOTALL)
    return found[1] if found else None


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Call in the main function; the serialiser uses no names of the candidate."""
    name = fresh_name()
    opaque = {"OPAQUE": 'return "?";', "NOT_A_NUMBER": 'return "?";'}
    calls = [f"    {name}.line({check.call});" for check in test.comparisons]
    main = ["void main()", "{", f"    {test.head}", *calls, "}", ""]
    return "\n".join([candidate, _filled(name, opaque), *main])


def _expected_program(prompt: str, test: SplitTest) -> str:
    """Serialise the expected values; unsupported ones do not compile or end the program."""
    opaque = {"OPAQUE": "static assert(0);", "NOT_A_NUMBER": "assert(0);"}
    imports = re.findall(r"(?m)^import [^;]*;", prompt)
    values = [f"    Expected.line({check.expected});" for check in test.comparisons]
    main = ["void main()", "{", *values, "}", ""]
    return "\n".join([*imports, "import std.typecons;", _filled("Expected", opaque), *main])


def _filled(name: str, opaque: dict[str, str]) -> str:
    serialiser = _SERIALISER.replace("NAME", name)
    for word, code in opaque.items():
        serialiser = serialiser.replace(word, code)
    return serialiser


HARNESS = CallHarness("d", _split, _calling_program, _expected_program)
