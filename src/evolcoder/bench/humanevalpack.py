r"""HumanEvalPack (OctoPack, 2023): repair, synthesis and explanation of HumanEval in six languages.

`humanevalfix-LANGUAGE` shows a function with a bug and its tests, `humanevalfixdocs-LANGUAGE` the
function with its description instead; `humanevalsynthesize-LANGUAGE` asks for the function from
its description. `humanevalexplain-LANGUAGE` has two steps: the model explains the correct function
in at most as many characters as its description has, and then writes it from nothing but its own
explanation and the signature. As published, an explanation is cut at that length, and lines that
it copies from the function are removed. The instructions are in our own words.

A stub of the repair tasks is the function with its bug, which must fail. Problems whose reference
or test needs a library that no sandbox has, or that is not deterministic, are left out by name.

A program has the imports of the data set's prompt, and in Go those of the packages that it uses,
since a continued prompt cannot add any. `complete_program` never raises; a program that it cannot
parse is passed on for the compiler to reject.

    humanevalpack("humanevalfix-rs")(DataFolder(data_dir=None, cache=folder)).problems()
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evolcoder.bench.appended_tests import (
    GO_IMPORTS,
    GO_PACKAGE,
    MAIN_FUNCTIONS,
    MAX_CHARS,
    TEST_FUNCTIONS,
    go_imports,
    missing_head,
    without_function,
)
from evolcoder.bench.base import (
    AssertChecks,
    Bench,
    CandidateProgram,
    ExtractedProgram,
    Extraction,
    Problem,
    ProgramChecks,
    PromptForm,
    PromptSettings,
    Sample,
)
from evolcoder.bench.extract import plain_answer
from evolcoder.bench.fetch import DataFile, DataFolder, Row, rows
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.bench.humaneval import STOPS
from evolcoder.bench.other_languages import foreign_program, without_usage
from evolcoder.engine.hub import HUB
from evolcoder.reasoning import split

REVISION = "570eda266bf21065c9697cbec0335d0ed9687f15"
"""Commit of the data set on the Hub, before it was converted to Parquet."""
DIGESTS = {
    "cpp": "891a390c1b9d2cb85dd8fbebcf1d88dbdd565734a6b2b3259f9ddb3fe95e33d7",
    "go": "0ee2cdca46d70afb33d913a0d4b205624fe4ded2f28c2efdb241727221837993",
    "java": "a8d077d300bbdc2eda91e1a733deb2944678bce8fcc7eb272214626516768cc1",
    "js": "04c86c1fac5f33818d9187cba278ed1dfc66cc259372dd8342126aa580fb7569",
    "python": "b1376d72be4bd016a62ad043d9de3846edb8d63edf1222da802a31330c14c3a7",
    "rust": "01ece28eaf490d7af037ce53095083dacfd38022cf5b82662ccb78024dc269a1",
}
"""Configuration of the data set -> SHA-256 of its file."""
LANGUAGES = {"py": "python", "js": "js", "java": "java", "go": "go", "cpp": "cpp", "rs": "rust"}
"""End of a benchmark's name -> configuration of the data set."""
TASKS = ("humanevalfix", "humanevalfixdocs", "humanevalsynthesize", "humanevalexplain")
NAMES = tuple(f"{task}-{language}" for task in TASKS for language in LANGUAGES)
"""Names of all benchmarks of HumanEvalPack."""

