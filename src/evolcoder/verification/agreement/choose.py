"""Chooses among several answers to a task: the largest cluster of equal behaviour, by tests passed.

Every answer is run in the sandbox on the same inputs (`inputs`), and answers that behave alike on
all of them form a cluster: equal results, with tolerance for floats; equal exceptions by type;
equal changes to the arguments. That an answer does not end, or prints too much, is behaviour too.
An answer that behaves differently from run to run belongs to no cluster.

A cluster's score is the number of its answers times the number of sound tests that they pass, as in
CodeT (arXiv 2207.10397); without tests it is the number of its answers, as in execution-based
minimum Bayes risk decoding (MBR-EXEC, arXiv 2204.11454). A test is sound if at least two answers
pass it. Ties go to the larger cluster, then to that of the earliest answer, and the earliest answer
of a cluster is chosen; so the choice does not depend on the order of completion.

An input counts if at least half of the answers accept it, or refuse it with a `raise` of their own,
since nobody else says what is valid. Two answers that agree on no input with a result show nothing.
Programs in other languages are compared by what they print as a whole. Where nothing can be
compared, or fewer answers than wanted agree, the choice is `unverified` and `why` says so, and the
first usable answer is taken. A failure of the sandbox is such a reason, and never a verdict on an
answer.

Agreement is no proof: answers of one model may share a mistake.

>>> choice = await AnswerChooser(sandbox, config, languages, writer)(task, answers)
... # doctest: +SKIP
>>> choice.kind, choice.chosen.number   # doctest: +SKIP
('agreed', 2)
"""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from evolcoder.code.blocks import find_program
from evolcoder.code.callables import (
    PROGRAM,
    CallableKind,
    CallableSubject,
    find_compatible,
    subject_of,
)
from evolcoder.config.load import Config
from evolcoder.engine.base import Role
from evolcoder.errors import EngineError, SandboxError, UnjudgedError
from evolcoder.grading.answers import decode_answer
from evolcoder.grading.calls import run_calls
from evolcoder.ids import seed_for
from evolcoder.records import JSON, Answer, Task
from evolcoder.safe_repr import safe_repr
from evolcoder.sample_errors import judging
from evolcoder.sandbox.base import Limits, Program, Sandbox, Status
from evolcoder.text import clean, named_languages, one_line
from evolcoder.verification.agreement.inputs import Origin, Probe, probes
from evolcoder.verification.execution.wrapping import wrap_variants
from evolcoder.verification.generated_tests.check import (
    messages_for_tests,
    with_token_limit,
)
from evolcoder.verification.generated_tests.runner import missing_modules
from evolcoder.verification.generated_tests.test_parser import parse_checks

