"""DS-1000: 1000 data science problems over seven libraries, in the simplified format.

The program is a snippet that the data set's harness inserts into its own code. `ds1000` prompts for
a completion; `ds1000-insertion` also shows the code after the gap. Scores are reported per library
and per perturbation.

References pass with the library versions in `NEEDS`; with others some fail. The module lists
installed versions that differ, and the problems whose reference is known to fail with the reason.
These are stored results of running all references with data/ds1000-requirements.txt
(`make ds1000`); with other versions more may fail, which the benchmark's self-check reports.

    ds1000(DataFolder(data_dir=None, cache=folder)).problems()
    known_failures(installed([folder]))  # {"DS-1000/819": ReferenceRun(Unavailable.NETWORK, …)}
"""

import ast
import functools
import itertools
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from evolcoder.bench.answer_blocks import defines, last_wanted
from evolcoder.bench.base import (
    CandidateProgram,
    ChosenBy,
    ExtractedProgram,
    Extraction,
    HarnessChecks,
    Problem,
    PromptForm,
    PromptSettings,
    Sample,
)
from evolcoder.bench.end_of_text import glued_tokens
from evolcoder.bench.extract import (
    NOTEBOOK,
    cut_continuation,
    given_program,
    parses,
    plain_answer,
    unprompted,
)
from evolcoder.bench.fetch import DataFile, DataFolder, Row, rows
from evolcoder.code import broken_source, statements
from evolcoder.code.blocks import as_fences
from evolcoder.code.notations import indented_as_fences
from evolcoder.code.python_ast import tree_of
from evolcoder.engine.hub import HUB
from evolcoder.fences import without_code
from evolcoder.programming_language import code_blocks

DS1000 = DataFile(
    "ds1000/ds1000.jsonl.gz",
    f"{HUB}/datasets/xlangai/DS-1000/resolve/4416080ac5cb80bdf7576aefb8f9a0b4d5426a44/test.jsonl",
    "26a492838b05f9d030b2f08a5715c6bafecafb601c157da912bf417fd8b0d363",
    (),
)
NEEDS = {
    "gensim": "4.3.2",
    "matplotlib": "3.8.4",
    "numpy": "1.26.4",
    "pandas": "1.5.3",
    "scikit-learn": "1.4.0",
    "scipy": "1.12.0",
    "seaborn": "0.13.2",
    "statsmodels": "0.14.1",
    "tensorflow-cpu": "2.16.1",
    "torch": "2.2.0",
    "xgboost": "2.0.3",
}
"""Distribution -> version in the data set authors' environment, on Python 3.10."""
STOPS = ("</code>", "# SOLUTION END", "\nEND SOLUTION", "### END SOLUTION")
"""Markers of the gap's end in the data set's notation."""

_RESULT = re.compile(r"^(?P<names>.+?) = \.\.\. # put solution in th(?:is|ese) variables?\n", re.M)
_BEGIN = re.compile(r"^BEGIN SOLUTION\n<code>\s*\Z", re.MULTILINE)
_GIVEN = re.compile(r"<code>\n(.*?)\n</code>", re.DOTALL)
_EDGE = re.compile(r"\s*|.*[:.]\s*|\s*</?\w+>\s*")
"""A line at which code may begin or end: blank, a sentence, a tag."""
MAX_EDGES = 6
"""Most edges at which code is tried."""
_GAP_IN_FUNCTION = re.compile(r"^def (\w+)\((.*?)\):\n(?:[ \t].*\n)*\[insert\]", re.MULTILINE)


_SHOWS = frozenset("print display help show head tail info describe savefig type dtype".split())
"""Functions that show a result."""


