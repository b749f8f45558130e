"""C++, compiled by g++; sealed like C."""

from evolcoder.sandbox.language import Language, Requirement
from evolcoder.sandbox.languages.c import HEADERS, SEAL

LANGUAGE = Language(
    name="cpp",
    file="main.cpp",
    package="g++ libc6-dev",
    compiler=("g++", "-O1", "-std=c++17", "-o", "main", "main.cpp"),
    stdin_arguments=("-O1", "-std=c++17", "-pipe", "-o", "main", "-x", "c++", "-"),
    command=("./main",),
    seal=SEAL,
    requirements=(
        HEADERS,
        Requirement(
            name="bits/stdc++.h",
            program="#include <bits/stdc++.h>\nint main() { std::cout << 6 * 7; }",
            package="g++",
            used_by=r"bits/stdc\+\+\.h",
        ),
    ),
)