AGREED, UNVERIFIED = "agreed", "unverified"
"""Findings. Values are stored; never rename one."""
WHY: Mapping[str, str] = {
    "one_answer": "fewer than two answers are usable",
    "no_callable": "the answers share no function, class or program that can be run",
    "library": "the answers need a library that the sandbox lacks",
    "language": "functions in this language cannot be called here",
    "no_inputs": "no input is known on which most answers return or print anything",
    "differ": "too few answers behave alike",
    "fail_tests": "the answers that agree pass none of the tests that others pass",
    "sandbox": "the sandbox failed",
    "unjudged": "the comparison failed",
}
"""Why answers are unverified. Keys are stored; never rename one."""
CALL_S = 1.0
"""CPU seconds of one input, both runs together."""
MAX_STUCK = 2
"""Inputs that may end a candidate's process before it counts as stuck on all further ones."""
MAX_INTERFACES = 3
"""Most interfaces that the answers are tried with."""
MAX_LINE = 1 << 15
"""Longest observation that is decoded here."""
MAX_STORED_CHARS = 8000
"""Longest losing answer stored with the finding."""
MAX_LOSERS = 3
"""Most losing clusters of which an answer is stored with the finding."""
MAX_CONSECUTIVE_SANDBOX_FAILURES = 5
_NOTHING: tuple[Any, ...] = (None, "", [])
"""Values of calls that return nothing, of programs that print nothing, and of scripts."""
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
_NOT_APPLICABLE = frozenset({"NameError", "AttributeError", "TypeError", "UnboundLocalError"})
"""Exceptions of another answer's example usage that show another interface, not a mistake."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one answer did on one input."""

    kind: str
    """`value`, `failed`, `refuse`, `raise`, `output`, `timeout`, `memory`, `died` or `forged`."""
    value: Any = None
    """What it returned, printed or compared; the exception."""
    changed: Any = None
    """The arguments, if it changed one."""
    printed: str = ""
    """What it printed."""
    is_stable: bool = True
    """Whether it did the same a second time."""

    @property
    def is_decided(self) -> bool:
        """Whether it accepted the input, or refused it with an exception of its own."""
        return self.is_result or self.kind == "refuse"

    @property
    def is_result(self) -> bool:
        """Whether it accepted the input."""
        return self.kind in {"value", "failed"}

    @property
    def shows_something(self) -> bool:
        """Whether it accepted the input and did anything that can be seen."""
        is_silent = self.changed is None and not self.printed.strip()
        return self.is_result and not (self.value in _NOTHING and is_silent)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer with what it did."""

    answer: Answer
    """The answer."""
    body: str
    """Its program, for a repair."""
    observed: tuple[Observation, ...]
    """One per input."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidates' behaviour on the inputs that count."""

    probes: tuple[Probe, ...]
    """All inputs."""
    candidates: tuple[Candidate, ...]
    """The candidates."""
    name: str
    """What the inputs call; empty for whole programs of other languages."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer that agreement chose, with its finding."""

    kind: str
    """AGREED or UNVERIFIED."""
    chosen: Answer
    """The chosen answer, or the first usable one."""
    answers: tuple[Answer, ...]
    """All answers, with cluster, tests passed and whether chosen."""
    score: float | None
    """Share of the answers asked for that agree; None if unverified."""
    detail: Mapping[str, JSON]
    """Evidence: numbers, clusters, losing answers."""


