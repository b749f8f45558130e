"""One task becomes a harder task, or a drop that says why not.

Promises: a candidate is asked for, looked at, and asked for again with another seed and a hint at
what was wrong, until one is without fault or all tries are used; of several that would do, the one
that adds most is kept. The same task, round, heuristic, config and answers give the same outcome.
A request that the engine rejects for good is a drop; an engine that may recover is an exception.

The optional judge: a model's word on whether a draft asks for more than its parent.

Promises: it is asked in one fixed form, and only about drafts that already add little; anything but
a plain NO lets the draft pass. So it never decides alone.
"""

import re
from dataclasses import dataclass

from evolcoder.config.load import Config
from evolcoder.engine.base import Completion, Role
from evolcoder.errors import EngineError
from evolcoder.evolution.candidate import CandidateTask, RuleViolation, joined, read
from evolcoder.evolution.heuristics import Heuristic
from evolcoder.evolution.parse import parse
from evolcoder.evolution.prompts import build, for_judge
from evolcoder.evolution.rules import fault
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import SEEN_CHARS, Drop, Reason, Stage, Task, Usage
from evolcoder.text import CodeBlock, clean, named_language, one_line

_NO = re.compile(r"\W*no\b", re.IGNORECASE)


async def ask(
    judge: Role, parent: str, child: str, *, seed: int
) -> tuple[RuleViolation | None, Completion]:
    """Return the fault that the judge finds, if any, with what it said."""
    said = await judge.ask(for_judge(parent, child), seed=seed)
    if _NO.match(said.text):
        return RuleViolation(Reason.JUDGED_EQUAL, f"the judge said {said.text.strip()[:40]}"), said
    return None, said


FRAMES: tuple[str, ...] = (
    "This reference may help or mislead, so check it before you rely on it:",
    "A first attempt looks like this; do not take for granted that it is right:",
    "Somebody suggested the code below, without having tested it:",
    "For orientation, here is a quick draft that may well be wrong:",
)
"""What stands between a task and its bait. None claims that the bait is wrong: that is not known
before it has run."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of the evolver, judged."""

    draft: CandidateTask
    """What was made of it."""
    fault: RuleViolation | None
    """Why it cannot be kept, if it cannot."""
    doubtful: bool
    """Whether it can be kept, and adds little."""


class _Evolution:
    """All attempts at one task, and what they cost."""

    def __init__(self, parent: Task, round: int, heuristic: Heuristic, config: Config) -> None:
        self.parent, self.round, self.heuristic, self.config = parent, round, heuristic, config
        self.before = read(parent.instruction)
        self.candidates: list[Attempt] = []
        self.sent = self.received = self.requests = 0

    def count(self, completion: Completion) -> None:
        self.requests += 1
        self.sent += completion.prompt_tokens
        self.received += completion.completion_tokens

    def made(self, identity: str) -> Usage:
        return Usage(identity, self.sent, self.received, self.requests)

    def draft(self, completion: Completion) -> CandidateTask:
        """Make a draft of what came back."""
        parsed = parse(clean(completion.text), self.parent.instruction, self.heuristic)
        cut_off = completion.finish == "length" and not parsed.tail
        added = None if parsed.addition is None else read(parsed.addition)
        after = joined(parsed.text, self.before, added) if added else read(parsed.text)
        return CandidateTask(
            self.parent,
            self.before,
            after,
            added,
            parsed.bait,
            cut_off,
            self.heuristic,
            self.config.eliminate,
        )

    def hint(self) -> Reason | None:
        """Return what was wrong with the last candidate."""
        if not self.candidates:
            return None
        last = self.candidates[-1].fault
        return last.reason if last else Reason.EQUAL_TO_PARENT

    def best(self) -> Attempt:
        """Return the candidate that adds most among those without fault, else the last."""
        fit = [candidate for candidate in self.candidates if candidate.fault is None]
        return max(fit, key=lambda one: len(one.draft.new_words)) if fit else self.candidates[-1]

    def child(self, draft: CandidateTask, identity: str) -> Task:
        """Make the harder task."""
        text = draft.after.text
        if draft.bait is not None:
            rng = rng_for(self.config.seed, "frame", self.parent.id, self.round)
            text = f"{text}\n\n{rng.choice(FRAMES)}\n{_fenced(draft.bait)}"
        return self.parent.child(
            text,
            round=self.round,
            heuristic=self.heuristic.name,
            language=self.parent.language or named_language(text),
            made=self.made(identity),
        )

    def drop(self, seen: str, why: RuleViolation, identity: str) -> Drop:
        """Make the drop, with what was found in every candidate."""
        faults = [one.fault for one in self.candidates if one.fault]
        found = "; ".join(f"{each.reason} ({one_line(each.detail, 100)})" for each in faults)
        return Drop(
            Stage.EVOLVE,
            why.reason,
            self.parent.id,
            self.round,
            self.parent.ordinal,
            self.heuristic.name,
            seen[:SEEN_CHARS],
            found or why.detail,
            self.made(identity),
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
    """Make a task harder with one heuristic; see the module for what is promised."""
    work = _Evolution(task, round, heuristic, config)
    for attempt in range(config.evolve.candidates):
        seed = seed_for(config.seed, "evolve", task.id, round, attempt)
        try:
            candidate = await _try(work, evolver, judge, seed)
        except EngineError as error:
            if error.retryable:
                raise
            return work.drop("", RuleViolation(Reason.REJECTED, str(error)), evolver.identity)
        work.candidates.append(candidate)
        if candidate.fault is None and not candidate.doubtful:
            break
    best = work.best()
    if best.fault is not None:
        return work.drop(best.draft.after.text, best.fault, evolver.identity)
    return work.child(best.draft, evolver.identity)


async def _try(work: _Evolution, evolver: Role, judge: Role | None, seed: int) -> Attempt:
    messages = build(work.heuristic, work.parent.instruction, work.hint())
    completion = await evolver.ask(messages, seed=seed)
    work.count(completion)
    draft = work.draft(completion)
    found = fault(draft)
    doubtful = found is None and draft.is_doubtful
    if doubtful and judge is not None:
        found, said = await ask(judge, work.before.text, draft.after.text, seed=seed)
        work.count(said)
    return Attempt(draft, found, doubtful)


def _fenced(bait: CodeBlock) -> str:
    return f"```{bait.language or ''}\n{bait.code}\n```"
