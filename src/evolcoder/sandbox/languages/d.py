"""D, by ldc; unit tests run before the main function, which writes the token."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="d",
    file="main.d",
    package="ldc",
    compiler=("ldc2", "-unittest", "-of=main", "main.d"),
    command=("./main", "--DRT-testmode=run-main"),
    seal=Seal(
        failed=r"\[unittest\] ",
        check=r"^void main\(\)\s*\{\s*\}\s*$",
        counted=(
            r"void main() { static import std.file;"
            r' std.file.write("/dev/fd/3", "TOKEN 1\\n"); }'
        ),
    ),
)