_DISPLAY_NAMES = {
    "cpp": "C++", "go": "Go", "java": "Java", "javascript": "JavaScript", "python": "Python",
    "rust": "Rust",
}  # fmt: skip
_FAILING_BODY = {
    "cpp": "    throw 0;\n}\n",
    "go": '    panic("stub")\n}\n',
    "java": "        throw new RuntimeException();\n    }\n}\n",
    "javascript": "  throw 0;\n}\n",
    "python": "    pass\n",
    "rust": "    panic!()\n}\n",
}
_LIBRARY = "its reference or test needs a library that programs do not have"
_LEFT_OUT = {
    "cpp": (r"#include\s*<openssl/", _LIBRARY),
    "javascript": (r"js-md5", _LIBRARY),
    "rust": (r"\brand::|\bRegex\b|\bmd5\b|\bRtnType\b", _LIBRARY),
}
_UNSTABLE = {"Go/95": "its reference depends on the random order of a map"}
_CRATES = re.compile(r"^(?:pub\s+)?use (?:rand|regex|md5)\b[^\n]*\n?", re.MULTILINE)
_TEST_MODULE = re.compile(r"^#\[cfg\(test\)\]\s*mod \w+ *\{", re.MULTILINE)
_BOOST_ANY = "#include<boost/any.hpp>"
_STANDARD_ANY = "#include<any>\nnamespace boost { using std::any; using std::any_cast; }"
"""Stands in for Boost, which the sandbox's compiler has not; two problems need no more of it."""
_GO_HELPERS = re.compile(
    r"(?:(?!func ).*\n)*func [^\n]*\n(?:(?!\}).*\n)*\}\n(?=[\s\S]*^func )", re.MULTILINE
)
_CPP_SIGNATURE = re.compile(r"^\w[^\n;]*\)\s*\{", re.MULTILINE)
_COPIED_CHARS = 20
"""A copied line longer than this is removed from an explanation, as published."""
_GO_PACKAGES = (
    "bytes", "container/heap", "crypto/md5", "errors", "fmt", "math", "math/bits", "math/rand",
    "os", "regexp", "sort", "strconv", "strings", "testing", "time", "unicode", "unicode/utf8",
)  # fmt: skip
_GO_UNCODED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`', re.DOTALL)
_RUST_USES = {
    "Any": "std::any::Any", "HashMap": "std::collections::HashMap",
    "HashSet": "std::collections::HashSet", "Index": "std::ops::Index",
    "Iter": "std::slice::Iter", "TypeId": "std::any::TypeId", "cmp": "std::cmp",
    "max": "std::cmp::max", "replace": "std::mem::replace",
}  # fmt: skip
"""What the data set's prompts import, and tests rely on."""
_TOKENS = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])'|[{}]", re.DOTALL)
_SCRIPT_TOKENS = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|[{}]",
    re.DOTALL,
)
_JAVA_CLASS = re.compile(r"^[^\n/*\"]*?\bclass\s+(\w+)[^{;]*\{", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HumanEvalPack:
    """One task in one language other than Python, loaded into memory."""

    name: str
    """The name on the command line."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    prompts: Mapping[str, PromptSettings]
    """Texts of each problem's prompt, by its id."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def prompt(self, problem: Problem) -> PromptSettings:
        """Return the texts of a problem's prompt."""
        return self.prompts[problem.id]

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Extract the program from a sample."""
        checks = problem.checks
        assert isinstance(checks, ProgramChecks)
        extract = _extract(problem, checks, sample)
        found = extract.found if extract.code.strip() else ExtractedProgram.NOTHING
        program = (
            ""
            if found is ExtractedProgram.NOTHING or sample.fault
            else complete_program(extract.code, checks, problem.prompt)
        )
        return CandidateProgram.of(sample, program, found, cut=extract.cut)


def humanevalpack(name: str) -> Callable[[DataFolder], Bench]:
    """Return a function that reads a benchmark such as `humanevalfix-rs`."""
    task, _, code = name.rpartition("-")
    configuration = LANGUAGES[code]
    language = "javascript" if configuration == "js" else configuration

    def read(folder: DataFolder) -> Bench:
        found = rows(file_of(configuration), folder)
        items = tuple(_problem(row, language, task) for row in found)
        prompts = {row["task_id"]: _prompt(row, language, task) for row in found}
        if language == "python":
            return FunctionBench(name, items, lambda problem: prompts[problem.id])
        return HumanEvalPack(name, items, prompts)

    return read


def file_of(configuration: str) -> DataFile:
    """Return the data file of a language."""
    return DataFile(
        f"humanevalpack/{configuration}.jsonl.gz",
        f"{HUB}/datasets/bigcode/humanevalpack/resolve/{REVISION}/data/{configuration}/data/"
        "humanevalpack.jsonl",
        DIGESTS[configuration],
        (),
    )


def _problem(row: Row, language: str, task: str) -> Problem:
    prompt = _start(row, language, task).replace(_BOOST_ANY, _STANDARD_ANY)
    checks = _checks(row, language)
    is_repair = task.startswith("humanevalfix")
    wrong = row["buggy_solution"] if is_repair else _FAILING_BODY[language]
    solutions = [prompt + row["canonical_solution"], prompt + wrong]
    if isinstance(checks, ProgramChecks):
        solutions = [complete_program(one, checks, prompt) for one in solutions]
    return Problem(
        id=row["task_id"],
        prompt=prompt,
        checks=checks,
        reference=solutions[0],
        stub=solutions[1],
        groups=(("bug", row["bug_type"]),) if is_repair else (),
        left_out=_left_out(row, language),
        wording="" if _is_described(task) else row["docstring"],
    )


def _is_described(task: str) -> bool:
    """Whether the code that a task shows describes the function."""
    return task in {"humanevalfixdocs", "humanevalsynthesize"}


def _start(row: Row, language: str, task: str) -> str:
    """Return the code that a program starts with; only two tasks describe the function in it."""
    described = _is_described(task)
    text: str = row["prompt"] if described else row["declaration"]
    if language == "rust":
        return _CRATES.sub("", text).replace("fn main(){}", "").lstrip("\n")
    if language == "go":
        # Four declarations lack a function that the prompt defines and that tests call.
        helpers = _GO_HELPERS.match(row["prompt"].removeprefix(row["import"]))
        helper = f"{helpers[0]}\n" if helpers else ""
        plain = f"{row['import']}\n{helper}{text.lstrip()}"
        return text if described else plain.lstrip("\n")
    if language == "cpp" and not described:
        # One row's declaration goes on into the function's body.
        *_, last = _CPP_SIGNATURE.finditer(text)
        return text[: last.end()] + "\n"
    return text if language == "python" else text.lstrip("\n")


def _left_out(row: Row, language: str) -> str:
    pattern, why = _LEFT_OUT.get(language, ("(?!)", ""))
    text = "".join(row[field] for field in ("canonical_solution", "test", "declaration"))
    text = _CRATES.sub("", text) if language == "rust" else text
    return why if re.search(pattern, text) else _UNSTABLE.get(row["task_id"], "")


def _checks(row: Row, language: str) -> AssertChecks | ProgramChecks:
    name, test = _entry_point(row), row["test"]
    if language != "python":
        return ProgramChecks(language, test, name, _SEALED_FORMS[language](test))
    head, _, _ = row["prompt"].rpartition("\ndef ")
    source = re.sub(rf"^check\({name}\)\s*\Z", "", test, flags=re.MULTILINE)
    return AssertChecks(f"{head}\n{source}", (name,), "check")


def _entry_point(row: Row) -> str:
    """Return the function's name; some rows have another spelling of it than their code."""
    name: str = row["entry_point"]
    if re.search(rf"\b{name}\b", row["declaration"]):
        return name
    found = re.search(r"(?:const|let)\s+(\w+)|(\w+)\s*\(", row["signature"])
    return (found[1] or found[2]) if found else name


def _sealed_cpp(test: str) -> str:
    return f"{test.rstrip().removesuffix('}')}    assert(true);\n}}\n"


def _sealed_go(test: str) -> str:
    """Compare by `!=`, since no import can be added; tests of slices and maps are split instead."""
    recorder = (
        "type checksOfTest struct{ t *testing.T }\n\n"
        "func (all checksOfTest) Equal(want, got interface{}, _ ...interface{}) {\n"
        '    if want != got {\n        all.t.Fatal("a check failed")\n    }\n}\n\n'
    )
    return recorder + test.replace("assert.New(t)", "checksOfTest{t}")


def _sealed_java(test: str) -> str:
    inside, _, _ = test.rstrip().removesuffix("}").rpartition("}")
    return f"{inside}    assert (true);\n    }}\n}}\n"


def _sealed_javascript(test: str) -> str:
    recorder = 'const checkOfTest = (holds) => { if (!holds) throw new Error("a check failed"); };'
    checks = test.replace("console.assert(", "checkOfTest(")
    return f"{recorder}\n{checks}\nassert.deepEqual(true, true);\n"


def _sealed_rust(test: str) -> str:
    head = re.search(r"#\[test\][^{]*\{", test)
    inside = test[head.end() :] if head else test
    for _ in range(2):
        inside = inside.rstrip().removesuffix("}")
    checks = re.sub(r"(?<![\w:])assert(_eq|)!", r"::std::assert\1!", inside)
    return f"\nfn main() {{{checks}\n    assert!(true);\n}}\n"


_SEALED_FORMS: dict[str, Callable[[str], str]] = {
    "cpp": _sealed_cpp,
    "go": _sealed_go,
    "java": _sealed_java,
    "javascript": _sealed_javascript,
    "rust": _sealed_rust,
}
"""Language -> a test whose failing checks end the program, with one check that the seal counts."""


def _prompt(row: Row, language: str, task: str) -> PromptSettings:
    start = _start(row, language, task)
    if task == "humanevalexplain":
        return _explanation_prompt(row, language, start)
    if task == "humanevalsynthesize":
        return _program_prompt(row["instruction"].strip(), "", language, start)
    given = _fenced(language, start + row["buggy_solution"])
    plain = start + row["buggy_solution"]
    if task == "humanevalfix":
        given += "\n\nIts tests, which fail:\n\n" + _fenced(language, row["test"])
        plain += "\n" + row["test"]
    name = _DISPLAY_NAMES[language]
    request = f"Fix the bug in `{_entry_point(row)}`."
    instruction = (
        f"This {name} code has a bug.\n\n{given}\n\n{request} Answer with the whole code, "
        "corrected, in one fenced block; no main function and no tests."
    )
    return PromptSettings(instruction, f"{plain}\n{request}\n\n{start}".rstrip(), language, STOPS)


def _program_prompt(request: str, found: str, language: str, start: str) -> PromptSettings:
    """Ask for a program from a request, and from an explanation if there is one."""
    task = f"{request}\n\n{found}".strip()
    instruction = (
        f"{task}\n\nThe code begins like this:\n\n{_fenced(language, start)}\n\nAnswer with all of "
        "it, what is given included, in one fenced block; no main function and no tests."
    )
    return PromptSettings(instruction, f"{task}\n\n{start}".rstrip(), language, STOPS)


def _explanation_prompt(row: Row, language: str, start: str) -> PromptSettings:
    limit, name = len(row["docstring"]), _DISPLAY_NAMES[language]
    code = start + row["canonical_solution"]
    request = f"Explain concisely in plain words what this {name} code does"
    instruction = (
        f"{_fenced(language, code)}\n\n{request}, in at most {limit} characters. "
        "Answer with the explanation alone, without code."
    )

    def then(answer: str) -> PromptSettings:
        found = explanation_in(answer, limit=limit, code=row["canonical_solution"])
        wanted = f"Write {name} code that does what this explanation says:"
        return _program_prompt(wanted, found, language, start)

    plain = f"{code}\n{request}, in at most {limit} characters:"
    return PromptSettings(instruction, plain, language, STOPS, then=then)


def explanation_in(answer: str, *, limit: int, code: str) -> str:
    """Return the explanation in an answer: at most `limit` characters, without lines of `code`."""
    text = split(answer)[1].strip()[:limit].rstrip()
    for line in map(str.strip, code.split("\n")):
        if len(line) > _COPIED_CHARS:
            text = text.replace(line, "")
    return text


def _fenced(language: str, code: str) -> str:
    return f"```{language}\n{code.strip()}\n```"


def _extract(problem: Problem, checks: ProgramChecks, sample: Sample) -> Extraction:
    """Find the code of a sample that is not Python; what continues the prompt includes it."""
    text = sample.text.replace("\r\n", "\n")
    if sample.form is PromptForm.PROGRAM:
        return Extraction(text, ExtractedProgram.WHOLE, ())
    if sample.form is PromptForm.COMPLETION:
        return Extraction(problem.prompt + text, ExtractedProgram.WHOLE, ())
    if sample.form is PromptForm.CONTINUATION:
        whole = _first_block(problem.prompt, text, checks.language)
        is_cut = len(whole) < len(problem.prompt) + len(text.rstrip())
        return Extraction(whole, ExtractedProgram.WHOLE, ("continuation",) if is_cut else ())
    answer, cut = plain_answer(text)
    extract = foreign_program(answer, problem.prompt, checks.language, checks.entry_point)
    code = extract.code
    # A function may lack its last bracket; one that ends at the margin has it.
    if extract.found is ExtractedProgram.BODY or not _LAST_BRACKET.search(code):
        signs = [token[0] for token in _tokens(checks.language).finditer(code)]
        code += "\n}" * (signs.count("{") - signs.count("}"))
    return replace(extract, code=code, cut=cut)


_LAST_BRACKET = re.compile(r"^\}[^\n]*\s*\Z", re.MULTILINE)
"""A last line that closes a bracket at the margin."""


def _first_block(prompt: str, text: str, language: str) -> str:
    """Return a prompt with its continuation up to where the function, or its class, is closed."""
    whole = prompt + text
    if language == "java":
        opened = _JAVA_CLASS.search(prompt)
        if opened and (end := _block_end(whole, opened.end() - 1, language)) is not None:
            return whole[: end + 1]
    at = _open_bracket(prompt, language)
    end = None if at is None else _block_end(whole, at, language)
    if end is None:
        return whole
    return whole[: end + 1] + ("\n}\n" if language == "java" else "\n")


def _open_bracket(code: str, language: str) -> int | None:
    """Return the last bracket that code leaves open."""
    found: list[int] = []
    for token in _tokens(language).finditer(code):
        if token[0] == "{":
            found.append(token.start())
        elif token[0] == "}" and found:
            found.pop()
    return found[-1] if found else None


def _tokens(language: str) -> re.Pattern[str]:
    return _SCRIPT_TOKENS if language == "javascript" else _TOKENS


def _block_end(code: str, start: int, language: str) -> int | None:
    """Return where the bracket at `start` is closed, ignoring strings and comments."""
    depth = 0
    for token in _tokens(language).finditer(code, start):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.start()
    return None


def complete_program(code: str, checks: ProgramChecks, prompt: str) -> str:
    """Change code so that the data set's tests can be appended to it.

    Removes a main function and tests that the code brings, and adds the prompt's imports that are
    missing.
    """
    if len(code) > MAX_CHARS:
        return code
    return _COMPLETED[checks.language](code, checks, prompt)


def _complete_cpp(code: str, _: ProgramChecks, prompt: str) -> str:
    code = without_function(code, MAIN_FUNCTIONS["cpp"])
    code = code.replace(_BOOST_ANY, "" if _STANDARD_ANY in code else _STANDARD_ANY)
    any_of_boost = _STANDARD_ANY + "\n" if _STANDARD_ANY in prompt else ""
    head = missing_head(code, prompt.replace(_STANDARD_ANY, ""))
    return ("" if any_of_boost.strip() in code else any_of_boost) + head + code


def _complete_go(code: str, checks: ProgramChecks, prompt: str) -> str:
    """Keep an import that the answer never used, which is the answer's error."""
    given, body = set(go_imports(prompt)), code
    while (shorter := without_function(body, TEST_FUNCTIONS["go"])) != body:
        body = shorter
    bare, original = (_GO_UNCODED.sub("", GO_IMPORTS.sub("", one)) for one in (body, code))
    body = GO_IMPORTS.sub("", GO_PACKAGE.sub("", body)).strip("\n")
    used = _go_packages(f"{body}\n{checks.tests}")
    own = [
        one
        for one in go_imports(code)
        if one not in given and one != '"testing"' and "testify" not in one
        if _is_used(one, bare) or not _is_used(one, original)
    ]
    named = {path.strip('"').rpartition("/")[2] for path in own}
    more = [f'"{path}"' for path in used if path.rpartition("/")[2] not in named]
    imports = "".join(f"    {one}\n" for one in sorted({*own, *more, '"testing"'}))
    return f"package main\n\nimport (\n{imports})\n\n{body}\n"


def _is_used(spec: str, code: str) -> bool:
    """Whether code uses the package of an import, under its name or another."""
    found = re.match(r'(?:([\w.]+)\s+)?"(?:[^"]*/)?([^"/]+)"', spec)
    return found is None or bool(re.search(rf"\b{found[1] or found[2]}\.", code))


def _go_packages(code: str) -> list[str]:
    """Return the known packages whose names code uses."""
    bare = _GO_UNCODED.sub("", code)
    return [
        path
        for path in _GO_PACKAGES
        if re.search(rf"(?<![\w.]){path.rpartition('/')[2]}\.[A-Z]", bare)
    ]


def _complete_java(code: str, checks: ProgramChecks, prompt: str) -> str:
    code = re.sub(r"^package\s[^\n]*\n", "", code, flags=re.MULTILINE)
    code = without_function(code, MAIN_FUNCTIONS["java"])
    code = _without_empty_main(code)
    names = [found[1] for found in _JAVA_CLASS.finditer(code)]
    if not names:
        lines = code.split("\n")
        head = [line for line in lines if line.lstrip().startswith("import ")]
        rest = [line for line in lines if not line.lstrip().startswith("import ")]
        code = "\n".join([*head, "class Solution {", *rest, "}"])
    elif "Solution" not in names:
        holder = _holder(code, checks.entry_point) or names[0]
        code = re.sub(rf"\b{holder}\b", "Solution", code)
    code = re.sub(r"\bpublic\s+((?:final\s+)?class\s)", r"\1", code)
    return missing_head(code, prompt) + code


def _without_empty_main(code: str) -> str:
    """Remove a class `Main` without members, which the tests define."""
    found = re.search(r"^(?:public\s+)?class\s+Main\s*\{\s*\}\n?", code, re.MULTILINE)
    return code[: found.start()] + code[found.end() :] if found else code


def _holder(code: str, method: str) -> str | None:
    """Return the class that contains a method."""
    for found in _JAVA_CLASS.finditer(code):
        end = _block_end(code, found.end() - 1, "java") or len(code)
        if re.search(rf"\b{re.escape(method)}\s*\(", code[found.end() : end]):
            return found[1]
    return None


def _complete_javascript(code: str, checks: ProgramChecks, _: str) -> str:
    return without_usage(code, checks.entry_point)


def _complete_rust(code: str, checks: ProgramChecks, _: str) -> str:
    code = without_function(_CRATES.sub("", code), MAIN_FUNCTIONS["rust"])
    code = without_function(code, _TEST_MODULE.pattern)
    imported = " ".join(re.findall(r"^[ \t]*(?:pub\s+)?use\s[^;]*;", code, re.MULTILINE))
    used = f"{code}\n{checks.tests}"
    missing = [
        f"use {path};\n"
        for name, path in _RUST_USES.items()
        if not re.search(rf"\b{name}\b(?!::)|\b{name}::\{{[^}}]*\bself\b", imported)
        and not re.search(rf"\b(?:struct|enum|fn|trait|type|mod)\s+{name}\b", code)
        and re.search(rf"(?<![\w.:]){name}(?:\s*[<(]|::|\s*[,>)])", used)
    ]
    return "".join(missing) + code


_COMPLETED: dict[str, Callable[[str, ProgramChecks, str], str]] = {
    "cpp": _complete_cpp,
    "go": _complete_go,
    "java": _complete_java,
    "javascript": _complete_javascript,
    "rust": _complete_rust,
}
