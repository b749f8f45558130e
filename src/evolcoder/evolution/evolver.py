"""Evolves one task into a harder one: returns the child, or a drop with its reason.

A task that no candidate could pass the rules with is dropped without a request. Otherwise a
candidate is requested and checked by the rules, and again, with another seed and a hint at the
violation, until one passes without doubt or the attempts are used up. Of several that pass, the one
with the most new words is kept, or of a small model the one that says most. The outcome depends on
task, round, heuristic, config, completions and the evolver's size only. A permanently rejected
request is a drop; a retryable error is raised.

A small model gets help with the built-in prompts: its sentence is begun for it (`openings`), and
for `misdirect` it only solves the task, and one place of its code is changed (`distractor`).

The optional judge model is only asked about candidates that pass the rules but add little, and only
a plain NO rejects a candidate, so the judge never decides alone.

>>> result = await evolve(task, round=1, heuristic=heuristic, evolver=role, judge=None,
...                       config=config)   # doctest: +SKIP
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolcoder.config.load import TASK_PLACEHOLDER, Config
from evolcoder.engine.base import IN_PROCESS, STOP, WHOLE_TRIES, Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.evolution.candidate import CandidateTask, RuleViolation, concatenate, tokenize
from evolcoder.evolution.distractor import DRAFT, MAX_LINES, spoil
from evolcoder.evolution.examples import with_similar_examples
from evolcoder.evolution.heuristics import BUILT_IN, ExampleForm, Heuristic, TaskContents
from evolcoder.evolution.openings import (
    complete,
    complete_asked,
    is_whole,
    openings_for,
    openings_in,
)
from evolcoder.evolution.parse import parse
from evolcoder.evolution.prompts import build, for_judge
from evolcoder.evolution.respond import incomplete
from evolcoder.evolution.rewriting import REWRITING
from evolcoder.evolution.rules import find_hopeless, find_violation
from evolcoder.evolution.styles import is_small
from evolcoder.evolution.translations import FRAMES, frames_of, in_language
from evolcoder.ids import rng_for, seed_for
from evolcoder.natural_language import prompt_language
from evolcoder.programming_language import code_blocks, named_language
from evolcoder.records import SEEN_CHARS, Drop, Reason, Stage, Task, Usage
from evolcoder.text import clean, one_line

VIOLATION_CHARS, SERVER_CHARS = 100, 400
"""Maximum characters of the evidence of an attempt, and of a server's words, in a drop."""
N_OWN_LINES = 2
"""Lines of code up to which it is not compared with that of the task."""
_NO = re.compile(r"\W*no\b", re.IGNORECASE)


async def ask_judge(
    judge: Role, parent: str, child: str, *, seed: int
) -> tuple[RuleViolation | None, Completion]:
    """Return the violation if the judge answers NO, and its completion.

    An answer that breaks off decides nothing.
    """
    completion = await judge.ask(for_judge(parent, child), seed=seed)
    if not completion.broke_off and _NO.match(completion.text):
        detail = f"the judge answered {completion.text.strip()[:40]}"
        return RuleViolation(Reason.JUDGED_EQUAL, detail), completion
    return None, completion


@dataclass(frozen=True, slots=True)
class Attempt:
    """A judged candidate."""

    candidate: CandidateTask
    """The candidate."""
    violation: RuleViolation | None
    """Why it is rejected, or None."""
    doubtful: bool
    """Whether it passes but adds little, or begins in another way than asked for."""


def _is_built_in(heuristic: Heuristic, style: Sequence[Heuristic], *, with_examples: bool) -> bool:
    """Whether a heuristic is one of a style, whose prompt and form no config has changed."""
    known = next((one for one in style if one.name == heuristic.name), None)
    if known is None or (with_examples and known.examples != heuristic.examples):
        return False
    return (known.template, known.form, known.holds) == (
        heuristic.template,
        heuristic.form,
        heuristic.holds,
    )


