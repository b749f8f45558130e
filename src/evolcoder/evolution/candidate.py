"""A candidate evolution with its tokenized texts, as the rules read it.

Every text is tokenized once, however many rules read it.

>>> tokenize("Sort the lists.").content_words == {"sort", "list"}
True
"""

from dataclasses import dataclass

from evolcoder.config.load import EliminateConfig
from evolcoder.evolution.heuristics import Heuristic, TaskContents
from evolcoder.evolution.patterns import BEHAVIOUR, CONDITION, EMPTY_WORDS, VAGUE, Phrases
from evolcoder.natural_language import prompt_language
from evolcoder.programming_language import CodeBlock
from evolcoder.records import Reason, Task
from evolcoder.text import STOP_WORDS, is_unspaced, words

PAIR_WEIGHT = 0.6
"""Words that a pair of characters counts as: a Chinese word has 1.6 characters."""
MAX_COUNTED_WORDS = 8
"""New words beyond these do not make a candidate better."""
BEHAVIOUR_POINTS, CONDITION_POINTS, VAGUE_POINTS = 3, 2, 3
"""Worth, in new words, of saying what happens and when; and of a vague opening."""
WEAK_BELOW = 9
"""Strength below which another attempt is made."""


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text with its words."""

    text: str
    """The text."""
    words: tuple[str, ...]
    """Its words, in order."""
    padded_words: str
    """Its words separated and surrounded by single blanks, for phrase searches."""
    distinct: frozenset[str]
    """Its distinct words."""
    content_words: frozenset[str]
    """Its distinct words without stop words, with a plural `s` removed."""


@dataclass(frozen=True, slots=True)
class CandidateTask:
    """A proposed evolution and everything the rules need to judge it."""

    parent: Task
    """The parent task."""
    before: TokenizedText
    """The parent's text."""
    after: TokenizedText
    """The new task's text, without its distractor."""
    added: TokenizedText | None
    """The sentences added to the parent, if the task was made by addition."""
    distractor: CodeBlock | None
    """The distractor code, if any."""
    cut_off: bool
    """Whether the length limit truncated the task."""
    heuristic: Heuristic
    """The heuristic that was applied."""
    rules: EliminateConfig
    """Limits of the rules."""
    opening: str = ""
    """How its addition was begun for the model, with a case that the parent leaves open."""
    is_spoiled: bool = False
    """Whether it is the parent with a solution in which one place was changed."""

    @property
    def is_begun(self) -> bool:
        """Whether its addition was begun for the model."""
        return self.opening != ""

    @property
    def is_english(self) -> bool:
        """Whether the parent is English as far as one can tell, so that rules on words apply."""
        return prompt_language(self.before.text) in {"", "en"} and self.heuristic.language == "en"

    @property
    def n_new_words(self) -> float:
        """The number of new words; pairs of characters of an unspaced script count less."""
        new = self.new_words
        if "".join(new).isascii():
            return len(new)
        return sum(PAIR_WEIGHT if is_unspaced(word) else 1 for word in new)

    @property
    def new_words(self) -> frozenset[str]:
        """Content words that the parent lacks, without filler words."""
        return self.after.content_words - self.before.content_words - EMPTY_WORDS

    def new_phrase(self, known: Phrases) -> str:
        """Return the first of the phrases that is in the new task and not in its parent, or ''."""
        after, before = self.after.padded_words, self.before.padded_words
        for key in sorted(known.keys() & self.after.distinct):
            for phrase in known[key]:
                if phrase in after and phrase not in before:
                    return phrase.strip()
        return ""

    @property
    def strength(self) -> float:
        """How much the task adds: new words, and whether it says what happens and when.

        Only compares candidates for one task.
        """
        said = (self.added or self.after).text
        points = min(self.n_new_words, MAX_COUNTED_WORDS)
        points += BEHAVIOUR_POINTS if BEHAVIOUR.search(said) else 0
        points += CONDITION_POINTS if CONDITION.search(said) else 0
        return points - (VAGUE_POINTS if self.added and VAGUE.match(said) else 0)

    @property
    def is_doubtful(self) -> bool:
        """Whether it adds so little that another attempt may do better."""
        asks_for_more = self.heuristic.holds is TaskContents.NOTHING and not self.is_begun
        return asks_for_more and self.n_new_words < self.rules.doubtful_words

    @property
    def is_weak(self) -> bool:
        """Whether a small model should try again, although the addition breaks no rule."""
        said_freely = self.added is not None and self.is_english and not self.is_begun
        return said_freely and self.strength < WEAK_BELOW


@dataclass(frozen=True, slots=True)
class RuleViolation:
    """Why a candidate is rejected."""

    reason: Reason
    """The violated rule's reason."""
    detail: str
    """Evidence."""


def tokenize(text: str) -> TokenizedText:
    """Split a text into words."""
    split = words(text)
    distinct = frozenset(split)
    content = distinct - STOP_WORDS
    plurals = [word for word in content if word[-1] == "s" and len(word) > 3 and word[-2] != "s"]
    singular = content.difference(plurals).union([word[:-1] for word in plurals])
    return TokenizedText(text, tuple(split), f" {' '.join(split)} ", distinct, singular)


def concatenate(text: str, before: TokenizedText, added: TokenizedText) -> TokenizedText:
    """Combine the tokens of a parent and of the sentences added to it; `text` is the whole.

    The added words come last, also where the parent's data follows them in the text: no rule
    depends on that order.
    """
    return TokenizedText(
        text,
        before.words + added.words,
        f"{before.padded_words}{added.padded_words[1:]}",
        before.distinct | added.distinct,
        before.content_words | added.content_words,
    )
