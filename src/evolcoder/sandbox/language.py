"""How the sandbox compiles and runs a programming language, and how it seals a test.

Each language is data in a file of `languages/`; `toolchains` lists them all.

If a non-Python test's comparisons cannot be made outside, the test runs in the candidate's process
and is sealed: code under a random name counts its checks, and after the last check it writes a
random token and the count to descriptor 3. Exiting early, printing, or replacing the language's own
assertions does not produce them. A candidate that searches its own process may find the token:
`Separation.TOKEN` is weaker than the other separations, and verdicts record it.
"""

import re
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SealWords:
    """Random words of one run's seal."""

    token: str
    """Confirms that the last check was reached."""
    failure: str
    """Marks a failed check; independent of the token."""
    name: str
    """Part of the names of the counting code."""

    @classmethod
    def fresh(cls) -> "SealWords":
        """Make unpredictable words."""
        return cls(*(f"t{secrets.token_hex(8)}" for _ in range(3)))

    def fill_in(self, text: str) -> str:
        """Replace the placeholders with the words."""
        own = {"TOKEN": self.token, "REFUSED": self.failure, "NAME": self.name}
        return re.sub("TOKEN|REFUSED|NAME", lambda found: own[found[0]], text)


@dataclass(frozen=True, slots=True)
class Seal:
    """Where a test's counting code, token and count go.

    Three placeholders are replaced with random words in each run: TOKEN, written only after the
    last check; REFUSED, which marks a failed check; NAME, part of the seal's own identifiers.
    """

    prologue: str = ""
    """Inserted before the candidate."""
    prologue_after: str = ""
    """Regex of what must stay before the prologue."""
    suffix: str = ""
    """Appended after the test."""
    check: str = ""
    """Regex of one check in the test; empty: the whole test counts as one check."""
    check_replacement: str = ""
    """Replacement for a check, as a template of `re.sub`."""
    epilogue: str = ""
    """Code that writes token and count, inserted after the last check."""
    closing_braces: int = 0
    """Number of the test's closing braces that follow the epilogue."""
    failed: str = r"^REFUSED (\d+) failed$"
    """Regex for a failed check in standard output or error; its group, if any, is the number of
    checks that passed. It only distinguishes a wrong answer from an error; neither passes."""

    def apply(self, candidate: str, test: str, words: SealWords) -> tuple[str, int]:
        """Return candidate and test as one sealed source, and its number of checks."""
        checks = 1
        if self.check:
            replacement = words.fill_in(self.check_replacement)
            test, checks = re.subn(self.check, replacement, test, flags=re.MULTILINE)
        # Only in the seal's own parts: a candidate must not learn the token by writing TOKEN.
        own = (self.prologue, self.epilogue, self.suffix)
        prologue, epilogue, suffix = map(words.fill_in, own)
        head = re.match(self.prologue_after, candidate)
        at = head.end() if head else 0
        source = candidate[:at] + prologue + candidate[at:]
        return f"{source}\n{_before_closers(test, epilogue, self.closing_braces)}{suffix}", checks

    def failed_check(self, words: SealWords, output: str) -> int | None:
        """Return the number of the failed check; -1 if unknown, None if none failed."""
        found = re.search(words.fill_in(self.failed), output, re.MULTILINE)
        if found is None:
            return None
        number = found[1] if found.re.groups else ""
        return int(number) if 0 < len(number) <= _NUMBER_DIGITS else -1


_NUMBER_DIGITS = 9
"""Longest number of a check: a program that knows the token may write any."""


@dataclass(frozen=True, slots=True)
class Main:
    """How to compile a program with a main function, if tests are compiled differently."""

    pattern: str
    """Regex that matches a source with a main function."""
    file: str
    """Name of the source file."""
    arguments: tuple[str, ...]
    """Compiler arguments."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A dependency of programs or tests besides the language's tools, such as a test library."""

    name: str
    """Its common name."""
    program: str = field(repr=False)
    """A program that prints 42 if the dependency is installed and fails otherwise."""
    package: str
    """The package of `Language.package` that provides it, in the same notation."""
    used_by: str = ""
    """Regex of the programs, tests and prompts that need it; empty: all of them."""
    error_pattern: str = ""
    """Regex of the tools' error without it, for a dependency of every program: then no program
    runs, and only this shows what is missing."""
    remedy: str = ""
    """What to do if installing the package is not enough."""

    def is_needed_by(self, source: str) -> bool:
        """Return whether a program, test or prompt needs it."""
        return not self.used_by or re.search(self.used_by, source, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Language:
    """How to compile and run programs of a language."""

    name: str
    """A key of `evolcoder.programming_language.LANGUAGES`."""
    file: str
    """Name of the source file."""
    package: str
    """Debian packages, first the one with the tools and then those of `requirements`; or
    `NAMES (debian 13)` for packages since release 13, `NAMES (npm)`, `NAMES (SITE)`. Alternatives
    are joined by "or", best first."""
    command: tuple[str, ...]
    """Runs the program; the first word is looked up on PATH, MAIN is the class with `main`."""
    compiler: tuple[str, ...] = ()
    """Compiles the program, looked up likewise; empty if nothing is compiled."""
    with_main: Main | None = None
    """How to compile a program with a main function, if different."""
    hidden: tuple[str, ...] = ()
    """Runs the program from standard input; empty if compiled programs need no source."""
    stdin_arguments: tuple[str, ...] = ()
    """Compiler arguments to compile a hidden program from standard input; empty if programs cannot
    embed files or the compiler cannot do it. A source without a file name cannot embed itself, and
    a sealed source contains the test."""
    is_linked: bool = False
    """Whether a hidden program's file is a link to outside its folder, for compilers that embed
    only files of that folder and do not follow links."""
    seal: Seal = field(default=Seal(), repr=False)
    """How to seal a test."""
    main_pattern: str = ""
    """Regex whose group replaces MAIN."""
    environment: tuple[tuple[str, str], ...] = ()
    """Additional environment variables for its tools."""
    requirements: tuple[Requirement, ...] = field(default=(), repr=False)
    """Dependencies of its programs and of benchmark tests besides its tools."""
    post_install: str = ""
    """Shell command that root runs once after installing the tools, in `environment`."""
    file_mb: int = 0
    """Minimum for `Limits.file_mb`, for the files that its own tools write."""

    def source_and_compiler(
        self, compiler: tuple[str, ...], source: str
    ) -> tuple[str, tuple[str, ...]]:
        """Return the name of the source file, and the compiler with its arguments."""
        if self.with_main is None or not re.search(self.with_main.pattern, source):
            return self.file, compiler
        return self.with_main.file, (*compiler[:1], *self.with_main.arguments)

    def resolve_command(self, command: tuple[str, ...], source: str) -> tuple[str, ...]:
        """Replace MAIN with the class that has the main function."""
        if not self.main_pattern:
            return command
        found = re.search(self.main_pattern, source)
        return tuple(word.replace("MAIN", found[1] if found else "Main") for word in command)


def _before_closers(test: str, epilogue: str, closers: int) -> str:
    """Insert the epilogue before the last `closers` closing braces, or at the end."""
    if not closers:
        return f"{test}\n{epilogue}\n"
    at = len(test)
    for _ in range(closers):
        at = test.rfind("}", 0, at)
    if at < 0:
        return test
    return f"{test[:at]}\n{epilogue}\n{test[at:]}"
