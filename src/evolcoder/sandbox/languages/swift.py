"""Swift, without the backtracer that it starts after a crash, which writes to standard output."""

from evolcoder.sandbox.language import Language, Main, Requirement, Seal

LANGUAGE = Language(
    name="swift",
    file="main.swift",
    package="swiftlang (debian 13) or swift (swift.org)",
    compiler=("swiftc", "-o", "main", "main.swift"),
    with_main=Main(
        pattern=r"(?m)^@main\b",
        file="program.swift",
        arguments=("-parse-as-library", "-o", "main", "program.swift"),
    ),
    command=("./main",),
    environment=(("SWIFT_BACKTRACE", "enable=no"),),
    seal=Seal(
        failed=r"Assertion failed",
        prologue="import Foundation\n",
        epilogue='FileHandle(fileDescriptor: 3).write("TOKEN 1\\n".data(using: .utf8)!)',
    ),
    requirements=(
        Requirement(
            name="Foundation",
            program="import Foundation\nprint(Int(pow(42.0, 1.0)))",
            package="swiftlang (debian 13) or swift (swift.org)",
        ),
    ),
)
