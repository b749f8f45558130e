"""C++, by g++; sealed as C is."""

from evolcoder.sandbox.language import Language
from evolcoder.sandbox.languages.c import SEAL

LANGUAGE = Language(
    name="cpp",
    file="main.cpp",
    package="g++",
    compiler=("g++", "-O1", "-std=c++17", "-o", "main", "main.cpp"),
    command=("./main",),
    seal=SEAL,
)
