"""Whether an answer is right, as far as tests tell that a model wrote and that were tested too.

The writer gets the task and a signature, never an answer, and writes several sets of checks; the
responder answers the task several times more. All run against all; answers and checks are chosen
by each other (`agreement`). What is left of each set is then tested on the answers that agree: it
must pass again and under other hash seeds, refuse stubs, and refuse at least one mutant
(`strength`). Sets that hold are put together, and the row's own answer is judged by them.

Promises: all requests of a row go out together; same seed, same completions, same verdict, at any
concurrency. A check counts by itself, so that a wrong one does not sink its set. A failure of the
sandbox or of a server is raised, never a verdict.
Does not promise that what passes is right: a model that makes one mistake in answers and in tests
agrees with itself. What cannot be called (programs that read nothing, other languages) has no
tests here.

>>> check = WrittenTests(responder, responder, sandbox, config.seed, config.verify)
... # doctest: +SKIP
>>> (await check(task, response, {})).kind   # doctest: +SKIP
'passed'
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.config import VerifyConfig
from evolcoder.engine.base import Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import JSON, Check, Response, RowVerdict, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import clean
from evolcoder.verify import ask
from evolcoder.verify.agreement import Group, Outcomes, best, groups
from evolcoder.verify.checks import checks_in
from evolcoder.verify.mutate import Mutant, mutants
from evolcoder.verify.strength import Flaw, Judgement, judge
from evolcoder.verify.stubs import stubs_for
from evolcoder.verify.subject import Form, Subject, fitting, subject_of
from evolcoder.verify.trial import Stable, failing, hurried, outcomes, stable

OTHER_CHARS = 8000
"""Longest answer that a verdict keeps, to set beside the row's own."""
SHOWN_GROUPS = 4
"""Groups that a verdict tells of."""


class Finding(StrEnum):
    """What tests found of a row. Values are stored; never rename one."""

    PASSED = "passed"
    FAILED = "failed"
    """It fails checks that other answers agree on."""
    DISPUTED = "disputed"
    """No two answers agree more than any others do."""
    UNSOUND = "unsound"
    """No set of checks stood its own test."""
    NO_TESTS = "no_tests"
    """There is nothing to call, or no check was written."""


