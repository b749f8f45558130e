"""Classifies HTTP responses that are not completions, with advice for the user.

A rejection is classified by the words of the server. If these do not show whose fault it is,
`evidence` decides by which other requests the server accepts.

>>> classify_response(HttpAnswer(429, b"", {"retry-after": "3"}), model="m").wait_s
3.0
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from evolcoder.engine import openai_schema
from evolcoder.engine.endpoint import Endpoint, Key
from evolcoder.engine.json_values import object_of, objects_of, parse
from evolcoder.engine.openai_schema import ErrorBody
from evolcoder.engine.retry import RequestFault, RetryClass, server_wait_s
from evolcoder.engine.transport import HttpAnswer
from evolcoder.errors import EngineError, EvolcoderError, Fault, ModelError

AuthAdvice = tuple[str, str]
"""What a rejected request means, and what to do."""
ADVICE: AuthAdvice = (Key("").rejected, Key("").advice)
N_NAMES = 5
"""Number of model names listed in an error."""
_SERVER_ERRORS = frozenset({408, 409, 423, 424, 425, 499})
"""Statuses below 500 of a server that failed at the request; every other 5xx is one too."""
_UNAVAILABLE = frozenset({429, 498, 502, 503, 504, 521, 522, 523, 524, 529, 530})
"""Statuses of a server that asks to wait, or of a gateway that does not reach it."""
_OVERLOADED = frozenset({429, 498, 503, 529})
_WAITS = re.compile(
    r"rate[ _-]?limit|overloaded|too[ _-]many[ _-](?:requests|tokens)|resource[ _]exhausted"
    r"|throttl|server[ _]busy|capacity[ _]exceeded|\bwait before|try again (?:later|shortly)",
    re.IGNORECASE,
)
"""Kinds of errors of a server that asks to wait."""
_WAITS_CHARS = 200
"""Longest message searched for such words: a longer one may quote the request."""
_LIMIT_AND_REQUESTED = re.compile(r"\bLimit:? (\d[\d,]*), Requested:? (\d[\d,]*)")
"""How OpenAI and Groq refuse a request that alone has more tokens than a minute may have."""
_NO_CREDIT = re.compile(
    r"insufficient_(?:quota|balance|funds)|billing_(?:hard_limit|not_active)|credit_limit_reached"
)
_NO_CREDIT_WORDS = re.compile(
    r"credit balance is too low|insufficient (?:balance|credits?|funds)\b", re.IGNORECASE
)
_NO_SUCH_MODEL = frozenset({"model_not_found", "invalid_model", "deploymentnotfound"})
_MODEL_WORDS = re.compile(
    r"\bmodels?\b.{0,160}(?:not found|not exist|not a valid|invalid|unknown|no such|not available"
    r"|not supported|not served|no longer)"
    r"|(?:invalid|unknown|no such|not a valid|unsupported|could not find) model\b",
    re.IGNORECASE | re.DOTALL,
)
_MODEL_MISSING = re.compile(r"model|no endpoints", re.IGNORECASE)
_CONTENT_WORDS = re.compile(
    r"flagged|moderat|content[ _-]?(?:filter|polic|management|violation)|responsible ?ai|guardrail"
    r"|\bsafety\b|(?:usage|use) polic|prohibited|jailbreak"
    r"|violat\w+.{0,40}polic|data_inspection_failed|sensitive (?:content|words?)",
    re.IGNORECASE,
)
"""Words of moderation."""
_FIREWALL_WORDS = re.compile(r"firewall|\bblocked\b|cloudflare", re.IGNORECASE)
"""Words of a firewall, which may block this request, or this machine."""
_KEY_WORDS = re.compile(
    r"api[ _-]?key.{0,40}(?:not valid|invalid|expired|not found|missing|incorrect|revoked|required)"
    r"|(?:invalid|incorrect|missing|expired|no) (?:x-)?api[ _-]?key|invalid_api_key|unauthenticated"
    r"|authentication|invalid (?:token|credentials)",
    re.IGNORECASE,
)
_PLACE_WORDS = re.compile(
    r"\b(?:country|region|territory|location)\b.{0,40}\bnot (?:supported|available|allowed)"
    r"|unsupported_country",
    re.IGNORECASE,
)
_NO_ENDPOINT = re.compile(r"unexpected endpoint|unknown endpoint|no such endpoint", re.IGNORECASE)
"""Words of LM Studio's answer to any other path, which has status 200."""
NO_CHAT_THERE = "has no chat completions there; most base URLs end in /v1"
_FORMS = ("models/{}", "{}:latest")
"""Forms under which Gemini and Ollama list models that they also accept by bare name."""
ANY_MODEL = "*"
"""How servers that accept any name list it: LiteLLM's proxy, and one of ours."""


