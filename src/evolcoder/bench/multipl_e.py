"""MultiPL-E: HumanEval and MBPP in 18 other languages.

The tests stand in the data as a text that follows the program; there are no reference solutions.
One problem of HumanEval has a solution of ours in every language, to show that tools are whole.

    multipl_e("humaneval-rs")(Shelf(data_dir=None, cache=folder)).problems()
"""

import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from evolcoder.bench.base import Asked, Candidate, Form, Found, Problem, ProgramChecks, Sample
from evolcoder.bench.extract import Extract, fenced
from evolcoder.bench.fetch import Row, Shelf, rows
from evolcoder.bench.multipl_e_assembly import assembled
from evolcoder.bench.multipl_e_files import DIGESTS, file_of
from evolcoder.engine.base import split_reasoning
from evolcoder.text import before_bare_fence

LANGUAGES = {
    "cpp": "cpp",
    "cs": "csharp",
    "d": "d",
    "go": "go",
    "java": "java",
    "jl": "julia",
    "js": "javascript",
    "lua": "lua",
    "php": "php",
    "pl": "perl",
    "r": "r",
    "rb": "ruby",
    "rkt": "racket",
    "rs": "rust",
    "scala": "scala",
    "sh": "bash",
    "swift": "swift",
    "ts": "typescript",
}
"""MultiPL-E's code of a language -> our name for it."""
CODES = {language: code for code, language in LANGUAGES.items()} | {"go": "go_test.go"}
"""Our name of a language -> what MultiPL-E writes into its files."""
CONFIGURATIONS = tuple(DIGESTS)
"""Names of all benches of this kind."""

CONTROLLED = "HumanEval_43_pairs_sum_to_zero"
"""The problem that has a solution of ours in every language."""

_WRITTEN = {"cpp": "C++", "csharp": "C#", "javascript": "JavaScript", "php": "PHP"}
_FAILING_BODY = {
    "bash": "    return 1",
    "cpp": "    throw 0;",
    "csharp": "        throw new Exception();",
    "d": "{\n    assert(0);\n}",
    "go": '    panic("stub")\n}',
    "java": "        throw new RuntimeException();",
    "javascript": "  throw 0;\n}",
    "julia": "    error()\nend",
    "lua": "    error()\nend",
    "perl": "    die;\n}",
    "php": "    throw new Exception();\n}",
    "r": "    stop()\n}",
    "racket": '  (error "stub"))',
    "ruby": "  raise\nend",
    "rust": "    panic!()",
    "scala": "        throw new Exception()",
    "swift": "    fatalError()",
    "typescript": "  throw 0;\n}",
}
"""What makes a prompt a function that fails when it is called, up to where the tests go on."""


@dataclass(frozen=True, slots=True)
class MultiplE:
    """One configuration of MultiPL-E, read into memory."""

    name: str
    """The name on the command line, which is the configuration's."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    stops: tuple[str, ...]
    """Where a continuation ends in this language."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def ask(self, problem: Problem) -> Asked:
        """Say the problem to a model."""
        language = _language(problem)
        written = _WRITTEN.get(language, language.capitalize())
        instruction = (
            f"Complete this {written} code. Answer with all of it, what is given included, in one "
            f"fenced block; no main function and no tests.\n\n"
            f"```{language}\n{problem.prompt.strip()}\n```"
        )
        return Asked(instruction, problem.prompt, language, self.stops)

    def candidate(self, problem: Problem, sample: Sample) -> Candidate:
        """Take the program out of a sample."""
        extract = self._extract(problem, sample)
        is_empty = not extract.code.strip() and sample.form is not Form.COMPLETION
        found = Found.NOTHING if is_empty or sample.fault else extract.found
        program = "" if found is Found.NOTHING else _program(problem, sample.form, extract.code)
        return Candidate(sample.problem, sample.index, program, found, extract.cut, sample.fault)

    def _extract(self, problem: Problem, sample: Sample) -> Extract:
        if sample.form is Form.CONTINUATION:
            ends = [end for stop in self.stops if (end := sample.text.find(stop)) >= 0]
            cut = ("continuation",) if ends else ()
            return Extract(sample.text[: min(ends, default=None)], Found.WHOLE, cut)
        if sample.form is not Form.ANSWER:
            return Extract(sample.text, Found.WHOLE, ())
        reasoning, answer = split_reasoning(sample.text.replace("\r\n", "\n"))
        name = re.compile(rf"\b{re.escape(_entry_point(problem))}\b")
        code, found = fenced(answer, _language(problem), lambda block: bool(name.search(block)))
        head, signature = before_bare_fence(answer), problem.prompt.rstrip().rpartition("\n")[2]
        if signature in head and signature not in answer[len(head) :]:
            code, found = head, Found.CLOSING_FENCE
        if found is Found.NO_ENTRY and code.lstrip("\n")[:1].isspace():
            # Indented code goes on where the prompt ends, as Perl's prompts invite a model to.
            code, found = problem.prompt + code, Found.BODY
        if found is Found.NOTHING and name.search(answer):
            code, found = answer, Found.NO_FENCE
        return Extract(code, found, ("reasoning",) if reasoning else ())


def multipl_e(name: str) -> Callable[[Shelf], MultiplE]:
    """Return the reader of a configuration such as `humaneval-rs`."""

    def read(shelf: Shelf) -> MultiplE:
        found = rows(file_of(name), shelf)
        language = LANGUAGES[name.partition("-")[2]]
        stops = tuple(dict.fromkeys(stop for row in found for stop in row["stop_tokens"]))
        return MultiplE(name, tuple(_problem(row, language) for row in found), stops)

    return read


def _problem(row: Row, language: str) -> Problem:
    prompt = row["prompt"]
    return Problem(
        id=row["name"],
        prompt=prompt,
        checks=ProgramChecks(language, row["tests"], _called_by(row["tests"], prompt, row["name"])),
        reference=_controls().get(language) if row["name"] == CONTROLLED else None,
        stub=f"{prompt}{_FAILING_BODY[language]}",
        groups=(("language", language),),
    )


@functools.cache
def _controls() -> dict[str, str]:
    """Read our solutions of the controlled problem: language -> program."""
    path = files("evolcoder") / "data" / "multipl_e_controls.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {LANGUAGES[code]: program for code, program in found.items()}


def _program(problem: Problem, form: Form, code: str) -> str:
    if form is Form.PROGRAM:
        return code
    if form is Form.ANSWER:
        return assembled(code, language=_language(problem), prompt=problem.prompt)
    return problem.prompt + code


def _called_by(tests: str, prompt: str, id: str) -> str:
    """Return the function's name as the tests spell it; a renamed one is the prompt's last."""
    plain = id.split("_", 2)[2].replace("_", "").lower()
    for found in re.finditer(r"\w+", tests):
        if found[0].replace("_", "").lower() == plain:
            return found[0]
    called = re.search(r"(\w+)\s*\(", prompt.rstrip().rpartition("\n")[2])
    return called[1] if called else ""


def _language(problem: Problem) -> str:
    return problem.checks.language if isinstance(problem.checks, ProgramChecks) else ""


def _entry_point(problem: Problem) -> str:
    return problem.checks.entry_point if isinstance(problem.checks, ProgramChecks) else ""