@dataclass(frozen=True, slots=True)
class WrittenTests:
    """The check, with all that it needs bound into it."""

    writer: Role
    """Writes the tests."""
    responder: Role
    """Writes further answers."""
    sandbox: Sandbox
    """Runs both."""
    seed: int
    """Root of all randomness."""
    config: VerifyConfig
    """How many answers, sets and mutants, and what a program may use."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        return Check.TESTS

    async def __call__(
        self,
        task: Task,
        response: Response,
        before: Mapping[Check, RowVerdict],  # noqa: ARG002 - as every check is called
    ) -> RowVerdict:
        """Have tests written for a row, test them, and judge the row's answer by them."""
        subject = subject_of(response.text, task.instruction)
        if subject is None:
            return _verdict(response, Finding.NO_TESTS, "nothing in Python that could be called")
        material, told = await self._material(task, subject)
        if not material.checks:
            return _verdict(response, Finding.NO_TESTS, "no check could be read", told)
        table = await self._table(material)
        told |= _told_of(table, material)
        group = best(table)
        if group is None:
            why = "no two answers agree more than others do"
            return _verdict(response, Finding.DISPUTED, why, told)
        tested = await self._tested(task, material, group)
        return _judged(response, material, table, tested, told)

    async def _material(self, task: Task, subject: Subject) -> tuple["_Material", dict[str, JSON]]:
        """Ask for everything at once, and read what can be used."""
        n_answers, n_sets = self.config.candidates, self.config.check_sets
        for_answer = ask.for_answer(task.instruction, subject)
        for_tests = ask.for_tests(task.instruction, subject)
        said = await asyncio.gather(
            *(self._said(self.responder, for_answer, task, "answer", n) for n in range(n_answers)),
            *(self._said(self.writer, for_tests, task, "tests", n) for n in range(n_sets)),
        )
        texts = [clean(one.text) if one else "" for one in said]
        others = [fitting(text, subject) for text in texts[:n_answers]]
        sets = [checks_in(text, subject.entry_point) for text in texts[n_answers:]]
        told: dict[str, JSON] = {
            "entry_point": subject.entry_point,
            "requests": len(said),
            "refused": said.count(None),
            "prompt_tokens": sum(one.prompt_tokens for one in said if one),
            "completion_tokens": sum(one.completion_tokens for one in said if one),
        }
        usable = [(one, text) for one, text in zip(others, texts, strict=False) if one]
        return _Material.of(subject, usable, sets), told

    async def _said(
        self, role: Role, messages: tuple[Message, ...], task: Task, what: str, number: int
    ) -> Completion | None:
        """Ask once; a request that the server will never answer counts as nothing said."""
        seed = seed_for(self.seed, "verify", what, task.id, number)
        try:
            return await role.ask(messages, seed=seed)
        except EngineError as error:
            if error.retryable:
                raise
            return None

    async def _table(self, material: "_Material") -> list[Outcomes]:
        """Run every check against every answer, equal programs once."""
        entry, limits = material.answers[0].entry_point, hurried(self._limits)
        distinct = list(dict.fromkeys(answer.source for answer in material.answers))
        runs = [outcomes(self.sandbox, one, entry, material.checks, limits) for one in distinct]
        found = dict(zip(distinct, await asyncio.gather(*runs), strict=True))
        return [found[answer.source] for answer in material.answers]

    async def _tested(self, task: Task, material: "_Material", group: Group) -> "_Tested":
        """Test the checks that a group agrees on, on the first of its answers."""
        answer = material.answers[group.answers[0]]
        agreed = [material.checks[number] for number in group.checks]
        always = await stable(self.sandbox, answer.source, answer.entry_point, agreed, self._limits)
        chosen = [n for n, holds in zip(group.checks, always.outcomes, strict=True) if holds]
        checks = [material.checks[number] for number in chosen]
        rng = rng_for(self.seed, "mutants", task.id)
        called = None if answer.form is Form.PROGRAM else answer.name
        broken = mutants(answer.body, rng, limit=self.config.mutants, entry_point=called)
        stubs = stubs_for(answer, checks)
        bad = [*stubs, *(answer.around(mutant.source) for mutant in broken)]
        runs = [failing(self.sandbox, one, answer.entry_point, checks, self._limits) for one in bad]
        found = await asyncio.gather(*runs) if checks else []
        return _Tested(
            group, always, tuple(chosen), found[: len(stubs)], found[len(stubs) :], broken
        )

    @property
    def _limits(self) -> Limits:
        config = self.config
        return Limits(config.cpu_s, config.wall_s, config.memory_mb, output_kb=64, file_mb=16)


@dataclass(frozen=True, slots=True)
class _Material:
    """What models wrote, as far as it can be used."""

    answers: tuple[Subject, ...]
    """The row's own answer first."""
    texts: tuple[str, ...]
    """What the other answers' subjects were read out of."""
    checks: tuple[str, ...]
    """All checks, each once."""
    sets: tuple[tuple[int, ...], ...]
    """Numbers of the checks of every set."""

    @classmethod
    def of(
        cls, own: Subject, others: Sequence[tuple[Subject, str]], sets: Sequence[Sequence[str]]
    ) -> "_Material":
        checks = list(dict.fromkeys(check for one in sets for check in one))
        place = {check: number for number, check in enumerate(checks)}
        numbered = [tuple(place[check] for check in one) for one in sets]
        answers, texts = [one for one, _ in others], tuple(text for _, text in others)
        return cls((own, *answers), texts, tuple(checks), tuple(numbered))


