"""The prompts of the built-in heuristics in the language of a task.

A model of 1.5B parameters answers in the language of the prompt rather than of the task, so the
template and its worked examples are in the task's language. `data/prompts.toml` has them for some
languages; in all others, and for templates of a user, a sentence asks for the language.

>>> in_language(BUILT_IN[0], "Schreibe eine Funktion, die die Liste sortiert.").language
... # doctest: +SKIP
'de'
"""

import tomllib
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from evolcoder.evolution.heuristics import BUILT_IN, Heuristic, WorkedExample
from evolcoder.natural_language import is_likely_foreign, natural_language, prompt_language

KEEP_ANY = "Write in the language of the task."
"""Asks for the language where `prompts.toml` has no sentence for it."""
FRAMES: tuple[str, ...] = (
    "This reference may help or mislead, so check it before you rely on it:",
    "A first attempt looks like this; do not take for granted that it is right:",
    "Somebody suggested the code below, without having tested it:",
    "For orientation, here is a quick draft that may well be wrong:",
)
"""Sentences that introduce a distractor. None claims that the code is wrong, since it has not been
run yet."""
_PROMPTS = {heuristic.name: (heuristic.template, heuristic.examples) for heuristic in BUILT_IN}


def in_language(heuristic: Heuristic, instruction: str) -> Heuristic:
    """Return a heuristic with its prompt in the language of a task, unless it is in one already."""
    if heuristic.language != "en":
        return heuristic
    language = prompt_language(instruction)
    script = "" if language else natural_language(instruction).script
    is_latin = not language and script in {"", "latin"}
    if language == "en" or (is_latin and not is_likely_foreign(instruction)):
        return heuristic
    known = _translations().get(language, {})
    own = known.get(heuristic.name)
    if own is None or _PROMPTS.get(heuristic.name) != (heuristic.template, heuristic.examples):
        template = f"{heuristic.template}\n\n{known.get('keep', KEEP_ANY)}"
        return replace(heuristic, template=template, language=language or script)
    examples = tuple(WorkedExample(one["task"], one["answer"]) for one in own["examples"])
    return replace(heuristic, template=own["template"], examples=examples, language=language)


def keep_sentence(language: str) -> str:
    """Return the sentence that asks to write in a language."""
    return str(_translations().get(language, {}).get("keep", KEEP_ANY))


def frames_of(language: str) -> tuple[str, ...]:
    """Return the sentences that introduce a distractor in a language; else the English ones."""
    return tuple(_translations().get(language, {}).get("frames", FRAMES))


@lru_cache(maxsize=1)
def _translations() -> dict[str, dict[str, Any]]:
    return tomllib.loads((files("evolcoder") / "data" / "prompts.toml").read_text("utf-8"))
