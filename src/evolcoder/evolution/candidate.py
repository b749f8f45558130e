"""A draft: what came back, made into a task, with the words that the rules look at.

Promises: a text is split into words once, whatever number of rules look at it.
"""

from dataclasses import dataclass

from evolcoder.config.load import EliminateConfig
from evolcoder.evolution.heuristics import Heuristic, TaskContents
from evolcoder.evolution.patterns import EMPTY_WORDS, Phrases
from evolcoder.records import Reason, Task
from evolcoder.text import STOP_WORDS, CodeBlock, words


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """A text with its words."""

    text: str
    """The text."""
    words: tuple[str, ...]
    """Its words, in order."""
    said: str
    """Its words with one blank between, before and behind: phrases are looked up in it."""
    distinct: frozenset[str]
    """Its words, each once."""
    telling: frozenset[str]
    """Its words that say something, in a crude singular."""


@dataclass(frozen=True, slots=True)
class CandidateTask:
    """An evolution before it is judged, with what it is judged by."""

    parent: Task
    """The task that it was made from."""
    before: ParsedReply
    """The parent's text."""
    after: ParsedReply
    """The new task's text, without a bait."""
    added: ParsedReply | None
    """The sentences that were put behind the parent's, if it was made so."""
    bait: CodeBlock | None
    """The piece of wrong code that came with it."""
    cut_off: bool
    """Whether the answer ended at the length limit, and the task with it."""
    heuristic: Heuristic
    """What was asked for."""
    rules: EliminateConfig
    """The limits."""

    @property
    def new_words(self) -> frozenset[str]:
        """The words that the new task says and its parent does not, empty phrases left out."""
        return self.after.telling - self.before.telling - EMPTY_WORDS

    def newly_says(self, known: Phrases) -> str:
        """Return the first phrase that the new task says and its parent does not, or ''."""
        said, before = self.after.said, self.before.said
        for key in sorted(known.keys() & self.after.distinct):
            for phrase in known[key]:
                if phrase in said and phrase not in before:
                    return phrase.strip()
        return ""

    @property
    def is_doubtful(self) -> bool:
        """Whether it adds so little that another candidate may do better."""
        asks_for_more = self.heuristic.holds is TaskContents.NOTHING
        return asks_for_more and len(self.new_words) < self.rules.doubtful_words


@dataclass(frozen=True, slots=True)
class RuleViolation:
    """Why a draft cannot be kept."""

    reason: Reason
    """Which rule."""
    detail: str
    """What was seen."""


def read(text: str) -> ParsedReply:
    """Split a text for the rules."""
    split = words(text)
    distinct = frozenset(split)
    said = distinct - STOP_WORDS
    plurals = [word for word in said if word[-1] == "s" and len(word) > 3 and word[-2] != "s"]
    telling = said.difference(plurals).union([word[:-1] for word in plurals])
    return ParsedReply(text, tuple(split), f" {' '.join(split)} ", distinct, telling)


def joined(text: str, before: ParsedReply, added: ParsedReply) -> ParsedReply:
    """Make the reading of a text that is a parent with sentences put into it.

    The sentences' words come last, though data may stand behind them: no rule minds.
    """
    return ParsedReply(
        text,
        before.words + added.words,
        f"{before.said}{added.said[1:]}",
        before.distinct | added.distinct,
        before.telling | added.telling,
    )
