"""Swift."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="swift",
    file="main.swift",
    package="swiftlang (debian 13) or swift (swift.org)",
    compiler=("swiftc", "-o", "main", "main.swift"),
    command=("./main",),
    seal=Seal(
        failed=r"Assertion failed",
        prologue="import Foundation\n",
        epilogue='FileHandle(fileDescriptor: 3).write("TOKEN 1\\n".data(using: .utf8)!)',
    ),
)