def classify_response(
    answer: HttpAnswer, *, model: str, rejected: AuthAdvice = ADVICE
) -> RequestFault:
    """Classify the response to a completion request."""
    error = openai_schema.parse_error(answer.body)
    if message := _setup_message(answer, error, rejected):
        return RequestFault(message, error.message, RetryClass.FATAL)
    return _moment(answer, error) or _rejection(answer.status, error, model, rejected)


def error_of(
    fault: RequestFault, endpoint: Endpoint, model: str, *, tries: str, advice: str = ""
) -> EvolcoderError:
    """Return the error of a request that is given up, without keys.

    `tries` says how often it was tried; empty if once. `advice` replaces the fault's.
    """
    redact = endpoint.redact
    if fault.retry_class is RetryClass.FATAL:
        detail = f": {fault.got}" if fault.got else ""
        return ModelError(redact(f"{endpoint.identity} {fault.what}{detail}"))
    advised = f": {redact(fault.advice)}" if fault.is_retried and fault.advice else ""
    return EngineError(
        f"{redact(fault.what)}{tries and f', {tries}'}{advised}",
        asked=f"{model} at {endpoint.identity}",
        got=redact(fault.got),
        retryable=fault.is_retried,
        rejected=fault.retry_class is RetryClass.REJECTED,
        hint=fault.hint,
        advice=redact(advice or fault.advice),
    )


def classify_error_with_status_200(answer: HttpAnswer, *, model: str) -> RequestFault:
    """Classify a response with status 200 that holds an error, by the status that it names.

    The status is that of a server behind a proxy, so that it does not concern the user's key.
    """
    error = openai_schema.parse_error(answer.body)
    status = error.status
    if _NO_ENDPOINT.search(error.message):
        return _rejection(404, error, model, ADVICE)
    if status in {400, 403, 413, 422}:
        return replace(_rejection(status, error, model, ADVICE), advice="")
    if status is not None and (found := _moment(replace(answer, status=status), error)):
        return found
    what = "an error with HTTP status 200"
    if error.retryable or _says_wait(error):
        wait_s = server_wait_s(answer.headers, error.message)
        return RequestFault(what, error.message, RetryClass.UNAVAILABLE, wait_s, overload=True)
    return RequestFault(what, error.message, RetryClass.SERVER_ERROR)


def classify_model_list(
    answer: HttpAnswer, *, rejected: AuthAdvice = ADVICE
) -> RequestFault | None:
    """Classify the response to a model list request; None if completions may be requested.

    The list is a hint: whether a model is served, only a completion request decides.
    """
    error = openai_schema.parse_error(answer.body)
    if answer.status == 401 or 300 <= answer.status < 400:
        message = _setup_message(answer, error, rejected)
        return RequestFault(message, error.message, RetryClass.FATAL)
    return _moment(answer, error) if answer.status >= 500 or answer.status == 408 else None


def unlisted_names(answer: HttpAnswer, model: str) -> tuple[str, ...]:
    """Return the names that a model list has if `model` is not among them, else nothing."""
    names = _model_names(answer.body) if 200 <= answer.status < 300 else []
    known = {model, *(form.format(model) for form in _FORMS)}
    if known & set(names) or any(ANY_MODEL in n and fnmatchcase(model, n) for n in names):
        return ()
    return tuple(names)


def stated_billions(answer: HttpAnswer, model: str) -> float | None:
    """Return the billions of parameters that a model list states, as llama.cpp's does, or None.

    A list of one entry is about `model` whatever its name: such servers answer to any.
    """
    rows = _listed(answer.body) if 200 <= answer.status < 300 else []
    mine = rows if len(rows) == 1 else [row for row in rows if row["id"] == model]
    meta = mine[0].get("meta") if len(mine) == 1 else None
    n = object_of(meta).get("n_params")
    return n / 1e9 if type(n) is int and n > 0 else None


