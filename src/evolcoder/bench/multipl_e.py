r"""MultiPL-E: HumanEval and MBPP in 18 other languages.

The data contains tests to append to a program, but no reference solutions. One HumanEval problem
has a solution of ours in every language, as a check of the toolchains. The Hub has Parquet files;
digests cover name, prompt, tests and stop tokens of every problem, so JSON lines with the same
problems in a folder of the user's are accepted too.

The tests are appended to programs, to which `appended_tests` fits a chat answer.

    multipl_e("humaneval-rs")(DataFolder(data_dir=None, cache=folder)).problems()
"""

import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from evolcoder.bench.appended_tests import fit_to_tests
from evolcoder.bench.base import (
    CandidateProgram,
    ExtractedProgram,
    Extraction,
    Problem,
    ProgramChecks,
    PromptForm,
    PromptSettings,
    Sample,
)
from evolcoder.bench.end_of_text import without_end
from evolcoder.bench.extract import plain_answer
from evolcoder.bench.fetch import DataFile, DataFolder, Row, rows
from evolcoder.bench.other_languages import foreign_program
from evolcoder.engine.hub import HUB
from evolcoder.reasoning import split

FIELDS = ("name", "prompt", "tests", "stop_tokens")
"""Fields of a row that are used and that the digest covers."""
REVISION = "28441b6024e71d4a1c1c0f6bf171c935cd5a43f2"
"""Commit of the data set on the Hub."""
DIGESTS = {
    "humaneval-cpp": "4f7391979d1cc74c8890f1c05cdb8607544529e75df5ebf65f331991125f1f80",
    "humaneval-cs": "adfebb333f5304e7b521c0a7ace5a4557997cc2d4623c69dea4440e9447c23df",
    "humaneval-d": "61dd39c3bbb6bbab8fa6f76d542b02f21e116f089a793edda39e9c96463a3a03",
    "humaneval-go": "d7d223fb2a7c005c717880967d579f4f5c9ac66fb2e2a445b6ca24782f189026",
    "humaneval-java": "fa4c7094dfe763c6a0f174ccd842bfead47bd77017c1831aef204c38644fa680",
    "humaneval-jl": "5397b46b0544ef46ad00447f76143d1e09d7f82932d59d859a2b5f9cc3e4ae13",
    "humaneval-js": "76acd55b51d7c9f36906045ae7e581ab6c989bc5513ac4535a54cb57e9d64b2b",
    "humaneval-lua": "394f38f6f25e19971b56a76c6624cf73726de9c2325f972f352f8488cd66e314",
    "humaneval-php": "97885a12c184e12c761670ee3a842c8e23d5c775cc7955a0e8eaafd51dd097a7",
    "humaneval-pl": "d5c4866695465d448e0a8ec366d764ce00de6924676ebdc05c0dc55dce711a05",
    "humaneval-r": "e71c5f148e252f683badb581d4f05581af5d3e735486cf022f6dd50920e0a844",
    "humaneval-rb": "92f05c8d9a2addbca7812c38d28ba2fd7d655125f27e17d4418093b61f68ccda",
    "humaneval-rkt": "75af2358b4fb0fa5b2203f74e4b6665749a25d324720c2ed0f3bac6535d54632",
    "humaneval-rs": "86eb5537a90f0879786d18676463c5932e02acc85414c6856d15e1a67499d17e",
    "humaneval-scala": "5a4c7e5d8f15f45cbee769058df6ac1d416cebdb08b98e6fa551b1cace07cdce",
    "humaneval-sh": "721c2aef6477a4610acb66ea77e3cdf8ab9427bb28960ea976d3383e8233367e",
    "humaneval-swift": "55a4f8f133694709fb0f44253f14077fde6601c4730fd323d838457e4ef92c86",
    "humaneval-ts": "b084fed7b672eed48eea11e91080a6c5726e540231b8904961ac0331490c2c7f",
    "mbpp-cpp": "5cfce4c2b89101d5a93e86c83f0eed03f75eebb5ef1ac524662037116f3129ce",
    "mbpp-cs": "25bc29e908d578b1e1f1982973564cb33ef9321a73dfc84b936aede61605076d",
    "mbpp-d": "d5f40a7295448d3a677c1e57fa7ad6943669e87426884f17cc6e4a4212fc4909",
    "mbpp-go": "aff652b26bb1f1e3a04a690d42ba0813e7796699345cd4fc48d26fa7a99c8d2e",
    "mbpp-java": "c841e4ecf3b249a256f25664710700c2c65176d72289212a3b179ac47f3c5dcb",
    "mbpp-jl": "14ad3cad73b662195ca016556fef791ba1569c4c9465f898fe4c552fe0fb351a",
    "mbpp-js": "7735c25b5605c5035ae3576c34a7bc6ef273cdde4b1665bf9a07e775417017ec",
    "mbpp-lua": "f1fb9e68024b2b6450b93add352973d73cdd0d454b8a0b1ed13ee5accfdc600e",
    "mbpp-php": "cf886e3957553b989919aef4491abc471bd6e204dbcec028938074a81124eccb",
    "mbpp-pl": "5591a9a94d535819d5d8d5496712dc2d900291e29a3128bbecd563d9149e235c",
    "mbpp-r": "49c4fb226a9ed26a7a6a502219eb2ebc152841121f761857b013eb5250e6f6e1",
    "mbpp-rb": "cf87ef6aeb1a6f72c1799e91868922ed5ddc6c6f01932cfa56ad0f4b0a03e7f7",
    "mbpp-rkt": "5dbe81cf16d40a814863955fe5ba932d92f1c457c06b14f23e59cf4f0ca0f7e0",
    "mbpp-rs": "9085880b33437dd62f645485de5c7fa048a93ad159c413836514172691d1f317",
    "mbpp-scala": "de5626073de019f562228a8a8c49f8608d72884d3c0a584b418e1fcdeacfba5e",
    "mbpp-sh": "a0ffd415da5a539f32fd65e610905b0d45b62875f319036fb8a613b0099784e3",
    "mbpp-swift": "7fd1723e6f79db86f84766ad9e5e0b4666c8abf755eaaf8dc1b4da500de718a0",
    "mbpp-ts": "266bb4b35d1cd676df33c82be5fae2319e865466a1398bac56e588a96eedd90f",
}
"""Configuration of the data set -> SHA-256 of its rows."""


