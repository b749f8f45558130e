"""Lua: MultiPL-E's tests are `assertEquals` of LuaUnit, which compares tables by their items.

Numbers are equal by value (1 and 1.0). A table with a table or function among its keys equals no
other, nor does a function or not-a-number. Only the first value of a call counts.
"""

import re

from evolcoder.grade.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grade.call_harness.brackets import LUA

SERIALISER = r"""
local NAME
do
    local answers = io.open("/dev/fd/3", "w")
    local write, flush = answers.write, answers.flush
    local type, next, format, gsub, byte = type, next, string.format, string.gsub, string.byte
    local tointeger, sort, concat, error = math.tointeger, table.sort, table.concat, error
    local function escaped(character) return format("\\x%02x", byte(character)) end
    local value
    local function scalar(item, kind)
        if kind == "string" then return '"' .. gsub(item, '[^ !#-%[%]-~]', escaped) .. '"' end
        if kind == "boolean" then return item and "true" or "false" end
        if kind == "nil" then return "nil" end
        if kind ~= "number" or item ~= item then OPAQUE end
        local whole = tointeger(item)
        return whole and format("%d", whole) or format("%.17g", item)
    end
    function value(item)
        local kind = type(item)
        if kind ~= "table" then return scalar(item, kind) end
        local parts, count = {}, 0
        for name, content in next, item do
            count = count + 1
            parts[count] = scalar(name, type(name)) .. " " .. value(content) .. " "
        end
        sort(parts)
        return "{ " .. concat(parts) .. "}"
    end
    function NAME(item)
        write(answers, value(item), "\n")
        flush(answers)
    end
end
"""
HEAD = re.compile(
    r"\s*lu = require\('luaunit'\)\s*function test_\w+\(\)\s*(local candidate = [\w.:]+)\s*"
)
TAIL = r"\s*end\s*os\.exit\(lu\.LuaUnit\.run\(\)\)\s*"
OPENING = r"lu\.assertEquals\("
ENDING = r"\s*"


def split(test: str) -> SplitTest | None:
    """Take the calls of `assertEquals` apart."""
    head = HEAD.match(test)
    if head is None:
        return None
    checks, tail = LUA.groups(test[head.end() :], OPENING, ENDING)
    found = tuple(LUA.parts(check.inner) for check in checks)
    if not found or not re.fullmatch(TAIL, tail):
        return None
    if any(len(parts) != 2 or not parts[0].startswith("candidate(") for parts in found):
        return None
    return SplitTest(head[1], tuple(Comparison(call, want) for call, want in found))


def calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser before the candidate and the calls behind it."""
    name = fresh_name()
    serialiser = SERIALISER.replace("NAME", name).replace("OPAQUE", 'return "?"')
    calls = [f"    {name}(({check.call}))" for check in test.comparisons]
    return "\n".join([serialiser, candidate, ";(function()", test.head, *calls, "end)()", ""])


def expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Lua has no types
    """Serialise the expected values; one that has no text of its own ends the program."""
    serialiser = SERIALISER.replace("NAME", "expected").replace("OPAQUE", 'error("opaque")')
    values = [f"expected(({check.expected}))" for check in test.comparisons]
    return "\n".join([serialiser, *values, ""])


HARNESS = CallHarness("lua", split, calling_program, expected_program)
