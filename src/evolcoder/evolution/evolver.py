"""Evolves one task into a harder one: returns the child, or a drop with its reason.

A task that no candidate could pass the rules with is dropped without a request. Otherwise a
candidate is requested and checked by the rules, and again, with another seed and a hint at the
violation, until one passes without doubt or the attempts are used up. Of several that pass, the one
with the most new words is kept, or of a small model the one that says most. The outcome depends on
task, round, heuristic, config, completions and the evolver's size only. A permanently rejected
request is a drop; a retryable error is raised.

The optional judge model is only asked about candidates that pass the rules but add little, and only
a plain NO rejects a candidate, so the judge never decides alone.

>>> result = await evolve(task, round=1, heuristic=heuristic, evolver=role, judge=None,
...                       config=config)   # doctest: +SKIP
"""

import re
from dataclasses import dataclass, replace

from evolcoder.config.load import Config
from evolcoder.engine.base import IN_PROCESS, STOP, WHOLE_TRIES, Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.evolution.candidate import CandidateTask, RuleViolation, concatenate, tokenize
from evolcoder.evolution.examples import with_similar_examples
from evolcoder.evolution.heuristics import BUILT_IN, ExampleForm, Heuristic, TaskContents
from evolcoder.evolution.openings import complete, openings_for
from evolcoder.evolution.parse import parse
from evolcoder.evolution.prompts import build, for_judge
from evolcoder.evolution.respond import incomplete
from evolcoder.evolution.rules import find_hopeless, find_violation
from evolcoder.evolution.styles import REWRITES_FROM, size_in_name
from evolcoder.evolution.translations import FRAMES, frames_of, in_language
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import SEEN_CHARS, Drop, Reason, Stage, Task, Usage
from evolcoder.text import clean, code_blocks, named_language, one_line

VIOLATION_CHARS, SERVER_CHARS = 100, 400
"""Maximum characters of the evidence of an attempt, and of a server's words, in a drop."""
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
    """Whether it passes but adds little."""


BUILT_IN_TEMPLATES = {heuristic.name: heuristic.template for heuristic in BUILT_IN}


class _Evolution:
    """The attempts at one task and their cost."""

    def __init__(
        self, parent: Task, round: int, heuristic: Heuristic, config: Config, *, is_small: bool
    ) -> None:
        self.parent, self.round, self.config, self.is_small = parent, round, config, is_small
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

    def parse_candidate(self, completion: Completion, *, is_begun: bool) -> CandidateTask:
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
            is_begun,
        )

    def opening(self, evolver: Role) -> str:
        """Return how this attempt's addition begins; empty if the model begins it."""
        asked = self.heuristic
        own = BUILT_IN_TEMPLATES.get(asked.name) == asked.template
        # Only models in this process are sure to continue what they seem to have begun.
        if not (own and self.is_small and evolver.identity.startswith("gguf:")):
            return ""
        if asked.form is not ExampleForm.ADDITION or asked.holds is TaskContents.BOUND:
            return ""
        found = openings_for(asked.name, self.parent, round=self.round, seed=self.config.seed)
        return found[len(self.attempts) % len(found)] if found else ""

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
                attempt.candidate.strength if self.is_small else attempt.candidate.n_new_words
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


def _described(violation: RuleViolation, max_chars: int) -> str:
    return f"{violation.reason} ({one_line(violation.detail, max_chars)})"


def is_small(evolver: Role) -> bool:
    """Return whether a model is too small to rewrite: by its name, or run in this process."""
    size = size_in_name(evolver.model)
    return evolver.identity.startswith(IN_PROCESS) if size is None else size < REWRITES_FROM


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
    if is_small(evolver):
        heuristic = with_similar_examples(heuristic, task.instruction)
    evolution = _Evolution(task, round, heuristic, config, is_small=is_small(evolver))
    if hopeless := find_hopeless(evolution.before, config.eliminate):
        return evolution.drop(task.instruction, hopeless, evolver.identity)
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
    is_begun = evolution.opening(evolver) != ""
    completion = await _ask(evolution, evolver, seed)
    candidate = evolution.parse_candidate(completion, is_begun=is_begun)
    violation = _defect(completion) or find_violation(candidate)
    doubtful = violation is None and candidate.is_doubtful
    if doubtful and judge is not None:
        violation, answer = await ask_judge(
            judge, evolution.before.text, candidate.after.text, seed=seed
        )
        evolution.count(answer)
    return Attempt(candidate, violation, doubtful)


async def _ask(evolution: _Evolution, evolver: Role, seed: int) -> Completion:
    """Ask for a candidate; one that is begun for the model has its beginning in front."""
    asked, how = evolution.heuristic, evolution.config.evolve
    messages = build(asked, evolution.parent.instruction, evolution.hint(), how.style)
    tries = -(-WHOLE_TRIES // how.candidates)

    async def ask(begun: str) -> Completion:
        said = (*messages, Message("assistant", begun)) if begun else messages
        completion = await evolver.ask(said, seed=seed, tries=tries)
        evolution.count(completion)
        evolution.answered[completion.model] = None
        return completion

    opening = evolution.opening(evolver)
    code = ""
    if not opening or asked.holds is TaskContents.BAIT:
        completion = await ask("")
        blocks = code_blocks(completion.text) if opening else []
        if not blocks or not blocks[0].closed or _defect(completion):
            return completion
        code = f"```{blocks[0].language or ''}\n{blocks[0].code}\n```\nDemand: "
    completion = await ask(f"{code}{opening}")
    is_ended = completion.is_truncated and "\n" in completion.text.strip()
    text = f"{code}{complete(opening, completion.text)}"
    return replace(completion, text=text, finish=STOP if is_ended else completion.finish)


def _defect(completion: Completion) -> RuleViolation | None:
    """Return the violation of an answer that broke off or holds only thinking."""
    if completion.broke_off:
        return RuleViolation(Reason.INCOMPLETE, incomplete(completion))
    if not completion.is_truncated and (thought := completion.only_thought):
        return RuleViolation(Reason.ONLY_THOUGHT, thought)
    return None
