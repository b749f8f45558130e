"""What an HTTP answer that is no completion means: a fault, with words that say what to do.

>>> fault_of(Answer(429, b"", "3", None), model="m").wait_s
3.0
"""

import difflib
from collections.abc import Sequence

from evolcoder.engine import openai_schema
from evolcoder.engine.endpoint import Key
from evolcoder.engine.retry import RequestFault, RetryClass, retry_after_s
from evolcoder.engine.transport import HttpAnswer

Rejected = tuple[str, str]
"""What it means that a server takes no request of ours, and what to do."""
ADVICE: Rejected = (Key("").rejected, Key("").advice)
N_NAMES = 5
"""Models that an error lists."""
_KEY_REJECTED = frozenset({401, 403})
_FAILED = frozenset({408, 409, 425, 500, 520})
_AWAY = frozenset({429, 502, 503, 504, 521, 522, 523, 524, 529})
_TOO_MUCH = frozenset({429, 503, 529})
_NO_CREDIT = "insufficient_quota"
_NO_SUCH_MODEL = frozenset({"model_not_found", "invalid_model"})
_DIALECTS = ("models/{}", "{}:latest")
"""How Gemini and Ollama list a model that they also take by its bare name."""
ANY = "*"
"""How a server that takes any name lists that; LiteLLM's proxy does, and one of ours."""


def fault_of(answer: HttpAnswer, *, model: str, rejected: Rejected = ADVICE) -> RequestFault:
    """Judge an answer to a request for a completion."""
    said = openai_schema.complaint(answer.body)
    if words := _fatal(answer, said, model, rejected):
        return RequestFault(words, said.message, RetryClass.FATAL)
    return _passing(answer, said.message)


def fault_of_listing(
    answer: HttpAnswer, *, model: str, rejected: Rejected = ADVICE
) -> RequestFault | None:
    """Judge an answer to the question what models there are; None if `model` may be asked.

    A server that has no such list, or no list that can be read, is taken at its word.
    """
    if 200 <= answer.status < 300:
        names = _listed(answer.body)
        known = {model, ANY, *(dialect.format(model) for dialect in _DIALECTS)}
        if not names or known & set(names):
            return None
        return RequestFault(
            f"has no model {model!r}; {_others(model, names)}", "", RetryClass.FATAL
        )
    said = openai_schema.complaint(answer.body)
    if answer.status in _KEY_REJECTED or 300 <= answer.status < 400:
        return RequestFault(_fatal(answer, said, model, rejected), said.message, RetryClass.FATAL)
    fault = _passing(answer, said.message)
    return None if fault.worth is RetryClass.NOTHING or answer.status == 429 else fault


def _fatal(
    answer: HttpAnswer, said: openai_schema.ErrorBody, model: str, rejected: Rejected
) -> str:
    """Say what the user has to mend, or nothing if it is not for the user to mend."""
    status = answer.status
    if status in _KEY_REJECTED:
        return f"{rejected[0]} (HTTP {status}); {rejected[1]}"
    if status == 402 or said.code == _NO_CREDIT:
        return f"wants money first (HTTP {status}); top up the account"
    if 300 <= status < 400:
        return f"has moved (HTTP {status}); use the base URL of {answer.location}"
    if said.code in _NO_SUCH_MODEL or (status in {404, 410} and "model" in said.message.lower()):
        return f"has no model {model!r}; name one that it has"
    if status == 404:
        return "has no chat completions there (HTTP 404); most base URLs end in /v1"
    return ""


def _passing(answer: HttpAnswer, message: str) -> RequestFault:
    status = answer.status
    what = f"HTTP {status}"
    wait_s = retry_after_s(answer.retry_after)
    if status in _AWAY:
        return RequestFault(what, message, RetryClass.TIME, wait_s, overload=status in _TOO_MUCH)
    return RequestFault(
        what, message, RetryClass.TRIES if status in _FAILED else RetryClass.NOTHING, wait_s
    )


def _listed(body: bytes) -> list[str]:
    try:
        rows = openai_schema.parse(body)["data"]
        return [str(row["id"]) for row in rows]
    except (ValueError, KeyError, TypeError):
        return []


def _others(model: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(model, names, n=1, cutoff=0.4)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - N_NAMES} more" if len(names) > N_NAMES else ""
    return f"it has {', '.join(names[:N_NAMES])}{more}"
