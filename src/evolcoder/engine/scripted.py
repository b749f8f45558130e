r"""A deterministic engine for demos and tests: answers by rule or by list, fails when told to.

Promises: the answer depends on the request alone. Everything but a model's wit runs with it.

A script is a JSON file: `{"rules": [{"match": REGEX, "answer": TEXT}, ...]}`. The regex is searched
in the last message; `\1`, `\g<name>` and `{seed}` in the answer are filled in; a rule may hold
`"error": "text"` with `"retryable": true` in place of an answer. The first rule that matches
answers.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evolcoder.engine.base import Completion, Request, split_reasoning
from evolcoder.errors import EngineError, ModelError
from evolcoder.ids import content_id
from evolcoder.input_files import read_text
from evolcoder.text import clean

MOST_MB = 256
"""Largest script."""
Answer = Callable[[Request], str]


class ScriptedEngine:
    """Answers every request with `answer(request)`."""

    def __init__(self, answer: Answer, *, identity: str = "scripted") -> None:
        self.identity = identity
        self._answer = answer

    async def complete(self, request: Request) -> Completion:
        """Answer from the script; what an answer holds over max_tokens words is cut off."""
        reasoning, text = split_reasoning(clean(self._answer(request)))
        pieces = re.findall(r"\S+\s*", text)
        cut = len(pieces) > request.sampling.max_tokens
        if cut:
            text = "".join(pieces[: request.sampling.max_tokens])
        sent = sum(len(message.content.split()) for message in request.messages)
        received = min(len(pieces), request.sampling.max_tokens) + len(reasoning.split())
        return Completion(text, reasoning, "length" if cut else "stop", sent, received)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def from_file(path: Path) -> ScriptedEngine:
    """Read a script; a fault in it is a ModelError that names the rule."""
    try:
        text = read_text(path, max_mb=MOST_MB, error=ModelError)
        data = json.loads(text)
        rules = [_Rule(rule) for rule in data["rules"]]
    except ModelError as error:
        raise ModelError(f"scripted:{error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, re.error) as error:
        raise ModelError(f"scripted:{path}: not a script: {error!r}") from error

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
                f"scripted: the answer to {self.pattern.pattern!r} is no template: {error}; "
                f"double the backslashes that are meant as such"
            ) from error
        return answer.replace("{seed}", str(request.seed))