class AnswerChooser:
    """Chooses among the answers of each task."""

    def __init__(
        self, sandbox: Sandbox, config: Config, languages: Sequence[str], writer: Role | None
    ) -> None:
        """Bind what is used; `writer` writes tests, if there is one."""
        self._sandbox = sandbox
        self._config = config
        self._languages = frozenset(languages)
        self._writer = writer
        self._consecutive_failures = 0

    async def __call__(self, task: Task, answers: Sequence[Answer]) -> Choice:
        """Choose among answers, at least one of which is usable.

        Raises EngineError or BudgetReached where tests cannot be asked for now, and SandboxError
        when the sandbox fails again and again.
        """
        usable = [answer for answer in answers if not answer.defect]
        try:
            with judging():
                found: Comparison | str = await self._compare(task, usable)
                choice = choose(answers, found, self._config.respond.agreeing)
            self._consecutive_failures = 0
            return choice
        except SandboxError as error:
            self._consecutive_failures += 1
            if self._consecutive_failures >= MAX_CONSECUTIVE_SANDBOX_FAILURES:
                raise
            return unverified(answers, "sandbox", {"said": one_line(str(error), 200)})
        except UnjudgedError as error:
            return unverified(answers, "unjudged", {"said": str(error)})

    async def _compare(self, task: Task, usable: Sequence[Answer]) -> Comparison | str:
        """Run the answers on shared inputs; a text is the reason why they cannot be compared."""
        if len(usable) < 2:
            return "one_answer"
        language = _language_of(task, usable)
        if language not in {None, "python"}:
            return await self._compare_programs(language or "", usable)
        subjects = shared_interface([one.text for one in usable], task.instruction)
        known = [(a, s) for a, s in zip(usable, subjects, strict=True) if s is not None]
        if len(known) < 2:
            return "no_callable"
        first = known[0][1]
        everywhere = "\n".join(subject.body for _, subject in known)
        lacking = await missing_modules(self._sandbox, everywhere, self._limits)
        runnable = known
        if lacking:
            runnable = [
                (answer, subject)
                for answer, subject in known
                if not await missing_modules(self._sandbox, subject.body, self._limits)
            ]
        if len(runnable) < 2:
            return "library"
        tests = await self._tests(task, first)
        shared = self._probes(task, first, runnable, tests)
        distinct = {subject.source: subject for _, subject in runnable}
        runs = [self._observe(subject, shared) for subject in distinct.values()]
        observed = dict(zip(distinct, await asyncio.gather(*runs), strict=True))
        found = [
            Candidate(answer, subject.body, observed[subject.source])
            for answer, subject in runnable
        ]
        name = "" if first.form in {CallableKind.PROGRAM, CallableKind.PRINTER} else first.name
        return Comparison(tuple(shared), tuple(found), first.entry_point if name else "")

    def _probes(
        self,
        task: Task,
        subject: CallableSubject,
        known: Sequence[tuple[Answer, CallableSubject]],
        tests: Sequence[str],
    ) -> list[Probe]:
        if subject.n_params == 0 and subject.form is CallableKind.PROGRAM:
            return probes_of_constant()
        texts = [(answer.text, one.name) for answer, one in known]
        seed = f"{self._config.seed} {task.id}"
        return probes(task.instruction, subject, texts, tests, seed=seed)

    async def _tests(self, task: Task, subject: CallableSubject) -> tuple[str, ...]:
        """Ask for tests with the requests that the check `tests` makes for this interface."""
        is_constant = subject.form is CallableKind.PROGRAM and not subject.n_params
        if self._writer is None or is_constant:
            return ()
        writer, messages = (
            with_token_limit(self._writer),
            messages_for_tests(task.instruction, subject),
        )

        async def ask(number: int) -> str:
            seed = seed_for(self._config.seed, "verify", "tests", task.id, number)
            try:
                answer = await writer.ask(messages, seed=seed)
            except EngineError as error:
                if error.retryable:
                    raise
                return ""
            return "" if answer.broke_off else clean(answer.text)

        numbers = range(self._config.verify.check_sets)
        texts = await asyncio.gather(*map(ask, numbers), return_exceptions=True)
        for text in texts:
            if isinstance(text, BaseException):
                raise text
        sets = [parse_checks(str(text), subject.entry_point) for text in texts]
        return tuple(dict.fromkeys(test for one in sets for test in one))

    async def _observe(
        self, subject: CallableSubject, shared: Sequence[Probe]
    ) -> tuple[Observation, ...]:
        """Run a candidate on all inputs; one that ends its process is tried on the rest again."""
        source = _observer(subject)
        found: list[Observation] = []
        for _ in range(MAX_STUCK):
            todo = [[probe.plain] for probe in shared[len(found) :]]
            if not todo:
                return tuple(found)
            lines, execution = await run_calls(
                self._sandbox, source, "observe_candidate", todo, self._limits
            )
            found += [_observation(line) for line in lines[: len(todo)]]
            if len(found) < len(shared):
                found.append(Observation(_ENDED.get(execution.status, "died")))
        rest = [found[-1]] * (len(shared) - len(found))
        return (*found, *rest)

    async def _compare_programs(self, language: str, usable: Sequence[Answer]) -> Comparison | str:
        """Compare what whole programs in another language print."""
        if language not in self._languages:
            return "language"
        sources = [
            (answer, program.sources[0])
            for answer in usable
            if (program := find_program(answer.text, [language])).language == language
            and program.sources
        ]
        if len(sources) < 2:
            return "no_callable"
        runs = [self._printed(language, source) for _, source in sources]
        printed = await asyncio.gather(*runs)
        found = [
            Candidate(answer, source, (seen,))
            for (answer, source), seen in zip(sources, printed, strict=True)
        ]
        if not any(one.observed[0].shows_something for one in found):
            return "language"
        return Comparison(tuple(probes_of_constant()), tuple(found), "")

    async def _printed(self, language: str, source: str) -> Observation:
        """Run the first form of a program that compiles."""
        seen = Observation("died")
        for form in wrap_variants(language, source):
            run = await self._sandbox.run(Program(language, form.source), self._limits)
            if run.status is Status.COMPILE_ERROR:
                continue
            if run.status is not Status.FINISHED:
                return Observation(_ENDED.get(run.status, "died"))
            text = clean(run.stdout.decode("utf-8", "replace"))
            kind = "value" if run.exit_code == 0 else "raise"
            return Observation(kind, None if kind == "value" else "exit", printed=text)
        return seen

    @property
    def _limits(self) -> Limits:
        verify = self._config.verify
        return Limits(
            2 * verify.cpu_s, 2 * verify.wall_s, verify.memory_mb, output_kb=64, answers_mb=4,
            file_mb=8, call_s=(CALL_S,),
        )  # fmt: skip


