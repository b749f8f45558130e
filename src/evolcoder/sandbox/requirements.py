"""What a language's tools lack on this machine, as programs in the sandbox find it.

A JDK without javatuples compiles programs and fails the tests of a benchmark: every answer would be
wrong. Promises: what is lacking is named with its package; a language is asked once per sandbox,
when something of it is first to run, and again by the next process, for the user may have installed
it. What could not be found out (a probe that timed out) is no lack. A failing sandbox is a
SandboxError.

>>> lacks = await Requirements(sandbox).lacks("java")   # doctest: +SKIP
>>> str(lacks[0])                                       # doctest: +SKIP
'java: there is no javatuples; install libjavatuples-java'

The programs that show whether a language works here: one that answers, one that never ends.

The first one prints 42 and needs the language's own tools alone; what its tests need beside these
is shown by the programs of `Language.requirements`.
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
BROKEN = "((("
"""No program in any language."""

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
"""Language -> what answers, and what never ends."""


def broken(language: str) -> str:
    """Return a source that cannot be compiled or read; PHP prints what has no opening tag."""
    return f"<?php {BROKEN}" if language == "php" else BROKEN


PROBE = Limits(cpu_s=20, wall_s=25, compile_s=60)
"""For the program that shows whether a requirement is there."""


@dataclass(frozen=True, slots=True)
class MissingRequirement:
    """Something that a language's programs or tests need and that is not here."""

    language: str
    """Which language."""
    requirement: Requirement | None
    """What is not here; None where the tools themselves do not work, for a reason not known."""
    stops_all: bool
    """Whether no program of the language runs."""
    said: str
    """First line of what the tools said about it."""

    @property
    def name(self) -> str:
        """Return what is missing, as people call it."""
        return self.requirement.name if self.requirement else "tools that work"

    @property
    def remedy(self) -> str:
        """Return what to do about it."""
        if self.requirement is None:
            return "see evolcoder doctor"
        return self.requirement.remedy or f"install {self.requirement.package}"

    @property
    def reason(self) -> str:
        """Say why something cannot be run."""
        return f"needs {self.name} ({self.remedy})"

    def concerns(self, *sources: str) -> bool:
        """Tell whether a program, or a problem's prompt or tests, cannot do without it."""
        if self.stops_all or self.requirement is None:
            return True
        return any(map(self.requirement.is_needed_by, sources))

    @property
    def advice(self) -> str:
        """Say what is missing and what to do."""
        if self.requirement is None:
            return f"its tools do not work here ({self.said or 'they say nothing'}); {self.remedy}"
        return f"there is no {self.name}; {self.remedy}"

    def __str__(self) -> str:
        """Say it in one line with the language."""
        return f"{self.language}: {self.advice}"


class Requirements:
    """Finds out what languages lack in one sandbox, each once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._found: dict[str, tuple[MissingRequirement, ...]] = {}
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def lacks(self, language: str) -> tuple[MissingRequirement, ...]:
        """Return what a language lacks, or raise SandboxError."""
        async with self._locks[language]:
            if language not in self._found:
                self._found[language] = await self._look(language)
        return self._found[language]

    async def lack_of(self, language: str, *sources: str) -> MissingRequirement | None:
        """Return the first thing that is lacking for a program, or for a prompt and tests."""
        if language not in LANGUAGES or not LANGUAGES[language].requirements:
            return None
        return next((lack for lack in await self.lacks(language) if lack.concerns(*sources)), None)

    async def _look(self, language: str) -> tuple[MissingRequirement, ...]:
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
                MissingRequirement(language, one, stops_all=False, said=first_line(execution))
                for one, execution in failed.items()
            )
        named = [one for one, ran in failed.items() if one.absent and _says(ran, one.absent)]
        found: list[Requirement | None] = [*named] or [None]
        return tuple(
            MissingRequirement(
                language, one, stops_all=True, said=first_line(failed[one] if one else plain)
            )
            for one in found
        )

    async def _run(self, language: str, source: str) -> Execution:
        return await self._sandbox.run(Program(language, source), PROBE)


class CheckedSandbox:
    """A sandbox that does not run what lacks something here: such a failure is not the program's.

    It raises SandboxError then, which says what to install.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.requirements = Requirements(sandbox)
        self._sandbox = sandbox

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program to its end or to its limits, or raise SandboxError."""
        if program.language in LANGUAGES:
            test = program.task.test if isinstance(program.task, Sealed) else ""
            lack = await self.requirements.lack_of(program.language, program.source, test)
            if lack is not None:
                raise SandboxError(str(lack))
        return await self._sandbox.run(program, limits)

    async def aclose(self) -> None:
        """End whatever still runs."""
        await self._sandbox.aclose()


def first_line(execution: Execution) -> str:
    """Return the first line of what a program or its compiler complained of."""
    words = (execution.stderr or execution.stdout).decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in words if line.strip()), "")


def answers(execution: Execution) -> bool:
    """Tell whether a probe printed what it must, last.

    Mono says first that it may not set priorities, where system calls are filtered.
    """
    return execution.exit_code == 0 and execution.stdout.split()[-1:] == [ANSWER]


def _fails(execution: Execution) -> bool:
    """Tell whether a probe has shown that something is not there, and not only that it is slow."""
    if answers(execution):
        return False
    if execution.status is Status.COMPILE_ERROR:
        return execution.compile_s < PROBE.compile_s
    return execution.status is Status.FINISHED


def _says(execution: Execution, absent: str) -> bool:
    told = (execution.stderr + b"\n" + execution.stdout).decode("utf-8", "replace")
    return re.search(absent, told) is not None
