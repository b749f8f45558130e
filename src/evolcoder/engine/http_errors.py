"""Classifies HTTP responses that are not completions, with advice for the user.

>>> classify_response(HttpAnswer(429, b"", {"retry-after": "3"}), model="m").wait_s
3.0
"""

import difflib
from collections.abc import Sequence

from evolcoder.engine import openai_schema
from evolcoder.engine.endpoint import Key
from evolcoder.engine.retry import RequestFault, RetryClass, retry_after_s
from evolcoder.engine.transport import HttpAnswer

AuthAdvice = tuple[str, str]
"""What a rejected request means, and what to do."""
ADVICE: AuthAdvice = (Key("").rejected, Key("").advice)
N_NAMES = 5
"""Number of model names listed in an error."""
_UNAUTHORIZED = frozenset({401, 403})
_SERVER_ERRORS = frozenset({408, 409, 425, 500, 520})
_UNAVAILABLE = frozenset({429, 502, 503, 504, 521, 522, 523, 524, 529})
_OVERLOADED = frozenset({429, 503, 529})
_NO_CREDIT = "insufficient_quota"
_NO_SUCH_MODEL = frozenset({"model_not_found", "invalid_model"})
_LISTED_FORMS = ("models/{}", "{}:latest")
"""Forms under which Gemini and Ollama list models that they also accept by bare name."""
ANY_MODEL = "*"
"""How servers that accept any name list it: LiteLLM's proxy, and one of ours."""


def classify_response(
    answer: HttpAnswer, *, model: str, rejected: AuthAdvice = ADVICE
) -> RequestFault:
    """Classify the response to a completion request."""
    error = openai_schema.parse_error(answer.body)
    if message := _fatal_message(answer, error, model, rejected):
        return RequestFault(message, error.message, RetryClass.FATAL)
    return _transient_fault(answer, error.message)


def classify_model_list(
    answer: HttpAnswer, *, model: str, rejected: AuthAdvice = ADVICE
) -> RequestFault | None:
    """Classify the response to a model list request; None if `model` may be requested.

    A server without a readable list is assumed to have the model.
    """
    if 200 <= answer.status < 300:
        names = _model_names(answer.body)
        known = {model, ANY_MODEL, *(form.format(model) for form in _LISTED_FORMS)}
        if not names or known & set(names):
            return None
        return RequestFault(
            f"has no model {model!r}; {_suggestion(model, names)}", "", RetryClass.FATAL
        )
    error = openai_schema.parse_error(answer.body)
    if answer.status in _UNAUTHORIZED or 300 <= answer.status < 400:
        return RequestFault(
            _fatal_message(answer, error, model, rejected), error.message, RetryClass.FATAL
        )
    fault = _transient_fault(answer, error.message)
    return None if fault.retry_class is RetryClass.REJECTED or answer.status == 429 else fault


def _fatal_message(
    answer: HttpAnswer, error: openai_schema.ErrorBody, model: str, rejected: AuthAdvice
) -> str:
    """Return the error message if only the user can fix it, else an empty string."""
    status = answer.status
    if status in _UNAUTHORIZED:
        return f"{rejected[0]} (HTTP {status}); {rejected[1]}"
    if status == 402 or error.code == _NO_CREDIT:
        return f"requires payment (HTTP {status}); add credit to the account"
    if 300 <= status < 400:
        return f"has moved (HTTP {status}); use the base URL of {answer.location}"
    if error.code in _NO_SUCH_MODEL or (status in {404, 410} and "model" in error.message.lower()):
        return f"has no model {model!r}; use one of its models"
    if status == 404:
        return "has no chat completions there (HTTP 404); most base URLs end in /v1"
    return ""


def _transient_fault(answer: HttpAnswer, message: str) -> RequestFault:
    status = answer.status
    what = f"HTTP {status}"
    wait_s = retry_after_s(answer.retry_after)
    if status in _UNAVAILABLE:
        return RequestFault(
            what, message, RetryClass.UNAVAILABLE, wait_s, overload=status in _OVERLOADED
        )
    return RequestFault(
        what,
        message,
        RetryClass.SERVER_ERROR if status in _SERVER_ERRORS else RetryClass.REJECTED,
        wait_s,
    )


def _model_names(body: bytes) -> list[str]:
    try:
        rows = openai_schema.parse(body)["data"]
        return [str(row["id"]) for row in rows]
    except (ValueError, KeyError, TypeError):
        return []


def _suggestion(model: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(model, names, n=1, cutoff=0.4)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - N_NAMES} more" if len(names) > N_NAMES else ""
    return f"it has {', '.join(names[:N_NAMES])}{more}"
