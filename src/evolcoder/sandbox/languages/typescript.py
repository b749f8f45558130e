"""TypeScript, compiled by tsc and run by Node."""

from dataclasses import replace

from evolcoder.sandbox.language import Language, Requirement
from evolcoder.sandbox.languages.javascript import ASSERT, PROLOGUE, SEAL

TYPED = PROLOGUE.replace("(a, b)", "(a: any, b: any)", 1)

LANGUAGE = Language(
    name="typescript",
    file="main.ts",
    package="typescript (npm) or node-typescript",
    compiler=("tsc", "--target", "es2022", "--module", "commonjs", "main.ts"),
    command=("node", "main.js"),
    hidden=("node", "-"),
    seal=replace(SEAL, prologue=f"declare var require: any;\n{TYPED}"),
    requirements=(
        replace(ASSERT, program=f"declare var require: any;\n{ASSERT.program}"),
        Requirement(
            name="target es2022 (TypeScript 4.6)",
            program="const answer: number | undefined = [6 * 7].at(0); console.log(answer);",
            package="typescript (npm) or node-typescript",
            error_pattern=r"error TS(?:6046|6053)",
        ),
    ),
)
