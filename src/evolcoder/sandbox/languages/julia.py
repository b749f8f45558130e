"""Julia; where it may not write to /proc/self/mem, it makes a file of 128 MB for its code."""

from evolcoder.sandbox.language import Language, Seal

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
)
