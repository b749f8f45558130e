"""Begins the sentences that a small model adds to a task, so that it has only to complete them.

Left alone, a model of 0.5B parameters explains the task, solves it or says it again. Begun with a
case that the task leaves open, such as `If the list is empty,`, it says what shall happen then. The
model continues the beginning as if it had written it, which only models in this process surely do.
The choice depends on the task's text, round and attempt and on the config's seed.

>>> openings_for("deepen", task, round=1, seed=0)[0]   # doctest: +SKIP
'Then group the entries by'
"""

import math
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from evolcoder.evolution.candidate import tokenize
from evolcoder.ids import rng_for
from evolcoder.natural_language import prompt_language
from evolcoder.records import Task
from evolcoder.text import WantedOutput, wanted_output, words

_ASKS_HOW = re.compile(r"\s*(?:how|can you|could you)\b", re.IGNORECASE)
_NEXT_SENTENCE = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)\s+(?=[A-Z])")
_LITERAL = re.compile(r"\[|\{|\"|`|\d")
_CONTINUES = re.compile(r"[\s.,;:!?)]")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of task with the openings for it."""

    like: frozenset[str]
    needs: frozenset[str]
    nouns: tuple[str, ...]
    asks_for_words: bool
    by_heuristic: dict[str, tuple[str, ...]]


def openings_for(heuristic: str, task: Task, *, round: int, seed: int) -> tuple[str, ...]:
    """Return openings for a heuristic's additions to a task, in the order of the attempts.

    Empty if the task is not in English or the heuristic has none.
    """
    text = task.instruction
    if prompt_language(text) not in {"", "en"}:
        return ()
    kind = _kind_of(text)
    named = words(text)
    noun = next((noun for noun in kind.nouns if noun in named or f"{noun}s" in named), None)
    noun = noun or (kind.nouns[-1] if kind.nouns else "")
    found = [opening.format(noun=noun) for opening in kind.by_heuristic.get(heuristic, ())]
    said = tokenize(text).content_words
    new = [opening for opening in found if not tokenize(opening).content_words <= said]
    rng_for(seed, "opening", task.id, round).shuffle(new)
    return tuple(new)


def complete(opening: str, continuation: str) -> str:
    """Join an opening with what a model wrote after it, up to the end of the sentence.

    Further sentences of small models explain how. Empty if the model wrote nothing that completes
    the sentence: punctuation or filler words alone, another paragraph, or a code block.
    """
    text = _NEXT_SENTENCE.split(continuation.partition("\n")[0].rstrip(), maxsplit=1)[0]
    is_repeated = text.lower().lstrip().startswith(opening.lower())
    said = text.lstrip()[len(opening) :] if is_repeated else text
    if "```" in said or not (tokenize(said).content_words or _LITERAL.search(said)):
        return ""
    if is_repeated:
        return text.lstrip()
    return f"{opening}{'' if _CONTINUES.match(text) else ' '}{text}"


def _kind_of(text: str) -> _Kind:
    """Return the kind of a task: that with most of its words, rare ones first; else the last."""
    found = tokenize(text).content_words
    # `How can I write …` is answered with code.
    asks_for_words = wanted_output(text) is WantedOutput.WORDS and not _ASKS_HOW.match(text)
    weights = _weights()

    def likeness(kind: _Kind) -> float:
        return sum(weights[word] for word in kind.like & found)

    fitting = [
        kind
        for kind in _kinds()
        if kind.asks_for_words == asks_for_words
        and not (kind.needs and kind.needs.isdisjoint(found))
    ]
    best = max(fitting, key=likeness)
    return best if likeness(best) or asks_for_words else fitting[-1]


@lru_cache(maxsize=1)
def _kinds() -> tuple[_Kind, ...]:
    text = (files("evolcoder") / "data" / "openings.toml").read_text("utf-8")
    return tuple(
        _Kind(
            tokenize(kind["like"]).content_words,
            tokenize(kind.get("needs", "")).content_words,
            tuple(kind.get("nouns", ())),
            kind.get("asks_for_words", False),
            {
                "constrain": tuple(kind["constrain"]),
                "misdirect": tuple(kind["constrain"]),
                "deepen": tuple(kind["deepen"]),
            },
        )
        for kind in tomllib.loads(text)["kinds"]
    )


@lru_cache(maxsize=1)
def _weights() -> dict[str, float]:
    """Weigh each word by how few kinds have it."""
    counts = Counter(word for kind in _kinds() for word in kind.like)
    return {word: math.log(1 + len(_kinds()) / n) for word, n in counts.items()}
