"""A candidate that takes its own process apart finds nothing there that helps it.

What is expected was serialised elsewhere and is compared elsewhere, so that it does not matter what
a candidate reads, replaces, or calls equal: it can only decide what its process reports.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from driver import held, usable
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.sandbox.base import Limits, Program, Script, Status
from evolcoder.sandbox.language import SealWords
from evolcoder.sandbox.pool import LEVELS
from evolcoder.sandbox.toolchains import LANGUAGES

pytestmark = pytest.mark.attacks
HERE = Path(__file__).parent
ROOMY = Limits(cpu_s=10, wall_s=30, memory_mb=1024, compile_s=90)
LISTS = {
    "cpp": (
        "#include <bits/stdc++.h>\nstd::vector<long> both(long a, long b) {\n",
        """}
int main() {
    auto candidate = both;
    assert(candidate((1), (2)) == (std::vector<long>({(long)1, (long)2})));
}
""",
    ),
    "java": (
        "import java.util.*;\nclass Problem {\n    static ArrayList<Long> both(long a, long b) {\n",
        """    }
    public static void main(String[] args) {
    assert(both((1l), (2l)).equals((new ArrayList<Long>(Arrays.asList((long)1l, (long)2l)))));
    }

}
""",
    ),
    "rust": (
        "fn both(a: isize, b: isize) -> Vec<isize> {\n",
        """}

fn main() {
    let candidate = both;
    assert_eq!(candidate(1, 2), vec![1, 2]);
}
""",
    ),
}
"""A problem whose answer is a list: prompt and test."""


@dataclass(frozen=True)
class Attack:
    """One section of the file next to this one."""

    language: str
    deceives: str
    problem: str
    kind: str
    source: str

    def __str__(self):
        return f"{self.language}-{self.deceives}-{self.problem}-{self.kind.replace(' ', '-')}"

    @property
    def given(self):
        """Prompt and test."""
        return LISTS[self.language] if self.problem == "list" else SUMS[self.language]


def _sections(path):
    text = path.read_text(encoding="utf-8")
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        yield heading, body


def _sum(body):
    source, test, _ = re.split(r"^--- \w+\n", body, flags=re.MULTILINE)
    return source.partition("EARLY")[0].rstrip() + "\n", test


SUMS = {name: _sum(body) for name, body in _sections(HERE.parent / "sandbox" / "languages.txt")}
ATTACKS = [
    Attack(*heading.split(" ", 3), body) for heading, body in _sections(HERE / "own_process.txt")
]


@pytest.fixture(scope="module", params=LEVELS)
def polyglot(request):
    yield from held(request.param, languages=list(usable(request.param, HARNESSES)))


def exit_code(polyglot, attack):
    """Look at the exit code."""
    source = f"{attack.source}\n{attack.given[1]}"
    execution = polyglot.run(Program(attack.language, source, Script(hidden=True)), ROOMY)
    return execution, execution.status is Status.FINISHED and execution.exit_code == 0


def seal(polyglot, attack):
    """Count the checks and want a token."""
    found = polyglot.grade_sealed(attack.language, attack.source, attack.given[1], limits=ROOMY)
    return found, found.passed


def seal_of_one_word(polyglot, attack):
    """Take the word that names the counter and tells of failures for the token too."""
    word = SealWords.fresh().token
    sealed, checks = LANGUAGES[attack.language].seal.apply(
        attack.source, attack.given[1], SealWords(word, word, word)
    )
    execution = polyglot.run(Program(attack.language, sealed, Script(hidden=True)), ROOMY)
    vouched = execution.answers == f"{word} {checks}\n".encode()
    return execution, vouched and execution.exit_code == 0


def seal_of_a_file(polyglot, attack):
    """Leave candidate and test in a file while they are compiled and run."""
    words = SealWords.fresh()
    sealed, checks = LANGUAGES[attack.language].seal.apply(attack.source, attack.given[1], words)
    execution = polyglot.run(Program(attack.language, sealed), ROOMY)
    vouched = execution.answers == f"{words.token} {checks}\n".encode()
    return execution, vouched and execution.exit_code == 0


GRADERS = {
    "exit": exit_code,
    "seal": seal,
    "word": seal_of_one_word,
    "file": seal_of_a_file,
}


@pytest.mark.parametrize("polyglot", ["strict"], indirect=True)
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_deceives_who_compares_in_its_process(polyglot, attack):
    """Every section passes without solving anything, by the grader that it names."""
    polyglot.needs(attack.language, attack.source, attack.given[1])
    found, passes = GRADERS[attack.deceives](polyglot, attack)
    assert passes, (found, getattr(found, "execution", found).stderr)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_deceives_no_comparison_outside(polyglot, attack):
    """None passes, and no verdict rests on its own word."""
    polyglot.needs(attack.language, attack.source)
    prompt, test = attack.given
    found = polyglot.grade_called(attack.language, attack.source, test, prompt=prompt, limits=ROOMY)
    assert not found.passed, (found, found.execution.answers)


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.deceives == "word"], ids=str)
def test_a_seal_writes_its_token_only_once(polyglot, attack):
    """What tells of a failed check is another word: reading it back does not help."""
    polyglot.needs(attack.language, attack.source, attack.given[1])
    found, passes = seal(polyglot, attack)
    assert not passes, (found, found.execution.answers)


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.deceives == "file"], ids=str)
def test_a_compiler_cannot_embed_what_is_sealed(polyglot, attack):
    """While it works, no file that a program could name holds the test."""
    polyglot.needs(attack.language, attack.source, attack.given[1])
    found, passes = seal(polyglot, attack)
    assert not passes, (found, found.execution.answers)
