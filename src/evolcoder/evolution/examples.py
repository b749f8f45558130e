"""Chooses the worked examples that a prompt shows: those most like the task.

A small model copies the kind of demand that it sees, so an example about tables makes it demand
tables. Examples are compared by their words, rare ones first, and the choice depends on the task's
text alone. Heuristics with examples of a user show those.

>>> with_similar_examples(BUILT_IN[0], "Make the links red with CSS.").examples[-1].task
... # doctest: +SKIP
'Make the buttons of a page blue with CSS.'
"""

import math
import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from evolcoder.evolution.candidate import tokenize
from evolcoder.evolution.heuristics import BUILT_IN, Heuristic, WorkedExample
from evolcoder.evolution.patterns import EMPTY_WORDS
from evolcoder.evolution.wanted_output import WantedOutput, wanted_output
from evolcoder.programming_language import named_language

LANGUAGE_WEIGHT, KIND_WEIGHT = 0.7, 3.0
"""Similarity, in addition to that of the words, of an example in the task's programming language,
and of one that asks for an explanation as the task does."""
_BUILT_IN = {heuristic.name: heuristic.examples for heuristic in BUILT_IN}


@dataclass(frozen=True, slots=True)
class _Listed:
    """An example with what it is compared by."""

    example: WorkedExample
    words: frozenset[str]
    language: str | None
    asks_for_words: bool


def with_similar_examples(heuristic: Heuristic, instruction: str) -> Heuristic:
    """Return a built-in heuristic with the examples most like a task, the most similar one last."""
    own = _BUILT_IN.get(heuristic.name)
    listed = _listed(heuristic.name)
    if not own or own != heuristic.examples or len(listed) <= len(own):
        return heuristic
    found, language = tokenize(instruction).content_words, named_language(instruction)
    asks_for_words = wanted_output(instruction) is WantedOutput.WORDS
    weights = _weights(heuristic.name)

    def similarity(one: _Listed) -> float:
        shared = sum(weights[word] for word in one.words & found)
        same = language is not None and one.language == language
        kind = KIND_WEIGHT if one.asks_for_words == asks_for_words else 0.0
        return shared + kind + (LANGUAGE_WEIGHT if same else 0.0)

    chosen = sorted(listed, key=similarity, reverse=True)[: len(own)]
    return replace(heuristic, examples=tuple(one.example for one in reversed(chosen)))


def examples_of(name: str) -> tuple[WorkedExample, ...]:
    """Return all examples that the prompts of a built-in heuristic choose from."""
    return tuple(one.example for one in _listed(name))


@lru_cache(maxsize=16)
def _listed(name: str) -> tuple[_Listed, ...]:
    """Return all examples of a heuristic, the built-in ones first."""
    text = (files("evolcoder") / "data" / "examples.toml").read_text("utf-8")
    found = [(example, "") for example in _BUILT_IN.get(name, ())]
    tasks = {example.task for example, _ in found}
    likes: dict[str, str] = {}
    for one in tomllib.loads(text)["tasks"]:
        likes[one["task"]] = one["like"]
        if name in one and one["task"] not in tasks:
            found.append((WorkedExample(one["task"], one[name]), one["like"]))
    return tuple(
        _Listed(
            example,
            tokenize(f"{example.task} {likes.get(example.task, like)}").content_words - EMPTY_WORDS,
            named_language(example.task),
            wanted_output(example.task) is WantedOutput.WORDS,
        )
        for example, like in found
    )


@lru_cache(maxsize=16)
def _weights(name: str) -> dict[str, float]:
    """Weigh each word by how few examples have it."""
    listed = _listed(name)
    counts = Counter(word for one in listed for word in one.words)
    return {word: math.log(1 + len(listed) / n) for word, n in counts.items()}