_ENDED = {Status.TIMEOUT: "timeout", Status.MEMORY: "memory", Status.OUTPUT: "output"}


def probes_of_constant() -> list[Probe]:
    """Return the only input of a program that reads none."""
    return [Probe(Origin.TASK, ("",))]


@cache
def _observer_source() -> str:
    folder = resources.files("evolcoder.verification.agreement")
    return folder.joinpath("observer.py").read_text(encoding="utf-8")


def _observer(subject: CallableSubject) -> str:
    """Return the observer with a candidate's program, compiled once."""
    return (
        f"{_observer_source()}\n_SOURCE = {subject.source!r}\n"
        "_CODE = compile(_SOURCE, 'program.py', 'exec')\ndef observe_candidate(probe):\n"
        f"    return observe(_SOURCE, _CODE, {subject.entry_point!r}, probe)\n"
    )


def _observation(line: bytes) -> Observation:
    """Decode an observation; what the observer did not write is `forged`."""
    found = decode_answer(line) if len(line) <= MAX_LINE else None
    match found:
        case ("value", [str(kind), value, changed, str(printed), bool(is_stable)]):
            return Observation(kind, value, changed, printed, is_stable)
        case ("raise", str(message)):
            return Observation("raise", message.partition(":")[0])
    return Observation("forged", is_stable=False)


def _language_of(task: Task, answers: Sequence[Answer]) -> str | None:
    """Return the language of most answers, as their fences or the task say."""
    named = [*([task.language] if task.language else []), *named_languages(task.instruction)]
    found = Counter(find_program(answer.text, named).language for answer in answers)
    return max(found, key=lambda one: (found[one], one == "python"))


def shared_interface(texts: Sequence[str], instruction: str) -> list[CallableSubject | None]:
    """Find in each answer what can be called in the same way as in most others.

    Functions that return come first, then those that change their arguments, programs that read
    input, and programs that only print.
    """
    distinct = list(dict.fromkeys(texts))
    best: dict[str, CallableSubject | None] = {}
    for in_place in (False, True):
        own = {text: subject_of(text, instruction, in_place=in_place) for text in distinct}
        common = Counter(one and (one.form, one.entry_point) for one in map(own.get, texts))
        wanted = {(one.form, one.entry_point): one for one in own.values() if one is not None}
        for key in sorted(wanted, key=lambda key: -common[key])[:MAX_INTERFACES]:
            found = {
                text: subject
                if subject and (subject.form, subject.entry_point) == key
                else find_compatible(text, wanted[key], in_place=in_place)
                for text, subject in own.items()
            }
            if _n(found, texts) > _n(best, texts):
                best = found
        if _n(best, texts) >= 2:
            return [best[text] for text in texts]
    return [_constant(text) for text in texts]


def _n(found: Mapping[str, CallableSubject | None], texts: Sequence[str]) -> int:
    return sum(found.get(text) is not None for text in texts)