@dataclass(frozen=True, slots=True)
class Ds1000:
    """DS-1000, loaded into memory."""

    name: str
    """The name on the command line."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    shows_after: bool
    """Whether the prompt includes the code after the gap."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def prompt(self, problem: Problem) -> PromptSettings:
        """Return the texts of a problem's prompt."""
        code = _with_gap(problem.prompt) if self.shows_after else problem.prompt
        where = "goes in the place of [insert]" if self.shows_after else "comes next"
        instruction = (
            f"Solve the problem below. Answer with one fenced block that holds only the Python "
            f"code that {where}; what is given already runs before it, so do not repeat it.\n\n"
            f"{code.strip()}"
        )
        if self.shows_after:
            code += "\nWhat goes in the place of [insert]:\n<code>\n"
        return PromptSettings(instruction, code, "python", STOPS)

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Extract the snippet from a sample and indent it as the harness needs."""
        extract = _extract(problem, sample)
        found = extract.found if extract.code.strip() else ExtractedProgram.NOTHING
        program = extract.code if found is not ExtractedProgram.NOTHING else ""
        if sample.form in {PromptForm.ANSWER, PromptForm.CONTINUATION}:
            program = program.rstrip()  # the harness may continue the line after the gap
        return CandidateProgram.of(sample, program, found, cut=extract.cut, chosen=extract.chosen)


def ds1000(folder: DataFolder) -> Ds1000:
    """Read DS-1000 for completion."""
    return Ds1000("ds1000", tuple(map(_problem, rows(DS1000, folder))), shows_after=False)


def ds1000_insertion(folder: DataFolder) -> Ds1000:
    """Read DS-1000 for insertion."""
    return Ds1000("ds1000-insertion", tuple(map(_problem, rows(DS1000, folder))), shows_after=True)


def other_versions(installed: Mapping[str, str]) -> list[str]:
    """Return one line for each library that is missing or not in the version of `NEEDS`."""
    return [
        f"{library} {installed.get(library) or 'is missing'}, needs {version}"
        for library, version in NEEDS.items()
        if installed.get(library) != version
    ]


def _problem(row: Row) -> Problem:
    metadata, harness = row["metadata"], row["code_context"]
    tests = ("test_execution", "test_string")
    indent = "    " if _GAP_IN_FUNCTION.search(harness) else ""
    return Problem(
        id=f"DS-1000/{metadata['problem_id']}",
        prompt=row["prompt"],
        checks=HarnessChecks(
            harness=harness,
            calls=tuple(test for test in tests if f"def {test}(" in harness),
            library=metadata["library"],
        ),
        reference=row["reference_code"],
        stub=f"{indent}None",
        groups=(
            ("library", metadata["library"]),
            ("perturbation", metadata["perturbation_type"]),
        ),
    )


def _with_gap(prompt: str) -> str:
    """Mark the gap with `[insert]` and append the code after it."""
    result = _RESULT.search(prompt)
    if result:
        prompt = prompt[: result.start()] + prompt[result.end() :]
    if _BEGIN.search(prompt):
        after = f"\n<code>\nprint({result['names']})\n</code>" if result else ""
        return f"{prompt.rstrip()}\n[insert]\n</code>\nEND SOLUTION{after}\n"
    if prompt.rstrip().endswith("### BEGIN SOLUTION"):
        return f"{prompt.rstrip()}\n[insert]\n    ### END SOLUTION\n</code>\n"
    return f"{prompt.rstrip()}\n[insert]\n# SOLUTION END\n"


def _extract(problem: Problem, sample: Sample) -> Extraction:
    is_continued = sample.form is PromptForm.CONTINUATION
    if is_continued and not sample.text.lstrip().startswith("```"):
        extract = cut_continuation(problem.prompt, sample.text, (), (*STOPS, "\n```"))
        return replace(extract, code=_without_token(extract.code))
    if not is_continued and sample.form is not PromptForm.ANSWER:
        return given_program(sample.text, (), "", completes=False)
    answer, removed = plain_answer(sample.text)
    cut = list(removed)
    answer = as_fences(answer)
    names = _result_names(problem.prompt)
    code, found, rule = last_wanted(answer, "python", lambda block: _rank(block, names))
    code = unprompted(code)
    if not parses(textwrap.dedent(code)):
        code = NOTEBOOK.sub("", code)
    if found is ExtractedProgram.NOTHING:
        code, found = _tagged(answer)
    if found is ExtractedProgram.NOTHING:
        code, found = _amid_prose(answer)
    code, repeated = _without_given(code, problem.prompt)
    cut += ["repeated_context"] if repeated else []
    helpers = _helpers(answer, code, problem.prompt)
    if helpers:
        code, rule = f"{helpers}\n{code}", ChosenBy.JOINED
    return Extraction(_indented(code, problem), found, tuple(cut), rule)


def _result_names(prompt: str) -> frozenset[str]:
    """Return the variables that the prompt asks for."""
    found = _RESULT.search(prompt)
    return frozenset(re.findall(r"\w+", found["names"])) if found else frozenset()


def _rank(code: str, names: frozenset[str]) -> int:
    """Return how likely a block is the answer: 3 if it gives the result, 1 if it only imports."""
    plain = _at_margin(code)
    tree = tree_of(plain)
    if tree is None:
        return 1
    if names & statements.bound_names(plain) or broken_source.is_body(plain):
        return 3
    return 2 if any(map(_acts, tree.body)) else 1


def _acts(node: ast.stmt) -> bool:
    """Whether a statement does more than import, test, show or write something."""
    if not isinstance(node, ast.Expr):
        return not isinstance(node, ast.Import | ast.ImportFrom | ast.Assert)
    called = node.value.func if isinstance(node.value, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "print")
    return name not in _SHOWS and not name.startswith("to_")


def _helpers(answer: str, code: str, prompt: str) -> str:
    """Return imports and functions of the other blocks that the answer needs."""
    plain = textwrap.dedent(code)
    lacking = statements.unbound(plain) - set(re.findall(r"\w+", prompt))
    if not lacking:
        return ""
    blocks = [block.code for block in code_blocks(answer) if block.language in {None, "python"}]
    found = [statements.binding(block, lacking) for block in blocks if block != code]
    return "\n".join(filter(None, found))


def _tagged(answer: str) -> tuple[str, ExtractedProgram]:
    """Find code in the data set's `<code>` tags, or bare code."""
    bare = without_code(answer)
    code = (bare.partition("<code>")[2] or bare).partition("</code>")[0].strip("\n")
    return (
        (code, ExtractedProgram.NO_FENCE)
        if parses(_at_margin(code))
        else ("", ExtractedProgram.NOTHING)
    )


