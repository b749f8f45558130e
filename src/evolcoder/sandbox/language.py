"""What a programming language is to the sandbox: how to compile, run, and seal a test.

A language is data in a file of its own under `languages/`; `toolchains` lists them all.

A test of another language than Python whose comparisons cannot be made outside runs in the
candidate's process. It is sealed: its checks are counted by code under a random name, and behind
the last check the token and the count are written to descriptor 3. Ending early, printing, or
replacing the language's own assertions does not do that. A candidate that searches its own process
for the seal may find it: `Separation.TOKEN` is weaker than the other separations, and its verdicts
say so.
"""

import re
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SealWords:
    """The words of one run's seal."""

    token: str
    """Vouches for the last check."""
    failure: str
    """Tells of a check that did not hold; the token cannot be had from it."""
    name: str
    """Part of the names of what counts the checks."""

    @classmethod
    def fresh(cls) -> "SealWords":
        """Make up words that nobody can know."""
        return cls(*(f"t{secrets.token_hex(8)}" for _ in range(3)))

    def put_into(self, text: str) -> str:
        """Replace what stands for the words."""
        own = {"TOKEN": self.token, "REFUSED": self.failure, "NAME": self.name}
        return re.sub("TOKEN|REFUSED|NAME", lambda found: own[found[0]], text)


@dataclass(frozen=True, slots=True)
class Seal:
    """Where the token and the count go.

    Three words stand for ones made up anew for each run: TOKEN for what is written behind the last
    check only, REFUSED for what tells of one that did not hold, NAME for a part of its own names.
    """

    prologue: str = ""
    """Put before the candidate."""
    after: str = ""
    """Regex of what must stay before the prologue."""
    coda: str = ""
    """Put behind the test."""
    check: str = ""
    """Regex of one check in the test; without one, the test as a whole counts as one check."""
    counted: str = ""
    """What a check becomes, as a template of `re.sub`."""
    epilogue: str = ""
    """What writes token and count, put behind the last check."""
    closers: int = 0
    """How many closing braces of the test stand behind the epilogue."""
    failed: str = r"^REFUSED (\d+) failed$"
    """Regex that finds on standard output or error that a check did not hold, where it can with the
    number of those that did. It only tells a wrong answer from an error; neither passes."""

    def apply(self, candidate: str, test: str, words: SealWords) -> tuple[str, int]:
        """Return candidate and test as one sealed source, and the number of checks in it."""
        checks = 1
        if self.check:
            counted = words.put_into(self.counted)
            test, checks = re.subn(self.check, counted, test, flags=re.MULTILINE)
        # Only in the seal's own parts: a candidate that spells TOKEN must not be told it.
        own = (self.prologue, self.epilogue, self.coda)
        prologue, epilogue, coda = map(words.put_into, own)
        head = re.match(self.after, candidate)
        at = head.end() if head else 0
        source = candidate[:at] + prologue + candidate[at:]
        return f"{source}\n{_before_closers(test, epilogue, self.closers)}{coda}", checks

    def failed_check(self, words: SealWords, told: str) -> int | None:
        """Return the number of the check that did not hold; -1 where that is not said."""
        found = re.search(words.put_into(self.failed), told, re.MULTILINE)
        if found is None:
            return None
        said = found[1] if found.re.groups else ""
        return int(said) if 0 < len(said) <= _NUMBER_DIGITS else -1


_NUMBER_DIGITS = 9
"""Longest number of a check: who knows the token may write any."""


@dataclass(frozen=True, slots=True)
class Main:
    """How to compile a program with a main function, where a test is compiled in another way."""

    seen: str
    """Regex that finds a source that is one."""
    file: str
    """What its file is called."""
    arguments: tuple[str, ...]
    """What the compiler is told."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that programs or tests need beside a language's tools, such as a test library."""

    name: str
    """What people call it."""
    program: str = field(repr=False)
    """Prints 42 where it is there, and fails where it is not."""
    package: str
    """Which of the language's packages brings it, written as there."""
    users: str = ""
    """Regex of the programs, tests and prompts that need it; empty where all of them do."""
    absent: str = ""
    """Regex of what the tools say where it is not there, for what no program can do without: then
    no program runs, and only this tells what is missing."""
    remedy: str = ""
    """What to do about it, where installing the package is not enough."""

    def is_needed_by(self, source: str) -> bool:
        """Tell whether a program, test or prompt needs it."""
        return not self.users or re.search(self.users, source, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Language:
    """How programs of a language are run."""

    name: str
    """A key of `evolcoder.text.LANGUAGES`."""
    file: str
    """What the source's file is called."""
    package: str
    """Debian's packages, the one that brings the tools first and then those of `requirements`; or
    `NAMES (debian 13)`, which has them from 13 on, `NAMES (npm)`, `NAMES (SITE)`; several are
    joined by "or", best first."""
    command: tuple[str, ...]
    """Runs the program; the first word is looked up on PATH, MAIN is the class that has it."""
    compiler: tuple[str, ...] = ()
    """Compiles it, looked up likewise; empty where nothing is compiled."""
    with_main: Main | None = None
    """How a program with a main function is compiled, if otherwise."""
    hidden: tuple[str, ...] = ()
    """Runs the program out of standard input; empty where what was compiled needs no source."""
    fed: tuple[str, ...] = ()
    """What the compiler is told to compile a hidden program out of standard input; empty where
    programs cannot embed files, or where it cannot be done. A source without a name cannot be
    embedded by itself: what is sealed holds the test."""
    is_linked: bool = False
    """Whether a hidden program's file is a link out of its folder, where a compiler embeds files of
    the folder alone and follows no links."""
    seal: Seal = field(default=Seal(), repr=False)
    """How a test is sealed."""
    main: str = ""
    """Regex whose group is what MAIN stands for."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that its tools need beside the usual ones."""
    requirements: tuple[Requirement, ...] = field(default=(), repr=False)
    """What its programs and the tests of benchmarks need beside its tools."""
    once: str = ""
    """Shell command for root that the installation of its tools ends with, in `environment`."""
    file_mb: int = 0
    """What its own tools write to files at most; `Limits.file_mb` is never below it."""

    def build(self, compiler: tuple[str, ...], source: str) -> tuple[str, tuple[str, ...]]:
        """Return what the source's file is called, and the compiler with its arguments."""
        if self.with_main is None or not re.search(self.with_main.seen, source):
            return self.file, compiler
        return self.with_main.file, (*compiler[:1], *self.with_main.arguments)

    def words(self, command: tuple[str, ...], source: str) -> tuple[str, ...]:
        """Fill in the class that has the main function."""
        if not self.main:
            return command
        found = re.search(self.main, source)
        return tuple(word.replace("MAIN", found[1] if found else "Main") for word in command)


def _before_closers(test: str, epilogue: str, closers: int) -> str:
    """Put the epilogue before the last so many closing braces, or at the end."""
    if not closers:
        return f"{test}\n{epilogue}\n"
    at = len(test)
    for _ in range(closers):
        at = test.rfind("}", 0, at)
    if at < 0:
        return test
    return f"{test[:at]}\n{epilogue}\n{test[at:]}"