@dataclass(frozen=True, slots=True)
class _Tested:
    """What testing the checks that a group agrees on brought."""

    group: Group
    """The answers that agree, and all checks that they pass."""
    always: Stable
    """Which of these pass every time."""
    chosen: tuple[int, ...]
    """Numbers of those."""
    stubs: Sequence[Outcomes]
    """Which of the chosen each stub passes."""
    mutants: Sequence[Outcomes]
    """Which of the chosen each mutant passes."""
    broken: tuple[Mutant, ...]
    """The mutants."""

    def judge(self, numbers: Sequence[int]) -> Judgement:
        """Judge those of the chosen checks that have these numbers."""
        if not numbers:
            return Judgement(Flaw.NOTHING, (), len(self.broken))
        agreed = set(numbers) & set(self.group.checks)
        places = [place for place, number in enumerate(self.chosen) if number in agreed]
        if not places:
            flaw = Flaw.UNSTABLE if agreed else Flaw.NOT_AGREED
            return Judgement(flaw, (), len(self.broken))
        return judge(places, stubs=self.stubs, mutants=self.mutants)


def _judged(
    response: Response,
    material: _Material,
    table: Sequence[Outcomes],
    tested: _Tested,
    told: dict[str, JSON],
) -> RowVerdict:
    """Put together the sets that hold, and judge the row's own answer by them."""
    single = [tested.judge(numbers) for numbers in material.sets]
    sound = [s for s, found in zip(material.sets, single, strict=True) if found.flaw is None]
    # Sets of which little is left may each be too weak, and still hold together.
    counted = {number for one in sound or material.sets for number in one}
    together = tested.judge(sorted(counted))
    kept = [number for number in tested.chosen if number in counted]
    told |= {
        "checks": [material.checks[number] for number in kept],
        "agreeing": len(tested.group.answers),
        "hash_seeds": tested.always.n_hash_seeds,
        "mutants": len(tested.broken),
        "missed": [
            mutant.name
            for number, mutant in enumerate(tested.broken)
            if number not in together.killed
        ],
        "sets": [
            _told_of_set(numbers, found, tested)
            for numbers, found in zip(material.sets, single, strict=True)
        ],
    }
    if together.flaw is not None:
        return _verdict(response, Finding.UNSOUND, f"tests are unsound: {together.flaw}", told)
    failed = [material.checks[number] for number in kept if not table[0][number]]
    finding, said = (Finding.FAILED, failed[0]) if failed else (Finding.PASSED, "")
    if (other := _other(material, table, kept, passes=bool(failed))) is not None:
        told["better" if failed else "worse"] = other
    return _verdict(response, finding, said, told, score=together.strength)


def _other(
    material: _Material, table: Sequence[Outcomes], kept: Sequence[int], *, passes: bool
) -> str | None:
    """Return the first of the other answers that passes all checks, or that does not."""
    for text, passed in zip(material.texts, table[1:], strict=True):
        if len(text) <= OTHER_CHARS and all(passed[number] for number in kept) is passes:
            return text
    return None


def _told_of(table: Sequence[Outcomes], material: _Material) -> dict[str, JSON]:
    shown = groups(table)[:SHOWN_GROUPS]
    return {
        "answers": len(material.answers),
        "distinct_answers": len({answer.source for answer in material.answers}),
        "written": len(material.checks),
        "groups": [[list(group.answers), len(group.checks)] for group in shown],
    }


def _told_of_set(numbers: Sequence[int], found: Judgement, tested: _Tested) -> dict[str, JSON]:
    return {
        "written": len(numbers),
        "chosen": len(set(numbers) & set(tested.chosen)),
        "flaw": found.flaw,
        "strength": round(found.strength, 3),
    }


def _verdict(
    response: Response,
    finding: Finding,
    said: str,
    told: Mapping[str, JSON] | None = None,
    *,
    score: float | None = None,
) -> RowVerdict:
    detail = {**({"said": said} if said else {}), **(told or {})}
    return RowVerdict.of(response, Check.TESTS, finding, score=score, detail=detail)
