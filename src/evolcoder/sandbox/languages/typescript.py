"""TypeScript, compiled by tsc and run by Node."""

from dataclasses import replace

from evolcoder.sandbox.language import Language
from evolcoder.sandbox.languages.javascript import PROLOGUE, SEAL

TYPED = PROLOGUE.replace("(a, b)", "(a: any, b: any)", 1)

LANGUAGE = Language(
    name="typescript",
    file="main.ts",
    package="typescript (npm) or node-typescript",
    compiler=("tsc", "--target", "es2022", "--module", "commonjs", "main.ts"),
    command=("node", "main.js"),
    hidden=("node", "-"),
    seal=replace(SEAL, prologue=f"declare var require: any;\n{TYPED}"),
)
