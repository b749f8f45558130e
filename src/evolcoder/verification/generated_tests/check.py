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
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evolcoder.code.callables import CallableKind, CallableSubject, fitting, subject_of
from evolcoder.config.load import VerifyConfig
from evolcoder.engine.base import Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import clean
from evolcoder.verification.generated_tests import prompts
from evolcoder.verification.generated_tests.mutants import mutants
from evolcoder.verification.generated_tests.runner import (
    failing,
    hurried,
    missing,
    outcomes,
    stable,
)
from evolcoder.verification.generated_tests.selection import (
    AgreementGroup,
    Outcomes,
    best,
    contests,
    stubs_for,
)
from evolcoder.verification.generated_tests.test_parser import checks_in
from evolcoder.verification.generated_tests.verdict import (
    TestedAnswer,
    TestFinding,
    TestMaterial,
    judged,
    told_of,
    verdict_of,
)

TESTS_TOKENS = 512
"""Longest set in tokens: a small model that has begun to count does not end by itself."""


@dataclass(frozen=True, slots=True)
class GeneratedTestsCheck:
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
        before: Mapping[Check, CheckResult],  # noqa: ARG002 - as every check is called
    ) -> CheckResult:
        """Have tests written for a row, test them, and judge the row's answer by them."""
        subject = subject_of(response.text, task.instruction)
        if subject is None:
            return verdict_of(
                response, TestFinding.NO_TESTS, "nothing in Python that could be called"
            )
        if lacking := await missing(self.sandbox, subject.body, hurried(self._limits)):
            why = f"needs {', '.join(lacking)}, which the sandbox does not have"
            return verdict_of(response, TestFinding.NO_TESTS, why)
        material, told = await self._material(task, subject)
        if not material.checks:
            return verdict_of(response, TestFinding.NO_TESTS, "no check could be read", told)
        table = await self._table(material)
        told |= told_of(table, material)
        group = best(table)
        if group is None or contests(table, 0, group):
            why = "no two answers agree more than others do"
            return verdict_of(response, TestFinding.DISPUTED, why, told)
        tested = await self._tested(task, material, group)
        return judged(response, material, table, tested, told)

    async def _material(
        self, task: Task, subject: CallableSubject
    ) -> tuple[TestMaterial, dict[str, JSON]]:
        """Ask for everything at once, and read what can be used."""
        n_answers, n_sets = self.config.candidates, self.config.check_sets
        for_answer = prompts.for_answer(task.instruction, subject)
        for_tests = prompts.for_tests(task.instruction, subject)
        writer = _bounded(self.writer)
        said = await asyncio.gather(
            *(self._said(self.responder, for_answer, task, "answer", n) for n in range(n_answers)),
            *(self._said(writer, for_tests, task, "tests", n) for n in range(n_sets)),
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
        return TestMaterial.of(subject, usable, sets), told

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

    async def _table(self, material: TestMaterial) -> list[Outcomes]:
        """Run every check against every answer, equal programs once."""
        entry, limits = material.answers[0].entry_point, hurried(self._limits)
        distinct = list(dict.fromkeys(answer.source for answer in material.answers))
        runs = [outcomes(self.sandbox, one, entry, material.checks, limits) for one in distinct]
        found = dict(zip(distinct, await asyncio.gather(*runs), strict=True))
        return [found[answer.source] for answer in material.answers]

    async def _tested(
        self, task: Task, material: TestMaterial, group: AgreementGroup
    ) -> TestedAnswer:
        """Test the checks that a group agrees on, on the first of its answers."""
        answer = material.answers[group.answers[0]]
        agreed = [material.checks[number] for number in group.checks]
        always = await stable(self.sandbox, answer.source, answer.entry_point, agreed, self._limits)
        chosen = [n for n, holds in zip(group.checks, always.outcomes, strict=True) if holds]
        checks = [material.checks[number] for number in chosen]
        rng = rng_for(self.seed, "mutants", task.id)
        called = None if answer.form is CallableKind.PROGRAM else answer.name
        broken = mutants(answer.body, rng, limit=self.config.mutants, entry_point=called)
        stubs = stubs_for(answer, checks)
        bad = [*stubs, *(answer.around(mutant.source) for mutant in broken)]
        runs = [failing(self.sandbox, one, answer.entry_point, checks, self._limits) for one in bad]
        found = await asyncio.gather(*runs) if checks else []
        return TestedAnswer(
            group, always, tuple(chosen), found[: len(stubs)], found[len(stubs) :], broken
        )

    @property
    def _limits(self) -> Limits:
        config = self.config
        return Limits(config.cpu_s, config.wall_s, config.memory_mb, output_kb=64, file_mb=16)


def _bounded(role: Role) -> Role:
    most = min(TESTS_TOKENS, role.sampling.max_tokens)
    return replace(role, sampling=replace(role.sampling, max_tokens=most))