class _Evolution:
    """The attempts at one task and their cost."""

    def __init__(
        self, parent: Task, round: int, heuristic: Heuristic, config: Config, *, is_small: bool
    ) -> None:
        self.parent, self.round, self.config, self.is_small = parent, round, config, is_small
        is_whole = heuristic.form is ExampleForm.TASK
        appends = config.evolve.style != "rewrite"
        is_own = appends and _is_built_in(heuristic, BUILT_IN, with_examples=is_whole)
        self.spoils = is_small and any(
            _is_built_in(heuristic, style, with_examples=True) for style in (BUILT_IN, REWRITING)
        )
        self.spoils = self.spoils and heuristic.holds is TaskContents.BAIT
        self.openings: tuple[str, ...] = ()
        if is_small and is_own and heuristic.holds is not TaskContents.BAIT:
            self.openings = openings_for(heuristic.name, parent, round=round, seed=config.seed)
        is_bound = is_own and heuristic.holds is TaskContents.BOUND
        self.known_openings = openings_in(parent.instruction)
        has_none = self.known_openings is not None and not self.openings
        lacks_opening = is_small and is_own and has_none
        self.lacks_bound = lacks_opening and is_bound
        """Whether a small model would name a bound that any program meets."""
        self.lacks_opening = lacks_opening and heuristic.holds is TaskContents.NOTHING
        """Whether a small model would have to begin for itself, which it does badly."""
        if is_small:
            heuristic = self._for_small(heuristic)
        self.heuristic = in_language(heuristic, parent.instruction)
        self.before = tokenize(parent.instruction)
        self.attempts: list[Attempt] = []
        self.sent = self.received = self.requests = 0
        self.answered: dict[str, None] = {}

    def count(self, completion: Completion) -> None:
        self.requests += completion.requests
        self.sent += completion.prompt_tokens
        self.received += completion.completion_tokens

    def usage(self, identity: str) -> Usage:
        answered = ", ".join(filter(None, self.answered))
        return Usage(identity, self.sent, self.received, self.requests, answered)

    def parse_candidate(self, completion: Completion, opening: str) -> CandidateTask:
        parsed = parse(clean(completion.text), self.parent.instruction, self.heuristic)
        cut_off = completion.is_truncated and not parsed.tail
        added = None if parsed.addition is None else tokenize(parsed.addition)
        after = concatenate(parsed.text, self.before, added) if added else tokenize(parsed.text)
        return CandidateTask(
            self.parent,
            self.before,
            after,
            added,
            parsed.distractor,
            cut_off,
            self.heuristic,
            self.config.eliminate,
            opening,
        )

    def spoiled_candidate(self, completion: Completion) -> CandidateTask:
        """Return the task with the code of an answer, in which one place is changed."""
        closed = [block for block in code_blocks(clean(completion.text)) if block.closed]
        language, rng = (
            self.parent.language,
            rng_for(self.config.seed, "spoil", self.parent.id, self.round, len(self.attempts)),
        )
        found = None
        if closed and closed[0].language in {None, language or closed[0].language}:
            block = closed[0]
            is_own = _is_code_of(self.before.text, block.code)
            code = None if is_own else spoil(block.code, block.language or language, rng)
            if code is not None and len(code.splitlines()) <= MAX_LINES:
                found = replace(block, code=code)
        return CandidateTask(
            self.parent,
            self.before,
            self.before,
            None,
            found,
            completion.is_truncated,
            self.heuristic,
            self.config.eliminate,
            is_spoiled=True,
        )

    def _for_small(self, heuristic: Heuristic) -> Heuristic:
        """Return a heuristic with the prompt for begun sentences, or examples like the task."""
        if self.known_openings and self.openings and heuristic.holds is TaskContents.NOTHING:
            return replace(
                heuristic,
                template=self.known_openings.template,
                examples=self.known_openings.examples,
                form=ExampleForm.ADDITION,
                language=self.known_openings.language,
            )
        if prompt_language(self.parent.instruction) not in {"", "en"}:
            return heuristic  # its prompt is translated, with examples of its own
        return with_similar_examples(heuristic, self.parent.instruction)

    def draft(self) -> tuple[Message, ...]:
        """Return the messages that ask for a solution, to be made a distractor."""
        asked = DRAFT.replace(TASK_PLACEHOLDER, self.parent.instruction)
        return (Message("user", asked),)

    def opening(self) -> str:
        """Return how this attempt's addition begins; empty if the model begins it."""
        return self.openings[len(self.attempts) % len(self.openings)] if self.openings else ""

    @property
    def begin(self) -> str:
        """The sentence that asks a model to begin with an opening."""
        return self.known_openings.begin if self.known_openings else ""

    def hint(self) -> Reason | None:
        """Return the problem of the last attempt; a doubtful one is too equal to its parent."""
        if not self.attempts:
            return None
        last = self.attempts[-1].violation
        return last.reason if last else Reason.EQUAL_TO_PARENT

    def best(self) -> Attempt:
        """Return the passing attempt that adds most, or the last one if none passes."""
        passing = [attempt for attempt in self.attempts if attempt.violation is None]
        if not passing:
            return self.attempts[-1]
        return max(
            passing,
            key=lambda attempt: (
                (not attempt.doubtful, attempt.candidate.strength)
                if self.is_small
                else (True, attempt.candidate.n_new_words)
            ),
        )

    def child(self, candidate: CandidateTask, identity: str) -> Task:
        text = candidate.after.text
        if (code := candidate.distractor) is not None:
            rng = rng_for(self.config.seed, "frame", self.parent.id, self.round)
            fenced = f"```{code.language or ''}\n{code.code}\n```"
            is_english = self.heuristic.language == "en"
            frames = FRAMES if is_english else frames_of(self.heuristic.language)
            text = f"{text}\n\n{rng.choice(frames)}\n{fenced}"
        return self.parent.child(
            text,
            round=self.round,
            heuristic=self.heuristic.name,
            language=self.parent.language or named_language(text),
            made=self.usage(identity),
        )

    def drop(self, seen: str, violation: RuleViolation, identity: str) -> Drop:
        """Make the drop; its detail lists the violations of all attempts."""
        found = [attempt.violation for attempt in self.attempts if attempt.violation]
        parts = [_described(each, VIOLATION_CHARS) for each in found]
        if violation not in found:  # the server's words
            parts.append(_described(violation, SERVER_CHARS) if parts else violation.detail)
        return Drop(
            Stage.EVOLVE,
            violation.reason,
            self.parent.id,
            self.round,
            self.parent.ordinal,
            self.heuristic.name,
            seen[:SEEN_CHARS],
            "; ".join(parts),
            self.usage(identity),
        )


