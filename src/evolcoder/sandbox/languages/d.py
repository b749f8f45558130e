"""D, compiled by ldc; unit tests run before the main function, which writes the token."""

from evolcoder.sandbox.language import Language, Requirement, Seal

LANGUAGE = Language(
    name="d",
    file="main.d",
    package="ldc libphobos2-ldc-shared-dev gcc",
    compiler=("ldc2", "-unittest", "-of=main", "main.d"),
    stdin_arguments=("-unittest", "-of=main", "-"),
    command=("./main", "--DRT-testmode=run-main"),
    seal=Seal(
        failed=r"\[unittest\] ",
        check=r"^void main\(\)\s*\{\s*\}\s*$",
        check_replacement=(
            r"void main() { static import std.file;"
            r' std.file.write("/dev/fd/3", "TOKEN 1\\n"); }'
        ),
    ),
    requirements=(
        Requirement(
            name="Phobos (the standard library)",
            program="import std.math, std.stdio, std.typecons; void main() { writeln(6 * 7); }",
            package="libphobos2-ldc-shared-dev",
            error_pattern=r"unable to read module|cannot be read|cannot find -lphobos2",
        ),
        Requirement(
            name="linker (cc)",
            program="extern (C) int printf(const char*, ...);\n"
            'extern (C) int main() { printf("42\\n"); return 0; }',
            package="gcc",
            error_pattern=r"[Ll]inker|`(?:cc|gcc)`",
        ),
    ),
)
