r"""A deterministic engine for demos and tests; the answer depends only on the request.

A script is a JSON file: `{"rules": [{"match": REGEX, "answer": TEXT}, ...]}`. The first rule whose
regex is found in the last message provides the answer, in which `\1`, `\g<name>` and `{seed}` are
substituted. Instead of an answer, a rule may have `"error": TEXT` and `"retryable": true`. Tokens
are counted as words, and by characters in a text without spaces.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evolcoder.engine.answer_checks import least_tokens, least_tokens_of
from evolcoder.engine.base import Completion, Request
from evolcoder.errors import EngineError, ModelError
from evolcoder.ids import content_id
from evolcoder.input_files import read_text
from evolcoder.reasoning import split
from evolcoder.text import clean

MAX_MB = 256
"""Largest script file."""
Answer = Callable[[Request], str]


class ScriptedEngine:
    """Answers requests with `answer(request)`."""

    def __init__(self, answer: Answer, *, identity: str = "scripted") -> None:
        self.identity = identity
        self._answer = answer

    async def complete(self, request: Request) -> Completion:
        """Answer from the script; answers are truncated at max_tokens words."""
        reasoning, text = split(clean(self._answer(request)))
        pieces = re.findall(r"\S+\s*", text)
        cut = len(pieces) > request.sampling.max_tokens
        if cut:
            text = "".join(pieces[: request.sampling.max_tokens])
        received = least_tokens_of(text) + least_tokens_of(reasoning)
        finish = "length" if cut else "stop"
        return Completion(text, reasoning, finish, least_tokens(request), received)

    async def aclose(self) -> None:
        """Do nothing."""


def from_file(path: Path) -> ScriptedEngine:
    """Load a script; ModelError if it is invalid."""
    try:
        text = read_text(path, max_mb=MAX_MB, error=ModelError)
        data = json.loads(text)
        rules = [_Rule(rule) for rule in data["rules"]]
    except ModelError as error:
        raise ModelError(f"scripted:{error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, re.error) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(
            f'scripted:{path}: not a script ({why}); write {{"rules": [{{"match": REGEX, '
            f'"answer": TEXT}}]}}'
        ) from error

    def answer(request: Request) -> str:
        asked = request.messages[-1].content
        for rule in rules:
            if found := rule.pattern.search(asked):
                return rule.answer(found, request)
        return ""

    return ScriptedEngine(answer, identity=f"scripted:{content_id('script', data)[:12]}")


class _Rule:
    def __init__(self, rule: dict[str, Any]) -> None:
        self.pattern = re.compile(rule["match"], re.DOTALL)
        self._answer: str = rule.get("answer", "")
        self._error: str | None = rule.get("error")
        self._retryable = bool(rule.get("retryable", False))

    def answer(self, found: re.Match[str], request: Request) -> str:
        if self._error is not None:
            raise EngineError(self._error, asked="scripted", retryable=self._retryable)
        try:
            answer = found.expand(self._answer)
        except (re.error, IndexError) as error:
            raise ModelError(
                f"scripted: the answer to {self.pattern.pattern!r} is not a valid template: "
                f"{error}; write literal backslashes twice"
            ) from error
        return answer.replace("{seed}", str(request.seed))