def _constant(text: str) -> CallableSubject | None:
    """Return a program without input as a subject that takes none."""
    program = find_program(text, ["python"])
    if program.language != "python" or not program.sources:
        return None
    signature = f"def {PROGRAM}()"
    return CallableSubject(program.sources[0], PROGRAM, PROGRAM, signature, CallableKind.PROGRAM, 0)


def is_same(first: Observation, second: Observation) -> bool:
    """Whether two answers did the same on an input."""
    if first.is_result and second.is_result:
        if first.value in _NOTHING and first.value == second.value:
            both = first.kind == second.kind and same_text(first.printed, second.printed)
            return both and same_value(first.changed, second.changed)
        return same_value(first.value, second.value) and same_value(first.changed, second.changed)
    kinds = {first.kind, second.kind}
    return first.value == second.value and (len(kinds) == 1 or kinds == {"raise", "refuse"})


def same_value(first: Any, second: Any) -> bool:  # noqa: ANN401 - plain data
    """Whether two results are equal as Python compares them, with tolerance for floats."""
    if isinstance(first, float | complex) or isinstance(second, float | complex):
        return _close(first, second)
    if isinstance(first, list | tuple):
        return (
            type(first) is type(second)
            and len(first) == len(second)
            and all(map(same_value, first, second))
        )
    if isinstance(first, set) and isinstance(second, set):
        if first == second or len(first) != len(second):
            return first == second
        return all(map(same_value, sorted(first, key=repr), sorted(second, key=repr)))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            same_value(value, second[key]) for key, value in first.items()
        )
    return bool(first == second)


