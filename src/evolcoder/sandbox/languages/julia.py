"""Julia; if it cannot write to /proc/self/mem, it makes a file of 128 MB for its code."""

from evolcoder.sandbox.language import Language, Requirement, Seal

LANGUAGE = Language(
    name="julia",
    file="main.jl",
    package="julia (julialang.org)",
    command=("julia", "--startup-file=no", "main.jl"),
    hidden=("julia", "--startup-file=no", "-e", "include_string(Main, read(stdin, String))"),
    seal=Seal(
        epilogue='open(io -> write(io, "TOKEN 1\\n"), "/dev/fd/3", "w")',
        failed=r"Test Failed at",
    ),
    file_mb=128,
    requirements=(
        Requirement(
            name="Test",
            program="using Test\n@test 6 * 7 == 42\nprintln(6 * 7)",
            package="julia (julialang.org)",
            used_by=r"^\s*using Test\b",
        ),
    ),
)
