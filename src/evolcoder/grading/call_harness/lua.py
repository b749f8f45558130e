"""Lua: MultiPL-E's tests are `assertEquals` of LuaUnit, which compares tables by their items.

Numbers are equal by value (1 and 1.0). Functions, NaN, and tables with a table or function as a key
equal nothing. Only the first return value of a call counts.
"""

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import LUA, ArgumentForm

_SERIALISER = r"""
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
_FORM = ArgumentForm(
    head=(
        r"\s*lu = require\('luaunit'\)\s*function test_\w+\(\)\s*"
        r"(?P<kept>local candidate = [\w.:]+)\s*"
    ),
    opening=r"lu\.assertEquals\(",
    call=r"candidate\(",
    brackets=LUA,
    tail=r"\s*end\s*os\.exit\(lu\.LuaUnit\.run\(\)\)\s*",
)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser before the candidate and the calls after it."""
    name = fresh_name()
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", 'return "?"')
    calls = [f"    {name}(({check.call}))" for check in test.comparisons]
    return "\n".join([serialiser, candidate, ";(function()", test.head, *calls, "end)()", ""])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Lua has no types
    """Serialise the expected values; an unsupported value ends the program."""
    serialiser = _SERIALISER.replace("NAME", "expected").replace("OPAQUE", 'error("opaque")')
    values = [f"expected(({check.expected}))" for check in test.comparisons]
    return "\n".join([serialiser, *values, ""])


HARNESS = CallHarness("lua", _FORM.split, _calling_program, _expected_program)
