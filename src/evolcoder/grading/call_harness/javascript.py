"""JavaScript: `assert.deepEqual(f(arguments), value);` or `console.assert(f(arguments) === value)`.

A line is JSON; values without a JSON form are objects with one key that begins with `$`, and a real
key that begins with `$` gets another `$`. Lines are equal if Node's loose `deepEqual` is true:
primitives by `==` or both NaN, arrays and objects by their own enumerable keys, whatever their
class. An expected line that begins with `{"$is":` requires `===`, one with `{"$near":` a difference
below a tolerance.
"""

import json
import math
import re
from enum import Enum
from typing import Any

from evolcoder.grading.call_harness.base import (
    CallHarness,
    SplitTest,
    fresh_name,
    is_plausible_length,
)
from evolcoder.grading.call_harness.splitting import (
    SCRIPT_LITERAL,
    AssertForm,
    BodyForm,
    Conditions,
    Rule,
)

FORM = AssertForm(
    head=(
        r"\s*(?:declare var require: any;\s*)?"
        r"const assert = require\(['\"](?:node:)?assert['\"]\);\s*"
        r"function test\(\)\s*\{\s*(?:(?:let|const|var) candidate = \w+;\s*)?"
    ),
    opening=r"[ \t]*assert\.deepEqual\(",
    relations={"": r"\s*,"},
    tail=r"\s*\}\s*test\(\);\s*",
    literal=SCRIPT_LITERAL,
)
_OPENING, _TEXT = r"console\.assert\(\s*", r"console\.assert\(\s*JSON\.stringify\(\s*"
_NUMBER = r"[\d.]+(?:e-?\d+)?"
_CONDITIONS = BodyForm(
    head=r"\s*(?:const|let|var) (?P<name>\w+) = \(\) => \{",
    begin=r"const \g<name> = () => {\n",
    opening=r"console\.assert\(",
    ending=r"[ \t]*(?:;|(?=\n|\}))",
    variable=r"(?:const|let|var) (?P<name>\w+) = ",
    tail=r"\}\s*;?\s*NAME\(\)\s*;?\s*",
    conditions=Conditions(
        (
            Rule(
                _TEXT, r"\s*\)\s*===?(?!=)\s*(?P<value>.+)", "JSON.stringify(CALL)", relation="is"
            ),
            Rule(
                _OPENING + r"Math\.abs\(",
                rf"\s*-\s*(?P<value>{_NUMBER}(?:\s*/\s*{_NUMBER})?)\)\s*<\s*(?P<within>{_NUMBER})\s*",
                "(CALL) - 0",
                "[VALUE, WITHIN]",
                "near",
            ),
            Rule(_OPENING + r"(?P<value>true|false|[\d.]+)\s*===\s*", r"\s*", relation="is"),
            Rule(_OPENING, r"\s*===\s*(?P<value>.+)", relation="is"),
            Rule(_OPENING + "!", r"\s*", "!CALL", "true", "is"),
            Rule(_OPENING, r"\s*", "!CALL", "false", "is"),
        ),
        literal=SCRIPT_LITERAL,
        names=r"(?!(?:Number|String|Boolean|BigInt|Array|Object)\b)[A-Za-z_$][\w$]*",
    ),
)
_STRICT = re.compile(r"(?:\s|//[^\n]*\n|/\*[\s\S]*?\*/)*(?:'use strict'|\"use strict\")[ \t]*;?")
PRELUDE = r"""const NAME = (() => {
  const { writeSync } = require("node:fs"), { from } = require("node:buffer").Buffer;
  const own/*any*/ = globalThis, { stringify } = own.JSON, { isArray } = own.Array;
  const { keys, hasOwn } = own.Object, { join, push } = own.Array.prototype;
  const { toString } = own.Object.prototype, { add, has, delete: remove } = own.Set.prototype;
  const { slice, startsWith } = own.String.prototype, quoted = own.String, open = new own.Set();
  const { apply } = own.Reflect, { TypeError } = own;
  const isIndex = (key/*any*/, size/*any*/) => quoted(key >>> 0) === key && key >>> 0 < size;
  const special = (name/*any*/, text/*any*/) => `{"$${name}":${text}}`;
  const field = (key/*any*/, of/*any*/) => {
    const name = apply(startsWith, key, ["$"]) ? `$${key}` : key;
    return `${stringify(name)}:${told(of[key])}`;
  };
  const fields = (value/*any*/, names/*any*/) => {
    const parts/*any*/ = [];
    for (let i = 0; i < names.length; i++) apply(push, parts, [field(names[i], value)]);
    return `{${apply(join, parts, [","])}}`;
  };
  const items = (value/*any*/)/*any*/ => {
    const parts/*any*/ = [];
    for (let i = 0; i < value.length; i++) {
      apply(push, parts, [hasOwn(value, i) ? told(value[i]) : special("hole", 1)]);
    }
    return `[${apply(join, parts, [","])}]`;
  };
  const array = (value/*any*/)/*any*/ => {
    const all = keys(value), more/*any*/ = [];
    for (let i = 0; i < all.length; i++) {
      if (!isIndex(all[i], value.length)) apply(push, more, [all[i]]);
    }
    const text = items(value);
    return more.length ? `{"$array":${text},"$keys":${fields(value, more)}}` : text;
  };
  const object = (value/*any*/)/*any*/ => {
    const tag = apply(slice, apply(toString, value, []), [8, -1]);
    if (tag === "Array" && isArray(value)) return array(value);
    if (tag === "Object" && !isArray(value)) return fields(value, keys(value));
    return other(tag);
  };
  const told = (value/*any*/)/*any*/ => {
    switch (typeof value) {
      case "string": case "boolean": return stringify(value);
      case "number":
        return value - value === 0 ? stringify(value) : special("number", stringify(`${value}`));
      case "bigint": return special("bigint", stringify(`${value}`));
      case "undefined": return special("undefined", 1);
      case "object": break;
      default: return other(typeof value);
    }
    if (value === null) return "null";
    if (apply(has, open, [value])) return special("circular", 1);
    apply(add, open, [value]);
    try { return object(value); } finally { apply(remove, open, [value]); }
  };
  const other = (name/*any*/)/*any*/ => OTHER;
  return (value/*any*/, relation/*any*/ = "") => {
    if (relation === "is" && typeof value === "object" && value !== null) other("object");
    const text = told(value), bytes = from(`${relation ? special(relation, text) : text}\n`);
    for (let at/*any*/ = 0; at < bytes.length;) at += writeSync(3, bytes, at);
  };
})();
"""
"""Replacing `/*any*/` with `: any` gives TypeScript."""
_CALLING = 'special("other", stringify(name))'
_EXPECTING = "{ throw new TypeError(`${name} is not compared`); }"
_BODY = "\n  throw 0;\n}\n"
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Infinity", re.ASCII)
_RADIX = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_SPACE = "".join(chr(code) for code in (*range(9, 14), 32, 160, 0x1680, *range(0x2000, 0x200B)))
_SPACE += "\u2028\u2029\u202f\u205f\u3000\ufeff"
_MOST_DIGITS = 400
"""Maximum length of a text that is parsed as a number; a double has fewer integer digits."""
Tree = Any
"""Parsed JSON, with numbers as floats."""