def file_of(name: str) -> DataFile:
    """Return the data file of a configuration such as `humaneval-rs`."""
    return DataFile(
        f"multipl-e/{name}.jsonl.gz",
        f"{HUB}/datasets/nuprl/MultiPL-E/resolve/{REVISION}/{name}/test-00000-of-00001.parquet",
        DIGESTS[name],
        FIELDS,
    )


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
"""MultiPL-E's language code -> canonical name."""
CODES = {language: code for code, language in LANGUAGES.items()} | {"go": "go_test.go"}
"""Canonical name of a language -> the code in MultiPL-E's files."""
CONFIGURATIONS = tuple(DIGESTS)
"""Names of all benchmarks of MultiPL-E."""

CONTROLLED = "HumanEval_43_pairs_sum_to_zero"
"""The problem with a solution of ours in every language."""

_DISPLAY_NAMES = {"cpp": "C++", "csharp": "C#", "javascript": "JavaScript", "php": "PHP"}
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
"""Language -> code that completes a prompt to a function that raises, left open for the tests."""


@dataclass(frozen=True, slots=True)
class MultiplE:
    """One configuration of MultiPL-E, loaded into memory."""

    name: str
    """The name on the command line: that of the configuration."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    stops: tuple[str, ...]
    """Stop sequences of a continuation."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def prompt(self, problem: Problem) -> PromptSettings:
        """Return the texts of a problem's prompt."""
        language = _language(problem)
        display_name = _DISPLAY_NAMES.get(language, language.capitalize())
        instruction = (
            f"Complete this {display_name} code. Answer with all of it, what is given included, in "
            f"one fenced block; no main function and no tests.\n\n"
            f"```{language}\n{problem.prompt.strip()}\n```"
        )
        return PromptSettings(instruction, problem.prompt, language, self.stops)

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Extract the program from a sample."""
        extract = self._extract(problem, sample)
        is_empty = not extract.code.strip() and sample.form is not PromptForm.COMPLETION
        found = ExtractedProgram.NOTHING if is_empty or sample.fault else extract.found
        program = (
            ""
            if found is ExtractedProgram.NOTHING
            else _program(problem, sample.form, extract.code)
        )
        return CandidateProgram.of(sample, program, found, cut=extract.cut, chosen=extract.chosen)

    def _extract(self, problem: Problem, sample: Sample) -> Extraction:
        if sample.form is PromptForm.CONTINUATION:
            text, is_ended = without_end(sample.text)
            ends = [end for stop in self.stops if (end := text.find(stop)) >= 0]
            cut = ("continuation",) if ends or is_ended else ()
            return Extraction(text[: min(ends, default=None)], ExtractedProgram.WHOLE, cut)
        plain = sample.text.replace("\r\n", "\n")
        reasoning, answer = split(plain)
        is_split = answer != plain
        if sample.form is not PromptForm.ANSWER and not (is_split and "```" in answer):
            text = answer if is_split else sample.text
            return Extraction(text, ExtractedProgram.WHOLE, ("reasoning",) if reasoning else ())
        answer, removed = plain_answer(sample.text)
        extract = foreign_program(answer, problem.prompt, _language(problem), _entry_point(problem))
        return replace(extract, cut=removed)


def multipl_e(name: str) -> Callable[[DataFolder], MultiplE]:
    """Return a function that reads a configuration such as `humaneval-rs`."""

    def read(folder: DataFolder) -> MultiplE:
        found = rows(file_of(name), folder)
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
    """Return our solutions of CONTROLLED: language -> program."""
    path = files("evolcoder") / "data" / "multipl_e_controls.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {LANGUAGES[code]: program for code, program in found.items()}


def _program(problem: Problem, form: PromptForm, code: str) -> str:
    if form in {PromptForm.PROGRAM, PromptForm.ANSWER}:
        fitted = fit_to_tests(
            code, language=_language(problem), prompt=problem.prompt, name=_entry_point(problem)
        )
        return code if fitted.rstrip() == code.rstrip() else fitted
    return problem.prompt + code


def _called_by(tests: str, prompt: str, id: str) -> str:
    """Return the function's name as spelled in the tests, else as in the prompt's last line."""
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