def _close(first: Any, second: Any) -> bool:  # noqa: ANN401 - plain data
    numbers = (int, float, complex)
    if not isinstance(first, numbers) or not isinstance(second, numbers):
        return False
    try:
        if isinstance(first, complex) or isinstance(second, complex):
            return abs(first - second) <= _ABSOLUTE + _RELATIVE * abs(second)
        both_nan = math.isnan(first) and math.isnan(second)
        return both_nan or math.isclose(first, second, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    except OverflowError:
        return False


_BLANKS = re.compile(r"\s+")


def same_text(first: str, second: str) -> bool:
    """Whether two outputs are equal, with tolerance for blanks and for floats."""
    if first == second:
        return True
    parts = _BLANKS.split(first.strip()), _BLANKS.split(second.strip())
    return len(parts[0]) == len(parts[1]) and all(map(_same_word, *parts))


def _same_word(first: str, second: str) -> bool:
    if first == second:
        return True
    try:
        return "." in first + second and _close(float(first), float(second))
    except ValueError:
        return False


def counted(comparison: Comparison) -> list[int]:
    """Return the indices of the inputs that count: half of the answers accept or refuse them."""
    found = []
    for number in range(len(comparison.probes)):
        column = [one.observed[number] for one in comparison.candidates]
        if 2 * sum(one.is_decided for one in column) >= len(column):
            found.append(number)
    return found


def clusters_of(comparison: Comparison, numbers: Sequence[int]) -> list[list[int]]:
    """Group the candidates that behave alike, by their indices, each with its earliest first."""
    found: list[list[int]] = []
    for place, candidate in enumerate(comparison.candidates):
        if not all(candidate.observed[number].is_stable for number in numbers):
            continue
        for members in found:
            if _agree(comparison, members[0], place, numbers):
                members.append(place)
                break
        else:
            found.append([place])
    return found


def _agree(comparison: Comparison, first: int, second: int, numbers: Sequence[int]) -> bool:
    """Whether two candidates behave alike wherever both can be asked."""
    a, b = (comparison.candidates[place].observed for place in (first, second))
    is_asked = [number for number in numbers if _applies(comparison, number, a, b)]
    return bool(is_asked) and all(is_same(a[number], b[number]) for number in is_asked)


def _applies(
    comparison: Comparison,
    number: int,
    first: Sequence[Observation],
    second: Sequence[Observation],
) -> bool:
    probe = comparison.probes[number]
    if not probe.script or probe.test:
        return True
    seen = (first[number], second[number])
    return not any(one.kind == "raise" and one.value in _NOT_APPLICABLE for one in seen)


def sound_tests(comparison: Comparison) -> list[int]:
    """Return the indices of the tests that at least two answers pass, in both of their runs."""
    return [
        number
        for number, probe in enumerate(comparison.probes)
        if probe.test and sum(_passes(one.observed[number]) for one in comparison.candidates) >= 2
    ]


def _passes(seen: Observation) -> bool:
    return seen.kind == "value" and seen.is_stable


def choose(answers: Sequence[Answer], found: Comparison | str, agreeing: int) -> Choice:
    """Choose an answer of the cluster with the highest score; see the module."""
    if isinstance(found, str):
        return unverified(answers, found)
    numbers = counted(found)
    clusters, tests = clusters_of(found, numbers), sound_tests(found)
    passed = [sum(_passes(one.observed[number]) for number in tests) for one in found.candidates]
    labelled = _labelled(answers, found, clusters, passed)
    informative = [
        number
        for number in numbers
        if sum(one.observed[number].shows_something for one in found.candidates) >= 2
    ]
    facts: dict[str, JSON] = {
        "inputs": len(informative),
        "tests": len(tests),
        "clusters": [
            {
                "answers": [found.candidates[place].answer.number for place in members],
                "tests_passed": passed[members[0]],
            }
            for members in clusters
        ],
        "unstable": len(found.candidates) - sum(map(len, clusters)),
    }
    if not informative:
        return unverified(labelled, "no_inputs", facts)
    ranked = sorted(
        (members for members in clusters if _shows(found, members, informative)),
        key=lambda members: (-_score(members, passed, tests), -len(members), members[0]),
    )
    large = [members for members in ranked if len(members) >= agreeing]
    if not large:
        return unverified(labelled, "differ", facts)
    best = large[0]
    if tests and not passed[best[0]]:
        return unverified(labelled, "fail_tests", facts)
    detail = {**facts, **_losers(found, clusters, best, tests, numbers)}
    return _agreed(labelled, found, best, passed[best[0]], detail)


def _score(members: Sequence[int], passed: Sequence[int], tests: Sequence[int]) -> int:
    return len(members) * (passed[members[0]] if tests else 1)


def _shows(comparison: Comparison, members: Sequence[int], numbers: Sequence[int]) -> bool:
    observed = comparison.candidates[members[0]].observed
    return any(observed[number].shows_something for number in numbers)


def _labelled(
    answers: Sequence[Answer],
    found: Comparison,
    clusters: Sequence[Sequence[int]],
    passed: Sequence[int],
) -> list[Answer]:
    """Return the answers with their clusters and the tests that they pass."""
    cluster = {place: number for number, members in enumerate(clusters) for place in members}
    known = {
        one.answer.number: (cluster.get(place), passed[place])
        for place, one in enumerate(found.candidates)
    }
    return [
        replace(answer, cluster=of[0], tests_passed=of[1])
        if (of := known.get(answer.number))
        else replace(answer, cluster=None, tests_passed=None)
        for answer in answers
    ]


def _agreed(
    answers: Sequence[Answer],
    found: Comparison,
    best: Sequence[int],
    n_passed: int,
    detail: Mapping[str, JSON],
) -> Choice:
    number = found.candidates[best[0]].answer.number
    marked = _marked(answers, number)
    chosen = next(one for one in marked if one.is_chosen)
    facts = {"agreeing": len(best), "tests_passed": n_passed, **_asked(answers), **detail}
    return Choice(AGREED, chosen, marked, round(len(best) / len(answers), 4), facts)


def unverified(
    answers: Sequence[Answer], why: str, facts: Mapping[str, JSON] | None = None
) -> Choice:
    """Take the first usable answer, with the reason why no agreement was seen."""
    first = next(answer for answer in answers if not answer.defect)
    detail = {"why": why, "said": WHY[why], **_asked(answers), **(facts or {})}
    marked = _marked(answers, first.number)
    chosen = next(one for one in marked if one.is_chosen)
    return Choice(UNVERIFIED, chosen, marked, None, detail)


def _marked(answers: Sequence[Answer], number: int) -> tuple[Answer, ...]:
    return tuple(replace(one, is_chosen=one.number == number) for one in answers)


def _asked(answers: Sequence[Answer]) -> dict[str, JSON]:
    n_usable = sum(not answer.defect for answer in answers)
    n_refused = sum(answer.defect in {"rejected", "failed"} for answer in answers)
    return {"asked": len(answers), "usable": n_usable, "refused": n_refused}


def _losers(
    found: Comparison,
    clusters: Sequence[Sequence[int]],
    best: Sequence[int],
    tests: Sequence[int],
    numbers: Sequence[int],
) -> dict[str, JSON]:
    """Return an answer of each of the largest losing clusters, and one with a check that it fails.

    They are what preference pairs and repairs are made of.
    """
    others = sorted((one for one in clusters if one is not best), key=lambda one: (-len(one), one))
    winner = found.candidates[best[0]]
    losers: list[JSON] = []
    fault: dict[str, JSON] = {}
    for members in others:
        loser = found.candidates[members[0]]
        evidence = _evidence(found, winner, loser, tests, numbers)
        if evidence is None or len(loser.answer.text) > MAX_STORED_CHARS:
            continue
        check, said = evidence
        losers.append({"answer": loser.answer.number, "said": said, "text": loser.answer.text})
        if check and not fault and len(loser.body) + len(winner.body) <= MAX_STORED_CHARS:
            fault = {
                "mutation": "answer",
                "broken": loser.body,
                "failing": check,
                "mended": winner.body,
            }
        if len(losers) == MAX_LOSERS:
            break
    return {**({"worse": losers} if losers else {}), **({"fault": fault} if fault else {})}


def _evidence(
    found: Comparison,
    winner: Candidate,
    loser: Candidate,
    tests: Sequence[int],
    numbers: Sequence[int],
) -> tuple[str, str] | None:
    """Return a check that the winner passes and the loser fails, if it can be written, and words.

    None if the loser was not seen to do anything else.
    """
    for number in tests:
        test = found.probes[number].test
        if _passes(winner.observed[number]) and not _passes(loser.observed[number]):
            return (test if found.name else ""), f"fails {one_line(test, 200)}"
    for number in numbers:
        mine, theirs, probe = winner.observed[number], loser.observed[number], found.probes[number]
        if is_same(mine, theirs) or not _applies(found, number, winner.observed, loser.observed):
            continue
        shown = ", ".join(safe_repr(one, 200) for one in probe.arguments)
        said = f"on ({shown}): {_shown(theirs)} instead of {_shown(mine)}"
        return _check_of(found.name, probe, mine), one_line(said, 400)
    return None


def _shown(seen: Observation) -> str:
    if not seen.is_result:
        return f"{seen.kind} {seen.value or ''}".strip()
    if seen.changed is not None:
        changed = safe_repr(seen.changed, 90)
        return f"{safe_repr(seen.value, 60)}, with its arguments changed to {changed}"
    value = seen.printed if seen.value in _NOTHING and seen.printed else seen.value
    match value:
        case (str(kind), list(items)) if kind in {"iterator", "view", "deque", "range"}:
            return f"{kind} of {safe_repr(items, 100)}"
    return safe_repr(value, 120)


_LITERAL_CHARS = 300


def _check_of(name: str, probe: Probe, mine: Observation) -> str:
    """Write what the winner returned as a test; empty if it is no short literal."""
    value = mine.value
    if not name or probe.script or mine.kind != "value" or mine.changed is not None:
        return ""
    is_literal = value is None or isinstance(value, bool | int | str | list | set | dict)
    if not is_literal or isinstance(value, float) or "'digest'" in repr(value)[:20]:
        return ""
    test = f"assert {name}({', '.join(map(repr, probe.arguments))}) == {value!r}"
    return test if len(test) <= _LITERAL_CHARS else ""
