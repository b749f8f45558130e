"""Answers a task: returns a response, or a drop with its reason.

The prompt is the instruction and nothing else. Answers are rejected for obvious defects: empty,
only thinking, truncated, broken off, looping, a refusal, no code where code is requested, another
programming language, prose in another natural language, the task's own distractor. Correctness is
checked later by running them (`verify`). If all attempts fail, the drop has the last one's reason.
With `respond.candidates`, several answers are asked for (`answer_several`), and agreement chooses
one of them (`verification/agreement`).

>>> result = await respond(task, responder=role, config=config)   # doctest: +SKIP
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from evolcoder.config.load import Config, EliminateConfig
from evolcoder.engine.base import WHOLE_TRIES, Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.evolution.wanted_output import WantedOutput, wanted_output
from evolcoder.fences import has_code, only_block, without_code
from evolcoder.ids import seed_for
from evolcoder.natural_language import changed_language, names_language
from evolcoder.programming_language import code_blocks, named_languages
from evolcoder.reasoning import without_blank_lines
from evolcoder.records import (
    SEEN_CHARS,
    Drop,
    Reason,
    Response,
    ResponseCandidate,
    Stage,
    Task,
    Usage,
)
from evolcoder.text import STOP_WORDS, clean, count_words, longest_repeat, one_line, words

_REFUSES = re.compile(
    r"\b(?:i (?:can(?:'t|not|’t)|won't|am (?:unable|not able) to|'m (?:unable|not able) to)"
    r"|i'm (?:unable|not able) to|unable to) (?:\w+ )?(?:assist|help|fulfil+|comply|answer|provide"
    r"|complete|do (?:that|this)|generate|write|create)|\bas an ai\b"
    r"|(?:我无法|我不能|抱歉，?我|お手伝いできません|お答えできません|도와드릴 수 없"
    r"|я не могу (?:помочь|ответить)|no puedo (?:ayudar|responder)"
    r"|je ne peux pas (?:aider|répondre)|kann (?:ich )?nicht helfen)",
    re.IGNORECASE,
)
_APOLOGISES = re.compile(r"\b(?:sorry|apologi[sz]e|apologies)\b", re.IGNORECASE)
_ASKS_FOR_WORDS = re.compile(
    r"\b(?:explain(?!ed (?:above|below|earlier))|explanation|describ(?:e(?!d)|ing)|description of"
    r"|discuss(?!ion (?:board|forum|thread|page))|justif(?:y|ies|ication)|reason(?!abl)|why\b"
    r"|analy[sz](?:e(?!r|d)|ing)|analysis of (?:its|the|your|time|space)|complexity analysis"
    r"|summar(?!y (?:statistic|table|row|page|line))|comment on|tell(?:s|ing)?\b|mention(?!ed)"
    r"|answer (?:the|these|this|my|in|with|why|how|what|which|whether|if)\b|your answer"
    r"|be (?:also |\w+ly )?(?:explain|describ|mention|stat|justifi|discuss|analy[sz]|answer)ed"
    r"|(?<!the )(?<!a )(?<!its )(?<!each )(?<!any )stat(?:e|es|ing) (?:\w+ly )?(?:the|its|their"
    r"|your|any|all|each|every|both|an?|that|which|what|why|how|whether|when|where|time|space"
    r"|assumptions|complexit(?:y|ies)|in (?:words|your|one|two|a (?:sentence|line|comment)))\b)",
    re.IGNORECASE,
)
"""Anywhere in a task that asks for code: a demand for words next to it.

Words that describe the program are none (a statement, a state, reasonable), nor what refers to
the task itself (described below). In doubt it is a demand: words that were asked for are kept.
"""
_OPENING = 300
"""Characters searched for a refusal; later in an answer the same words describe the program."""
DISTRACTING = "misdirect"
"""The heuristic whose tasks end with code that is not to be relied on."""
_COMMENT = re.compile(r"(?<!\S)(?:#|//)[^\n]*")
MIN_PROSE_WORDS = 20
"""Words of prose below which an answer's natural language does not matter."""
_ACCEPTED_LANGUAGES: dict[str, frozenset[str]] = {
    "javascript": frozenset({"typescript", "html", "css"}),
    "html": frozenset({"css", "javascript", "php"}),
    "css": frozenset({"html"}),
    "php": frozenset({"html"}),
    "c": frozenset({"cpp"}),
    "cpp": frozenset({"c"}),
    "sql": frozenset({"python", "php"}),
    "java": frozenset({"scala", "kotlin"}),
}
"""Other languages accepted for a task that names the key."""
_AUXILIARY_LANGUAGES = frozenset({"bash", "sql", "css", "html"})
"""Languages of shell commands, queries and pages that accompany a program; ignored."""
_DATA_LANGUAGES = frozenset({"css", "html"})
"""Languages that a task may name only because its program reads or writes them."""


async def respond(task: Task, *, responder: Role, config: Config) -> Response | Drop:
    """Answer a task, with up to `respond.tries` attempts.

    A request that is itself at fault is a drop; raises EngineError if the server or the set-up is.
    """
    answer = await _answer(task, 0, responder=responder, config=config)
    return response_of([answer], answer, task) if not answer.defect else drop_of([answer], task)