class _Special(Enum):
    """Primitives that are neither string nor number; OTHER equals nothing."""

    NULLISH = "null"
    HOLE = "hole"
    OTHER = "other"


Primitive = str | float | _Special


def calling_program(candidate: str, split: SplitTest, prelude: str = PRELUDE) -> str:
    """Build the program that calls the candidate."""
    name = fresh_name()
    strict = _STRICT.match(candidate)
    at = strict.end() if strict else 0
    prelude = prelude.replace("NAME", name, 1).replace("OTHER", _CALLING, 1)
    calls = "".join(f"  {name}({one.call});\n" for one in split.comparisons)
    whole = f"{candidate[:at]}\n{prelude}{candidate[at:]}\n{split.head}\n{calls}"
    return f"{whole}}}\n\n{_function(split)}();\n"


def expected_program(prompt: str, split: SplitTest, prelude: str = PRELUDE) -> str:
    """Build the program that serialises the expected values; calls are parsed but not executed."""
    prelude = prelude.replace("NAME", "harness", 1).replace("OTHER", _EXPECTING, 1)
    lines = "".join(
        f"  // @ts-ignore\n  void (() => {call});\n  harness({expected}{_relation(relation)});\n"
        for call, expected, relation in split.comparisons
    )
    return f"{prelude}{prompt}{_BODY}{split.head}\n{lines}}}\n\n{_function(split)}();\n"