def _is_code_of(text: str, code: str) -> bool:
    """Whether at most one line of code is not in a text, which then shows it already."""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    return len(lines) > N_OWN_LINES and sum(line not in text for line in lines) <= 1


def _described(violation: RuleViolation, max_chars: int) -> str:
    return f"{violation.reason} ({one_line(violation.detail, max_chars)})"


NO_KNOWN_BOUND = RuleViolation(
    Reason.NO_BOUND,
    "no bound is known that a simple program for this task misses, and models below 7B name one "
    "that it meets; the model was not asked",
)


NO_FITTING_OPENING = RuleViolation(
    Reason.NO_OPENING,
    "no beginning of a sentence fits this task, and what models below 7B add to it without one is "
    "seldom of use; the model was not asked, and another heuristic may fit in the next round",
)


def first_messages(
    task: Task, heuristic: Heuristic, config: Config, *, is_small: bool
) -> tuple[Message, ...]:
    """Return what a model is asked first for a task of round 1; empty if it is not asked."""
    evolution = _Evolution(task, 1, heuristic, config, is_small=is_small)
    if evolution.lacks_bound or evolution.lacks_opening or is_whole(evolution.opening()):
        return ()
    if evolution.spoils:
        return evolution.draft()
    return build(
        evolution.heuristic,
        task.instruction,
        None,
        config.evolve.style,
        opening=evolution.opening(),
        begin=evolution.begin,
    )