def _amid_prose(answer: str) -> tuple[str, ExtractedProgram]:
    """Find code in an indented block, or code that prose or tags stand above or below."""
    for block in reversed(code_blocks(indented_as_fences(answer))):
        if _is_code(block.code):
            return block.code, ExtractedProgram.AMID_PROSE
    lines = answer.split("\n")
    edges = [at for at, line in enumerate(lines) if _EDGE.fullmatch(line)]
    begins = [0, *(at + 1 for at in edges[:MAX_EDGES])]
    ends = [len(lines), *reversed(edges[-MAX_EDGES:])]
    for begin, end in itertools.product(begins, ends):
        if _is_code(code := "\n".join(lines[begin:end]).strip("\n")):
            return code, ExtractedProgram.AMID_PROSE
    return "", ExtractedProgram.NOTHING


def _is_code(code: str) -> bool:
    """Whether a text is Python that does something, as few words of prose do."""
    tree = tree_of(textwrap.dedent(code))
    nodes = tree.body if tree is not None else []
    return any(not isinstance(node, ast.AnnAssign) and _acts(node) for node in nodes)


def _at_margin(code: str) -> str:
    """Remove the indent of all code, which comments and blank lines need not have."""
    lines = code.split("\n")
    own = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    margin = min((len(line) - len(line.lstrip()) for line in own), default=0)
    return "\n".join(line[min(margin, len(line) - len(line.lstrip())) :] for line in lines)


def _without_token(code: str) -> str:
    """Cut a snippet that does not parse at the first token that makes it parse."""
    ends = glued_tokens(code) if not parses(textwrap.dedent(code)) else ()
    tried = (code[:end] for end in ends)
    return next((one for one in tried if one.strip() and parses(textwrap.dedent(one))), code)