def _relation(name: str) -> str:
    """Return the argument that passes a relation to the serialiser."""
    return f', "{name}"' if name else ""


def _function(split: SplitTest) -> str:
    """Return the name of the function that contains the comparisons."""
    found = re.match(r"const (\w+) = \(\) => ", split.head)
    return found[1] if found else "test"


def split_test(test: str) -> SplitTest | None:
    """Split a test of either form."""
    return FORM.split(test) or _CONDITIONS.split(test)


def same(got: bytes, expected: bytes) -> bool:
    """Compare like the loose `deepEqual`, or by the relation in the expected line."""
    if got == expected:
        return not expected.startswith((b'{"$is":', b'{"$near":'))
    if not is_plausible_length(got, expected):
        return False
    try:
        one, wanted = _parse(got), _parse(expected)
        match wanted:
            case {"$is": value}:
                return _identical(one, value)
            case {"$near": [float(value), float(within)]}:
                return isinstance(one, float) and abs(one - value) < within
        return _equal(one, wanted)
    except (ValueError, RecursionError):
        return False


def _parse(line: bytes) -> Tree:
    return json.loads(line, parse_int=float)


def _equal(one: Tree, other: Tree) -> bool:
    """Compare two values; depth and time are bounded by the expected one."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict) and all(map(_has_fields, (one, other))):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in other)
    return _loosely_equal(_primitive(one), _primitive(other))


def _identical(one: Tree, other: Tree) -> bool:
    """Compare a value with a primitive by `===`."""
    if isinstance(other, dict):
        return one == other and other != {"$number": "NaN"}
    return type(one) is type(other) and not isinstance(other, list) and bool(one == other)


def _has_fields(one: dict[str, Tree]) -> bool:
    """Whether a JSON object stands for an object or array, not for a special value."""
    return "$array" in one or all(key[:1] != "$" or key[1:2] == "$" for key in one)


def _primitive(tree: Tree) -> Primitive:
    """Convert a primitive to Python, a bigint to int."""
    match tree:
        case None | {"$undefined": _}:
            return _Special.NULLISH
        case {"$hole": _}:
            return _Special.HOLE
        case {"$number": str(text)}:
            return float(text)
        case {"$bigint": str(text)}:
            return int(text)
        case bool() | float():
            return float(tree)
    return tree if isinstance(tree, str) else _Special.OTHER


def _loosely_equal(one: Primitive, other: Primitive) -> bool:
    """Compare primitives by `==`; NaN equals itself."""
    if isinstance(one, _Special) or isinstance(other, _Special):
        return one is other is not _Special.OTHER
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return _number(one) == _number(other)


def _number(one: str | float) -> float:
    """Convert to a number as `==` does; an int is a bigint and is returned unchanged."""
    if not isinstance(one, str):
        return one
    text = one.strip(_SPACE)
    if len(text) > _MOST_DIGITS:
        return math.nan
    if _RADIX.fullmatch(text):
        return float(int(text, 0))
    return float(text or 0) if not text or _DECIMAL.fullmatch(text) else math.nan


HARNESS = CallHarness("javascript", split_test, calling_program, expected_program, same)
