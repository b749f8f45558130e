"""Finds which of a language's requirements are missing, by running probe programs in the sandbox.

A JDK without javatuples compiles programs but fails a benchmark's tests, so every answer would be
graded wrong. Guarantees: a missing requirement is reported with its package. Each language is
probed once per sandbox, before its first program; results are not cached across processes, because
the user may install packages in between. An inconclusive probe (a timeout) is not reported as
missing. A sandbox failure is a SandboxError.

>>> missing = await Requirements(sandbox).missing("java")   # doctest: +SKIP
>>> str(missing[0])                                       # doctest: +SKIP
'java: javatuples not found; install libjavatuples-java'
"""

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass

from evolcoder.errors import SandboxError
from evolcoder.sandbox.base import Execution, Limits, Program, Sandbox, Sealed, Status
from evolcoder.sandbox.language import Requirement
from evolcoder.sandbox.toolchains import LANGUAGES

ANSWER = b"42"
INVALID = "((("
"""Valid in no language."""

PROBES: dict[str, tuple[str, str]] = {
    "python": ("print(6 * 7)", "while True: pass"),
    "javascript": ("console.log(6 * 7)", "for (;;) {}"),
    "typescript": ("const answer: number = 6 * 7; console.log(answer);", "for (;;) {}"),
    "java": (
        "class Main { public static void main(String[] a) { System.out.println(6 * 7); } }",
        "class Main { public static void main(String[] a) { while (true) {} } }",
    ),
    "c": (
        '#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); }',
        "int main(void) { volatile int on = 1; while (on) {} }",
    ),
    "cpp": (
        "#include <iostream>\nint main() { std::cout << 6 * 7 << std::endl; }",
        "int main() { volatile bool on = true; while (on) {} }",
    ),
    "csharp": (
        "class Probe { static void Main() { System.Console.WriteLine(6 * 7); } }",
        "class Probe { static void Main() { while (true) {} } }",
    ),
    "go": (
        'package main\nimport "fmt"\nfunc main() { fmt.Println(6 * 7) }',
        "package main\nfunc main() { for {} }",
    ),
    "rust": ('fn main() { println!("{}", 6 * 7); }', "fn main() { loop {} }"),
    "php": ("<?php echo 6 * 7;", "<?php while (true) {}"),
    "ruby": ("puts 6 * 7", "loop {}"),
    "perl": ("print 6 * 7;", "while (1) {}"),
    "lua": ("print(6 * 7)", "while true do end"),
    "r": ("cat(6 * 7)", "while (TRUE) {}"),
    "julia": ("println(6 * 7)", "while true end"),
    "swift": ("print(6 * 7)", "while true {}"),
    "bash": ("echo $((6 * 7))", "while :; do :; done"),
    "scala": (
        "object Main { def main(a: Array[String]): Unit = println(6 * 7) }",
        "object Main { def main(a: Array[String]): Unit = while (true) {} }",
    ),
    "racket": (
        "#lang racket/base\n(displayln (* 6 7))",
        "#lang racket/base\n(let again () (again))",
    ),
    "d": (
        "import std.stdio; void main() { writeln(6 * 7); }",
        "void main() { while (true) {} }",
    ),
}
"""Language -> a program that prints 42 with the language's own tools alone, and one that never
ends."""


def invalid_source(language: str) -> str:
    """Return a source that fails to compile or parse; PHP needs a tag, else it prints the text."""
    return f"<?php {INVALID}" if language == "php" else INVALID


PROBE_LIMITS = Limits(cpu_s=20, wall_s=25, compile_s=60)
"""Limits of the programs that check requirements."""


@dataclass(frozen=True, slots=True)
class MissingRequirement:
    """A requirement of a language's programs or tests that is not installed."""

    language: str
    """Name of the language."""
    requirement: Requirement | None
    """The missing requirement; None if the tools themselves fail for an unknown reason."""
    stops_all: bool
    """Whether it prevents every program of the language from running."""
    tool_message: str
    """First line of the tools' error output."""

    @property
    def name(self) -> str:
        """Name of the requirement."""
        return self.requirement.name if self.requirement else "working tools"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.requirement is None:
            return "see evolcoder doctor"
        return self.requirement.remedy or f"install {self.requirement.package}"

    @property
    def reason(self) -> str:
        """Why something cannot run."""
        return f"needs {self.name} ({self.remedy})"

    def concerns(self, *sources: str) -> bool:
        """Return whether a program, or a problem's prompt or tests, needs it."""
        if self.stops_all or self.requirement is None:
            return True
        return any(map(self.requirement.is_needed_by, sources))

    @property
    def advice(self) -> str:
        """What is missing and what to do."""
        if self.requirement is None:
            return (
                f"its tools do not work here ({self.tool_message or 'no message'}); {self.remedy}"
            )
        return f"{self.name} not found; {self.remedy}"

    def __str__(self) -> str:
        """Format it as one line."""
        return f"{self.language}: {self.advice}"


