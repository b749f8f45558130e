"""Chooses among several answers to a task: the largest cluster of equal behaviour, by tests passed.

Every answer is run in the sandbox on the same inputs (`inputs`), and answers that behave alike on
all of them form a cluster: equal results, with tolerance for floats; equal exceptions by type;
equal changes to the arguments. That an answer does not end, or prints too much, is behaviour too.
An answer that behaves differently from run to run belongs to no cluster.

A cluster's score is the number of its answers times the number of sound tests that they pass, as in
CodeT (arXiv 2207.10397); without tests it is the number of its answers, as in execution-based
minimum Bayes risk decoding (MBR-EXEC, arXiv 2204.11454). A test is sound if at least two answers
pass it. Ties go to the larger cluster, then to that of the earliest answer. Of a cluster the
earliest answer is chosen that does not misstate its own output (`stated_output`), or the earliest
of all; so the choice does not depend on the order of completion.

An input counts if at least half of the answers accept it, or refuse it with a `raise` of their own,
since nothing else tells which inputs are valid. Two answers that agree on no input with a result
show nothing. In the languages of `typed_calls` the function that the answers share is called with
typed inputs; other programs are compared by what they print as a whole. Where nothing can be
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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from evolcoder.ids import seed_for
from evolcoder.programming_language import named_languages
from evolcoder.records import Response, ResponseCandidate, Task
from evolcoder.sample_errors import judging
from evolcoder.sandbox.base import Limits, Program, Sandbox, Script, Status
from evolcoder.text import clean, one_line
from evolcoder.verification.agreement import typed_calls
from evolcoder.verification.agreement.clusters import (
    AGREED,
    Choice,
    Observation,
    ObservedAnswer,
    ObservedAnswers,
    choose,
    unverified,
    with_chosen,
)
from evolcoder.verification.agreement.inputs import InputOrigin, Probe, probes
from evolcoder.verification.agreement.observing import ENDED, observe
from evolcoder.verification.execution.check import MISSTATED, ExecutionCheck
from evolcoder.verification.execution.stated_output import states_output
from evolcoder.verification.execution.wrapping import wrap_variants
from evolcoder.verification.generated_tests.check import (
    messages_for_tests,
    with_token_limit,
)
from evolcoder.verification.generated_tests.runner import missing_modules
from evolcoder.verification.generated_tests.test_parser import parse_checks
from evolcoder.verification.pipeline import MAX_CONSECUTIVE_SANDBOX_FAILURES

CALL_S = 1.0
"""CPU seconds of one input, both runs together."""
MAX_STATED = 4
"""Answers of a cluster whose stated output is compared, before the earliest one is taken."""
MAX_INTERFACES = 3
"""Most interfaces that the answers are tried with."""


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
        self._runs = ExecutionCheck(sandbox, languages=languages, limits=self._limits)
        self._consecutive_failures = 0

    async def __call__(self, task: Task, answers: Sequence[ResponseCandidate]) -> Choice:
        """Choose among answers, at least one of which is usable.

        Raises EngineError or BudgetReached where tests cannot be asked for now, and SandboxError
        when the sandbox fails again and again.
        """
        usable = [answer for answer in answers if not answer.defect]
        try:
            with judging():
                found: ObservedAnswers | str = await self._compare(task, usable)
                choice = choose(answers, found, self._config.respond.agreeing)
                choice = await self._well_stated(task, choice)
            self._consecutive_failures = 0
            return choice
        except SandboxError as error:
            self._consecutive_failures += 1
            if self._consecutive_failures >= MAX_CONSECUTIVE_SANDBOX_FAILURES:
                raise
            return unverified(answers, "sandbox", {"said": one_line(str(error), 200)})
        except UnjudgedError as error:
            return unverified(answers, "unjudged", {"said": str(error)})

    async def _well_stated(self, task: Task, choice: Choice) -> Choice:
        """Choose the earliest answer of the same cluster that does not misstate its output."""
        if choice.kind != AGREED:
            return choice
        alike = [one for one in choice.answers if one.cluster == choice.chosen.cluster]
        for answer in alike[:MAX_STATED]:
            if not states_output(answer.text):
                return with_chosen(choice, answer.number)
            ran = await self._runs(task, Response.to(task, answer.text, made=None), {})
            if ran.kind != MISSTATED:
                return with_chosen(choice, answer.number)
        return choice

    async def _compare(
        self, task: Task, usable: Sequence[ResponseCandidate]
    ) -> ObservedAnswers | str:
        """Run the answers on shared inputs; a text is the reason why they cannot be compared."""
        if len(usable) < 2:
            return "one_answer"
        language = _language_of(task, usable)
        if language not in {None, "python"}:
            return await self._compare_others(language or "", task, usable)
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
        runs = [
            observe(self._sandbox, subject, shared, self._limits) for subject in distinct.values()
        ]
        observed = dict(zip(distinct, await asyncio.gather(*runs), strict=True))
        found = [
            ObservedAnswer(answer, subject.body, observed[subject.source])
            for answer, subject in runnable
        ]
        name = "" if first.form in {CallableKind.PROGRAM, CallableKind.PRINTER} else first.name
        return ObservedAnswers(tuple(shared), tuple(found), first.entry_point if name else "")

    def _probes(
        self,
        task: Task,
        subject: CallableSubject,
        known: Sequence[tuple[ResponseCandidate, CallableSubject]],
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

    async def _compare_others(
        self, language: str, task: Task, usable: Sequence[ResponseCandidate]
    ) -> ObservedAnswers | str:
        """Compare programs in another language by their function, else by what they print."""
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
        found = None
        if language in typed_calls.LANGUAGES:
            found = await self._compare_functions(language, task, sources)
        return found or await self._compare_programs(language, sources)

    async def _compare_functions(
        self, language: str, task: Task, sources: Sequence[tuple[ResponseCandidate, str]]
    ) -> ObservedAnswers | None:
        """Call the function that the programs share with typed inputs; None if there is none."""
        functions = typed_calls.shared_functions(
            language, [source for _, source in sources], task.instruction
        )
        known = [
            (answer, source, function)
            for (answer, source), function in zip(sources, functions, strict=True)
            if function is not None
        ]
        if len(known) < 2:
            return None
        shared = await self._typed_probes(language, task, known)
        distinct = {source: (source, function) for _, source, function in known}
        runs = [self._called(language, *one, shared) for one in distinct.values()]
        seen = dict(zip(distinct, await asyncio.gather(*runs), strict=True))
        found = [
            ObservedAnswer(answer, source, observed)
            for answer, source, _ in known
            if (observed := seen[source]) is not None
        ]
        return (
            ObservedAnswers(tuple(shared), tuple(found), "") if shared and len(found) > 1 else None
        )

    async def _typed_probes(
        self,
        language: str,
        task: Task,
        known: Sequence[tuple[ResponseCandidate, str, typed_calls.TypedFunction]],
    ) -> list[Probe]:
        """Return the inputs that the types of all functions take; no scripts."""
        first = known[0][2]
        subject = typed_calls.subject_of(known[0][1], first)
        plain = replace(task, instruction=typed_calls.with_literals(task.instruction))
        tests = await self._tests(plain, subject)
        texts = [(typed_calls.with_literals(one.text), of.name) for one, _, of in known]
        seed = f"{self._config.seed} {task.id}"
        made = probes(plain.instruction, subject, texts, tests, seed=seed)
        called = filter(None, (typed_calls.without_script(one, first.name) for one in made))
        return [
            one
            for one in called
            if all(typed_calls.arguments_of(language, of, one.arguments) for _, _, of in known)
            or not first.parameters
        ]

    async def _called(
        self,
        language: str,
        source: str,
        function: typed_calls.TypedFunction,
        shared: Sequence[Probe],
    ) -> tuple[Observation, ...] | None:
        """Compile a program once and call its function with all inputs; None if that fails."""
        calls = [typed_calls.arguments_of(language, function, one.arguments) for one in shared]
        text = typed_calls.program_of(language, source, function, [one or [] for one in calls])
        limits = replace(self._limits, call_s=(), file_mb=256)
        run = await self._sandbox.run(Program(language, text, Script(hidden=True)), limits)
        if run.status is Status.COMPILE_ERROR:
            return None
        inputs, lines = [one.arguments for one in shared], run.answers.splitlines()
        ended = ENDED.get(run.status, "died")
        seen = typed_calls.observations(language, lines, inputs, ended)
        return tuple(map(typed_calls.outcome_of, seen, shared))

    async def _compare_programs(
        self, language: str, sources: Sequence[tuple[ResponseCandidate, str]]
    ) -> ObservedAnswers | str:
        """Compare what whole programs in another language print."""
        runs = [self._printed(language, source) for _, source in sources]
        printed = await asyncio.gather(*runs)
        found = [
            ObservedAnswer(answer, source, (seen,))
            for (answer, source), seen in zip(sources, printed, strict=True)
        ]
        if not any(one.observed[0].shows_something for one in found):
            return "language"
        return ObservedAnswers(tuple(probes_of_constant()), tuple(found), "")

    async def _printed(self, language: str, source: str) -> Observation:
        """Run the first form of a program that compiles."""
        seen = Observation("died")
        for form in wrap_variants(language, source):
            run = await self._sandbox.run(Program(language, form.source), self._limits)
            if run.status is Status.COMPILE_ERROR:
                continue
            if run.status is not Status.FINISHED:
                return Observation(ENDED.get(run.status, "died"))
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


def probes_of_constant() -> list[Probe]:
    """Return the only input of a program that reads none."""
    return [Probe(InputOrigin.TASK, ("",))]


def _language_of(task: Task, answers: Sequence[ResponseCandidate]) -> str | None:
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