async def answer_several(
    task: Task,
    known: Sequence[ResponseCandidate],
    *,
    responder: Role,
    config: Config,
    save: Callable[[ResponseCandidate], None],
) -> list[ResponseCandidate]:
    """Ask for the answers to a task that are not `known` yet; return all, in order.

    Each is a request of its own, sent at once, and saved when it comes. The first is the request
    that `respond` makes; the others differ in seed and in temperature. Those that the server
    rejected or failed at are returned and not saved. Raises EngineError or BudgetReached after
    all others have come.
    """
    have = {answer.number for answer in known}

    async def ask(number: int) -> ResponseCandidate:
        answer = await _answer(task, number, responder=responder, config=config)
        if answer.defect not in _NOT_ANSWERED:
            save(answer)
        return answer

    missing = [number for number in range(config.respond.candidates) if number not in have]
    found = await asyncio.gather(*map(ask, missing), return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            raise error
    asked = [one for one in found if isinstance(one, ResponseCandidate)]
    return sorted([*known, *asked], key=lambda one: one.number)


def response_of(
    answers: Sequence[ResponseCandidate],
    chosen: ResponseCandidate,
    task: Task,
    *,
    without_words: bool = False,
) -> Response:
    """Make the response of the chosen answer; its cost is that of all answers."""
    text = code_alone(chosen.text, task.instruction) if without_words else chosen.text
    return Response.to(task, text, reasoning=chosen.reasoning, made=_cost(answers))


def code_alone(answer: str, task: str) -> str:
    """Return the code block of an answer to a task that asks for code and no words.

    The whole answer if it has no block or several, or if the task asks for words too.
    """
    wants_words = wanted_output(task) is not WantedOutput.CODE or _ASKS_FOR_WORDS.search(task)
    return answer if wants_words else only_block(answer) or answer


def first_answer(task: Task, response: Response, *, config: Config) -> ResponseCandidate:
    """Return the response of a run that asked for one answer as the first of several."""
    assert response.made is not None
    temperature = config.responder.temperature
    how = (temperature, seed_for(config.seed, "respond", task.id, 0))
    return _answer_to(task, 0, (response.text, response.reasoning), None, how, response.made)


def drop_of(answers: Sequence[ResponseCandidate], task: Task) -> Drop:
    """Make the drop of a task none of whose answers can be a response, with the first's reason.

    An answer that came says more of the task than one that a server did not give.
    """
    first = next((one for one in answers if one.defect not in _NOT_ANSWERED), answers[0])
    seen = first.text or first.reasoning
    return _drop(task, Reason(first.defect), first.detail, seen, _cost(answers))


def _cost(answers: Sequence[ResponseCandidate]) -> Usage:
    made = [one.made for one in answers]
    return Usage(
        made[0].model,
        sum(one.prompt_tokens for one in made),
        sum(one.completion_tokens for one in made),
        sum(one.attempts for one in made),
        next((one.answered for one in made if one.answered), ""),
    )


_NOT_ANSWERED = frozenset({Reason.REJECTED.value, Reason.FAILED.value})


async def _answer(task: Task, number: int, *, responder: Role, config: Config) -> ResponseCandidate:
    """Ask for one of the answers to a task, with up to `respond.tries` attempts."""
    role, sent, received, requests = _role_for(responder, number, config), 0, 0, 0
    # An answer that breaks off is asked for again, also where one attempt is configured.
    tries = -(-WHOLE_TRIES // config.respond.tries)
    path = () if number == 0 else ("answer", number)
    how = (role.sampling.temperature, seed_for(config.seed, "respond", task.id, *path, 0))
    for attempt in range(config.respond.tries):
        seed = seed_for(config.seed, "respond", task.id, *path, attempt)
        try:
            messages = (Message("user", task.instruction),)
            answer = await role.ask(messages, seed=seed, tries=tries)
        except EngineError as error:
            if error.retryable:
                raise
            usage = Usage(role.identity, sent, received, requests + 1)
            reason = Reason.REJECTED if error.rejected else Reason.FAILED
            return _answer_to(task, number, ("", ""), (reason, str(error)), how, usage)
        sent, received = sent + answer.prompt_tokens, received + answer.completion_tokens
        requests += answer.requests
        usage = Usage(role.identity, sent, received, requests, answer.model)
        texts = (_trimmed(answer.text), clean(answer.reasoning))
        defect = find_defect(task, answer, config.eliminate)
        if defect is None:
            break
    return _answer_to(task, number, texts, defect, how, usage)


def _answer_to(
    task: Task,
    number: int,
    texts: tuple[str, str],
    defect: tuple[Reason, str] | None,
    how: tuple[float, int],
    usage: Usage,
) -> ResponseCandidate:
    why = ("", "") if defect is None else (defect[0].value, defect[1])
    return ResponseCandidate(task.id, task.round, task.ordinal, number, *texts, *why, *how, usage)


def _role_for(responder: Role, number: int, config: Config) -> Role:
    """Return the responder with the temperature of an answer; the first keeps its own."""
    temperatures = config.respond.temperatures
    if number == 0 or not temperatures:
        return responder
    temperature = temperatures[(number - 1) % len(temperatures)]
    return replace(responder, sampling=replace(responder.sampling, temperature=temperature))


def _trimmed(text: str) -> str:
    """Remove blanks around a text, but not the indentation of code in its first line."""
    text = without_blank_lines(clean(text)).rstrip()
    return text if text.startswith(("  ", "\t")) else text.lstrip()


def incomplete(answer: Completion) -> str:
    """Say how an answer broke off, with the server's word."""
    requests = f" in the last of {answer.requests} requests" if answer.requests > 1 else ""
    detail = f"incomplete: the finish reason is {one_line(answer.finish, 80)}{requests}"
    return "; ".join(filter(None, (detail, answer.only_thought)))


def find_defect(
    task: Task, answer: Completion, rules: EliminateConfig
) -> tuple[Reason, str] | None:
    """Return the reason to reject an answer with its evidence, or None."""
    text = answer.text.strip()
    found = _find_missing(answer, text)
    if found is not None:
        return found
    if repeated := longest_repeat(text):
        return Reason.LOOPING, repeated[:80]
    found = _is_refusal_or_filler(text, rules) or _lacks_code(task, text)
    return found or _is_the_distractor(task, text) or _is_in_another_language(task, text)


def _find_missing(answer: Completion, text: str) -> tuple[Reason, str] | None:
    """Return why there is no whole answer, or None."""
    if answer.broke_off:
        return Reason.INCOMPLETE, incomplete(answer)
    if answer.is_truncated:
        if repeated := longest_repeat(text):
            return Reason.LOOPING, repeated[:80]
        detail = f"truncated after {answer.completion_tokens} tokens"
        return Reason.TRUNCATED, "; ".join(filter(None, (detail, answer.only_thought)))
    if thought := answer.only_thought:
        return Reason.ONLY_THOUGHT, thought
    return None if text else (Reason.EMPTY, "empty answer")


def _is_refusal_or_filler(text: str, rules: EliminateConfig) -> tuple[Reason, str] | None:
    opening = text[:_OPENING]
    if "```" not in text and (found := _REFUSES.search(opening)):
        return Reason.REFUSAL, found[0]
    if len(text.split()) < rules.apology_words and (found := _APOLOGISES.search(opening)):
        return Reason.APOLOGY, found[0]
    if len(text) < _OPENING and not any(word not in STOP_WORDS for word in words(text)):
        return Reason.ONLY_STOP_WORDS, one_line(text, 80)
    return None


def _is_the_distractor(task: Task, text: str) -> tuple[Reason, str] | None:
    """Find an answer all of whose code is code that a task with a distractor shows."""
    if task.heuristic != DISTRACTING:
        return None
    shown = {_bare(block.code) for block in code_blocks(task.instruction)}
    given = {_bare(block.code) for block in code_blocks(text)}
    if not given or not given <= shown:
        return None
    return Reason.BAIT_IS_ANSWER, "the answer's code is the code that the task shows"


def _bare(code: str) -> str:
    """Return code without comments at line ends and without layout."""
    return " ".join(_COMMENT.sub("", code).split())


def _is_in_another_language(task: Task, text: str) -> tuple[Reason, str] | None:
    """Find prose in another natural language than the task's; comments in code may be in any."""
    if "```" not in text and has_code(text):
        return None
    prose = without_code(text)
    changed = changed_language(task.instruction, prose, slips=False)
    if not changed or count_words(prose) < MIN_PROSE_WORDS or names_language(task.instruction):
        return None
    return Reason.WRONG_LANGUAGE, f"the answer's prose: {changed}"


def _lacks_code(task: Task, text: str) -> tuple[Reason, str] | None:
    if "```" not in text:
        lacks = wanted_output(task.instruction) is WantedOutput.CODE and not has_code(text)
        return (Reason.NO_CODE, "the task asks for code and the answer has none") if lacks else None
    named = {block.language for block in code_blocks(text)}
    if task.language is None or None in named or task.language in named:
        return None
    if task.language in _DATA_LANGUAGES or not named.isdisjoint(named_languages(task.instruction)):
        return None  # "count the words of this HTML", "convert this query to Java"
    accepted = _ACCEPTED_LANGUAGES.get(task.language, frozenset())
    wrong = named - accepted - _AUXILIARY_LANGUAGES
    if not wrong or len(wrong) < len(named - _AUXILIARY_LANGUAGES):
        return None
    return Reason.WRONG_LANGUAGE, f"{', '.join(sorted(filter(None, wrong)))}, not {task.language}"


def _drop(task: Task, reason: Reason, detail: str, seen: str, usage: Usage) -> Drop:
    return Drop(
        Stage.RESPOND,
        reason,
        task.id,
        task.round,
        task.ordinal,
        task.heuristic,
        seen[:SEEN_CHARS],
        detail,
        usage,
    )