def suggestion(model: str, names: Sequence[str]) -> str:
    """Name the listed model that is most like `model`, or else the first few."""
    close = difflib.get_close_matches(model, names, n=1, cutoff=0.4)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - N_NAMES} more" if len(names) > N_NAMES else ""
    return f"it has {', '.join(names[:N_NAMES])}{more}"


def _setup_message(answer: HttpAnswer, error: ErrorBody, rejected: AuthAdvice) -> str:
    """Return the error message if only the user can fix it, whatever was asked; else empty."""
    status = answer.status
    if status == 401:
        return f"{rejected[0]} (HTTP {status}); {rejected[1]}"
    if status == 407:
        return f"cannot be reached: a proxy asks for credentials (HTTP {status}); set them"
    without_credit = any(map(_NO_CREDIT.search, error.kinds)) or (
        400 <= status < 500 and _NO_CREDIT_WORDS.search(error.message)
    )
    if without_credit or (status == 402 and answer.retry_after is None):
        return f"requires payment (HTTP {status}); add credit to the account"
    if 300 <= status < 400:
        return f"has moved (HTTP {status}); use the base URL of {answer.location}"
    return ""


def _moment(answer: HttpAnswer, error: ErrorBody) -> RequestFault | None:
    """Return the fault if the same request may succeed later."""
    status = answer.status
    if _never_fits(error.message):
        return None
    waits = status in _UNAVAILABLE or status == 402 or error.retryable or _says_wait(error)
    if not waits and status < 500 and status not in _SERVER_ERRORS:
        return None
    overload = status in _OVERLOADED or (waits and status < 500)
    return RequestFault(
        f"HTTP {status}",
        error.message,
        RetryClass.UNAVAILABLE if waits else RetryClass.SERVER_ERROR,
        server_wait_s(answer.headers, error.message),
        overload=overload,
    )


def _never_fits(message: str) -> bool:
    """Whether a request alone exceeds a limit per minute, so that waiting does not help."""
    found = _LIMIT_AND_REQUESTED.search(message)
    limit, requested = (int(n.replace(",", "")) for n in found.groups()) if found else (0, 0)
    return requested > limit


def _says_wait(error: ErrorBody) -> bool:
    short = error.message if len(error.message) <= _WAITS_CHARS else ""
    return any(map(_WAITS.search, (*error.kinds, short)))


def _rejection(status: int, error: ErrorBody, model: str, rejected: AuthAdvice) -> RequestFault:
    hint, advice = None, ""
    if any(map(_CONTENT_WORDS.search, (*error.kinds, error.message))):
        hint = Fault.REQUEST
    elif _FIREWALL_WORDS.search(error.message):
        pass  # whom it blocks, other requests show
    elif any(map(_KEY_WORDS.search, (*error.kinds, error.message))):
        hint, advice = Fault.SETUP, f"{rejected[0]}; {rejected[1]}"
    elif (
        error.kinds & _NO_SUCH_MODEL
        or _MODEL_WORDS.search(error.message)
        or (status in {404, 410} and _MODEL_MISSING.search(error.message))
    ):
        advice = f"has no model {model!r}; use one of its models"
    elif any(map(_PLACE_WORDS.search, (*error.kinds, error.message))):
        advice = "does not serve the country or region of this machine; use another provider"
    elif status == 403:
        advice = f"{rejected[0]}; {rejected[1]}"
    elif status in {404, 405, 410}:
        advice = NO_CHAT_THERE
    return RequestFault(
        f"HTTP {status}", error.message, RetryClass.REJECTED, hint=hint, advice=advice
    )


def _model_names(body: bytes) -> list[str]:
    return [str(row["id"]) for row in _listed(body)]


def _listed(body: bytes) -> list[dict[str, Any]]:
    """Return the entries of a model list that have a name."""
    try:
        rows = parse(body)["data"]
    except (ValueError, KeyError, TypeError):
        return []
    return [row for row in objects_of(rows) if "id" in row]