class Requirements:
    """Finds missing requirements of languages in one sandbox; probes each language once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._found: dict[str, tuple[MissingRequirement, ...]] = {}
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def missing(self, language: str) -> tuple[MissingRequirement, ...]:
        """Return a language's missing requirements; raise SandboxError if the sandbox fails."""
        async with self._locks[language]:
            if language not in self._found:
                self._found[language] = await self._probe(language)
        return self._found[language]

    async def first_missing(self, language: str, *sources: str) -> MissingRequirement | None:
        """Return the first requirement that is missing for a program, or for a prompt and tests."""
        if language not in LANGUAGES or not LANGUAGES[language].requirements:
            return None
        return next(
            (lack for lack in await self.missing(language) if lack.concerns(*sources)), None
        )

    async def _probe(self, language: str) -> tuple[MissingRequirement, ...]:
        if language not in LANGUAGES:
            return ()
        requirements = LANGUAGES[language].requirements
        probes = [self._run(language, one.program) for one in requirements]
        ended = dict(zip(requirements, await asyncio.gather(*probes), strict=True))
        failed = {one: execution for one, execution in ended.items() if _fails(execution)}
        if not failed:
            return ()
        plain = await self._run(language, PROBES[language][0])
        if not _fails(plain):
            return tuple(
                MissingRequirement(
                    language, one, stops_all=False, tool_message=first_line(execution)
                )
                for one, execution in failed.items()
            )
        named = [
            one
            for one, ran in failed.items()
            if one.error_pattern and _output_matches(ran, one.error_pattern)
        ]
        found: list[Requirement | None] = [*named] or [None]
        return tuple(
            MissingRequirement(
                language,
                one,
                stops_all=True,
                tool_message=first_line(failed[one] if one else plain),
            )
            for one in found
        )

    async def _run(self, language: str, source: str) -> Execution:
        return await self._sandbox.run(Program(language, source), PROBE_LIMITS)


class CheckedSandbox:
    """A sandbox that refuses programs with missing requirements, so they are not graded as wrong.

    It raises a SandboxError that says what to install.
    """

    def __init__(self, sandbox: Sandbox, *, workers: int = 1) -> None:
        self.requirements = Requirements(sandbox)
        self.workers = workers
        """Programs that it runs concurrently."""
        self._sandbox = sandbox

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program, or raise SandboxError if it lacks a requirement."""
        if program.language in LANGUAGES:
            test = program.task.test if isinstance(program.task, Sealed) else ""
            lack = await self.requirements.first_missing(program.language, program.source, test)
            if lack is not None:
                raise SandboxError(str(lack))
        return await self._sandbox.run(program, limits)

    async def aclose(self) -> None:
        """Close the sandbox."""
        await self._sandbox.aclose()


def first_line(execution: Execution) -> str:
    """Return the first nonempty line of a program's or compiler's error output."""
    words = (execution.stderr or execution.stdout).decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in words if line.strip()), "")


def prints_answer(execution: Execution) -> bool:
    """Return whether a probe printed 42 last.

    Under a system call filter, Mono first prints that it cannot set priorities.
    """
    return execution.exit_code == 0 and execution.stdout.split()[-1:] == [ANSWER]


def _fails(execution: Execution) -> bool:
    """Return whether a probe failed other than by a timeout."""
    if prints_answer(execution):
        return False
    if execution.status is Status.COMPILE_ERROR:
        return execution.compile_s < PROBE_LIMITS.compile_s
    return execution.status is Status.FINISHED


def _output_matches(execution: Execution, pattern: str) -> bool:
    output = (execution.stderr + b"\n" + execution.stdout).decode("utf-8", "replace")
    return re.search(pattern, output) is not None
