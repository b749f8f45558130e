"""Lua 5.3."""

from evolcoder.sandbox.language import Language, Requirement, Seal

LANGUAGE = Language(
    name="lua",
    file="main.lua",
    package="lua5.3 lua-unit",
    command=("lua5.3", "main.lua"),
    hidden=("lua5.3", "-"),
    seal=Seal(
        failed=r"\b[1-9]\d* failure",
        check=r"^os\.exit\(lu\.LuaUnit\.run\(\)\)\s*$",
        check_replacement=(
            "if lu.LuaUnit.run() ~= 0 then os.exit(1) end\n"
            'local done = io.open("/dev/fd/3", "w")\ndone:write("TOKEN 1\\\\n")\ndone:close()'
        ),
    ),
    requirements=(
        Requirement(
            name="luaunit",
            program='local lu = require("luaunit")\nlu.assertEquals(6 * 7, 42)\nprint(6 * 7)',
            package="lua-unit",
            used_by=r"\bluaunit\b",
        ),
    ),
)