async def evolve(
    task: Task,
    *,
    round: int,
    heuristic: Heuristic,
    evolver: Role,
    judge: Role | None,
    config: Config,
) -> Task | Drop:
    """Make a task harder with one heuristic; raises a retryable EngineError."""
    is_local = evolver.identity.startswith(IN_PROCESS)
    small = is_small(evolver.model, is_local=is_local, billions=evolver.billions)
    evolution = _Evolution(task, round, heuristic, config, is_small=small)
    if hopeless := find_hopeless(evolution.before, config.eliminate):
        return evolution.drop(task.instruction, hopeless, evolver.identity)
    if evolution.lacks_bound:
        return evolution.drop(task.instruction, NO_KNOWN_BOUND, evolver.identity)
    if evolution.lacks_opening:
        return evolution.drop(task.instruction, NO_FITTING_OPENING, evolver.identity)
    for attempt in range(config.evolve.candidates):
        seed = seed_for(config.seed, "evolve", task.id, round, attempt)
        try:
            current = await _attempt(evolution, evolver, judge, seed)
        except EngineError as error:
            if error.retryable:
                raise
            if any(attempt.violation is None for attempt in evolution.attempts):
                break  # an earlier candidate passes
            reason = Reason.REJECTED if error.rejected else Reason.FAILED
            return evolution.drop("", RuleViolation(reason, str(error)), evolver.identity)
        evolution.attempts.append(current)
        is_weak = evolution.is_small and current.candidate.is_weak
        if current.violation is None and not current.doubtful and not is_weak:
            break
    best = evolution.best()
    if best.violation is not None:
        return evolution.drop(best.candidate.after.text, best.violation, evolver.identity)
    return evolution.child(best.candidate, evolver.identity)


async def _attempt(evolution: _Evolution, evolver: Role, judge: Role | None, seed: int) -> Attempt:
    if evolution.spoils:
        completion = await _ask(evolution, evolver, evolution.draft(), seed)
        candidate = evolution.spoiled_candidate(completion)
    else:
        completion, opening = await _ask_for_candidate(evolution, evolver, seed)
        candidate = evolution.parse_candidate(completion, opening)
    violation = _defect(completion) or find_violation(candidate)
    begins_otherwise = evolution.opening() != candidate.opening
    doubtful = violation is None and (candidate.is_doubtful or begins_otherwise)
    if doubtful and judge is not None:
        violation, answer = await ask_judge(
            judge, evolution.before.text, candidate.after.text, seed=seed
        )
        evolution.count(answer)
    return Attempt(candidate, violation, doubtful)


async def _ask_for_candidate(
    evolution: _Evolution, evolver: Role, seed: int
) -> tuple[Completion, str]:
    """Ask for a candidate; returns it with how it was begun, and with that in front."""
    asked, task = evolution.heuristic, evolution.parent.instruction
    hint, style = evolution.hint(), evolution.config.evolve.style
    opening = evolution.opening()
    if is_whole(opening):
        return Completion(opening, "", STOP, 0, 0, requests=0), opening
    # Only models in this process are sure to continue what they seem to have begun.
    continues = opening != "" and evolver.identity.startswith("gguf:")
    shown = "" if continues else opening
    messages = build(asked, task, hint, style, opening=shown, begin=evolution.begin)
    if continues:
        messages = (*messages, Message("assistant", opening))
    completion = await _ask(evolution, evolver, messages, seed)
    if not opening:
        return completion, ""
    begun = (complete if continues else complete_asked)(opening, completion.text)
    if begun is None:
        return completion, ""
    is_ended = completion.is_truncated and "\n" in completion.text.strip()
    finish = STOP if is_ended else completion.finish
    return replace(completion, text=begun, finish=finish), opening


async def _ask(
    evolution: _Evolution, evolver: Role, messages: tuple[Message, ...], seed: int
) -> Completion:
    """Ask once and count what it costs."""
    tries = -(-WHOLE_TRIES // evolution.config.evolve.candidates)
    completion = await evolver.ask(messages, seed=seed, tries=tries)
    evolution.count(completion)
    evolution.answered[completion.model] = None
    return completion


def _defect(completion: Completion) -> RuleViolation | None:
    """Return the violation of an answer that broke off or holds only thinking."""
    if completion.broke_off:
        return RuleViolation(Reason.INCOMPLETE, incomplete(completion))
    if not completion.is_truncated and (thought := completion.only_thought):
        return RuleViolation(Reason.ONLY_THOUGHT, thought)
    return None
