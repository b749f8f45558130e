"""One task becomes a response, or a drop that says why not.

Promises: the task alone is the prompt. An answer is dropped for what it plainly lacks (nothing
said, cut off, a refusal, no code where code was asked for); whether it is right is looked at later,
by running it. The last of several bad answers names the reason.
"""

import re

from evolcoder.config.load import Config, EliminateConfig
from evolcoder.engine.base import Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.ids import seed_for
from evolcoder.records import SEEN_CHARS, Drop, Reason, Response, Stage, Task, Usage
from evolcoder.text import (
    STOP_WORDS,
    WantedLanguage,
    clean,
    code_blocks,
    has_code,
    longest_repeat,
    one_line,
    wants,
    words,
)

_REFUSES = re.compile(
    r"\b(?:i (?:can(?:'t|not|’t)|won't|am (?:unable|not able) to|'m (?:unable|not able) to)"
    r"|i'm (?:unable|not able) to|unable to) (?:\w+ )?(?:assist|help|fulfil+|comply|answer|provide"
    r"|complete|do (?:that|this)|generate|write|create)|\bas an ai\b",
    re.IGNORECASE,
)
_APOLOGISES = re.compile(r"\b(?:sorry|apologi[sz]e|apologies)\b", re.IGNORECASE)
_OPENING = 300
"""Characters in which a refusal shows; later in an answer the same words speak of the program."""
_KIN: dict[str, frozenset[str]] = {
    "javascript": frozenset({"typescript", "html", "css"}),
    "html": frozenset({"css", "javascript", "php"}),
    "css": frozenset({"html"}),
    "php": frozenset({"html"}),
    "c": frozenset({"cpp"}),
    "cpp": frozenset({"c"}),
    "sql": frozenset({"python", "php"}),
    "java": frozenset({"scala", "kotlin"}),
}
"""Languages that an answer may well use for a task that names another."""
_BESIDE = frozenset({"bash", "sql", "css", "html"})
"""Languages of commands, data and pages that stand beside a program and decide nothing."""


async def respond(task: Task, *, responder: Role, config: Config) -> Response | Drop:
    """Answer a task; see the module for what is promised."""
    sent = received = 0
    for attempt in range(config.respond.tries):
        seed = seed_for(config.seed, "respond", task.id, attempt)
        try:
            said = await responder.ask((Message("user", task.instruction),), seed=seed)
        except EngineError as error:
            if error.retryable:
                raise
            made = Usage(responder.identity, sent, received, attempt + 1)
            return _drop(task, Reason.REJECTED, str(error), "", made)
        sent, received = sent + said.prompt_tokens, received + said.completion_tokens
        made = Usage(responder.identity, sent, received, attempt + 1)
        text, found = clean(said.text).strip(), fault(task, said, config.eliminate)
        if found is None:
            return Response.to(task, text, reasoning=clean(said.reasoning), made=made)
    assert found is not None
    return _drop(task, found[0], found[1], text, made)


def fault(task: Task, said: Completion, rules: EliminateConfig) -> tuple[Reason, str] | None:
    """Return why an answer cannot be kept, with what was seen, or None."""
    text = said.text.strip()
    if said.finish == "length":
        if repeated := longest_repeat(text):
            return Reason.LOOPING, repeated[:80]
        return Reason.TRUNCATED, f"cut off after {said.completion_tokens} tokens"
    if not text:
        return Reason.EMPTY, "nothing said"
    if repeated := longest_repeat(text):
        return Reason.LOOPING, repeated[:80]
    return _says_nothing(text, rules) or _misses_the_code(task, text)


def _says_nothing(text: str, rules: EliminateConfig) -> tuple[Reason, str] | None:
    opening = text[:_OPENING]
    if "```" not in text and (found := _REFUSES.search(opening)):
        return Reason.REFUSAL, found[0]
    if len(text.split()) < rules.apology_words and (found := _APOLOGISES.search(opening)):
        return Reason.APOLOGY, found[0]
    if len(text) < _OPENING and not any(word not in STOP_WORDS for word in words(text)):
        return Reason.ONLY_STOP_WORDS, one_line(text, 80)
    return None


def _misses_the_code(task: Task, text: str) -> tuple[Reason, str] | None:
    if "```" not in text:
        lacks = wants(task.instruction) is WantedLanguage.CODE and not has_code(text)
        return (Reason.NO_CODE, "asked for code, and none is there") if lacks else None
    named = {block.language for block in code_blocks(text)}
    if task.language is None or None in named or task.language in named:
        return None
    wrong = named - _KIN.get(task.language, frozenset()) - _BESIDE
    if not wrong or len(wrong) < len(named - _BESIDE):
        return None
    return Reason.WRONG_LANGUAGE, f"{', '.join(sorted(filter(None, wrong)))}, not {task.language}"


def _drop(task: Task, reason: Reason, detail: str, seen: str, made: Usage) -> Drop:
    return Drop(
        Stage.RESPOND,
        reason,
        task.id,
        task.round,
        task.ordinal,
        task.heuristic,
        seen[:SEEN_CHARS],
        detail,
        made,
    )