def _without_given(code: str, prompt: str) -> tuple[str, bool]:
    """Drop repeated lines of the prompt, which would reset the inputs to the example's."""
    given = _GIVEN.search(prompt)
    lines = [line.rstrip() for line in given[1].split("\n")] if given else []
    answer = code.split("\n")
    if lines and [line.rstrip() for line in answer[: len(lines)]] == lines:
        return "\n".join(answer[len(lines) :]), True
    return code, False


def _indented(code: str, problem: Problem) -> str:
    """Indent a snippet if the gap is in a function body; append a call to a complete function."""
    checks = problem.checks
    if not parses(textwrap.dedent(code)):
        code = _at_margin(code)
    gap = isinstance(checks, HarnessChecks) and _GAP_IN_FUNCTION.search(checks.harness)
    if not gap or not code.strip() or code.strip("\n")[0].isspace():
        return code
    if defines(code, (gap[1],)):
        code = f"{code.rstrip()}\nreturn {gap[1]}({gap[2]})\n"
    return textwrap.indent(code, "    ")


WARM = (
    *("numpy", "pandas", "scipy.stats", "scipy.sparse", "scipy.optimize", "scipy.integrate"),
    *(
        "scipy.spatial",
        "scipy.interpolate",
        "scipy.ndimage",
        "scipy.cluster.hierarchy",
        "scipy.fft",
    ),
    *("sklearn.ensemble", "sklearn.datasets", "sklearn.preprocessing", "sklearn.svm"),
    *("sklearn.feature_extraction.text", "sklearn.model_selection", "sklearn.pipeline"),
    *("sklearn.cluster", "matplotlib.pyplot", "mpl_toolkits.mplot3d", "PIL.PngImagePlugin"),
    *("seaborn", "torch", "torch.testing", "torch.distributed.tensor", "tensorflow"),
)
"""Modules that harnesses import; a worker that has preloaded them grades in tenths of a second."""


class Unavailable(StrEnum):
    """Why a reference is known to fail. Values are reported; never rename one."""

    NETWORK = "network"
    """It downloads a data set, but sandboxed programs have no network."""
    VERSION = "version"
    """It needs another version of a library."""
    DATA_SET = "data set"
    """It fails its own harness, even with the required versions."""


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """A reference that is known to fail."""

    why: Unavailable
    """Category of the reason."""
    detail: str
    """The failure, in one line."""
    versions: Mapping[str, str]
    """Library -> version with which it fails; empty if it fails with any version."""


def installed(folders: Sequence[Path]) -> dict[str, str]:
    """Return library -> version for the libraries of `NEEDS` installed in package folders."""
    found = distributions(path=[str(folder) for folder in folders])
    names = ((one.metadata["Name"].lower(), one.version.partition("+")[0]) for one in found)
    return {name: version for name, version in names if name in NEEDS}


def warm_modules(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the modules of `WARM` whose library is in the folders."""
    return tuple(
        name
        for name in WARM
        if any((folder / name.partition(".")[0]).is_dir() for folder in folders)
    )


def missing_versions(folders: Sequence[Path]) -> list[str]:
    """Return one line for each library that is missing or in another version than in `NEEDS`."""
    return other_versions(installed(folders))


def known_failures(versions: Mapping[str, str]) -> dict[str, ReferenceRun]:
    """Return problem id -> known failure of its reference with these library versions."""
    return {
        problem: known
        for problem, known in _stored().items()
        if all(versions.get(name) == version for name, version in known.versions.items())
    }


@functools.cache
def _stored() -> Mapping[str, ReferenceRun]:
    path = files("evolcoder") / "data" / "ds1000-references.json"
    text = path.read_text(encoding="utf-8")
    return MappingProxyType(
        {
            problem: ReferenceRun(
                Unavailable(row["why"]), row["detail"], MappingProxyType(row["versions"])
            )
            for problem, row in json.loads(text).items()
        }
    )
