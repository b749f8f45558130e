"""Notes, once per model, answers that are not what was asked for.

Another model than the one asked for answered, or the server cut the prompt: it counted far fewer
tokens than the text needs. Neither is an error: some gateways rename models, and no count is exact.

>>> CheckedEngine(CachedEngine(engine, cache), AnswerChecks(print))   # doctest: +SKIP
"""

import re
from collections import Counter
from collections.abc import Callable

from evolcoder.engine.base import Completion, Engine, Request, key_identity
from evolcoder.engine.model_names import same_model
from evolcoder.engine.openai_schema import count_prompt_characters, estimate_tokens

MIN_TOKENS = 50
"""Prompts that need fewer tokens are not checked."""
CUT_SHARE = 0.7
"""A prompt is cut if fewer than this share of the tokens that it needs was counted."""
_CHARACTERS_PER_TOKEN = 20
"""No tokenizer known to us packs more of a text without spaces into a token."""
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CJK_PER_TOKEN = 3


class AnswerChecks:
    """The checks of one run, shared by its engines."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """`note` is called with each message, which is one line."""
        self.answered: Counter[str] = Counter()
        """Answers by the name of the model that answered, as far as servers say it."""
        self._note = note
        self._noted: set[tuple[str, str]] = set()

    def check(self, identity: str, request: Request, completion: Completion) -> None:
        """Note what is wrong with an answer, unless it was noted for this model."""
        model = request.model
        if completion.model:
            self.answered[completion.model] += 1
        if not same_model(model, completion.model) and self._is_first("model", model):
            self._note(
                f"warning: {completion.model!r} answered in place of {model!r} at {identity}; "
                "lineages and cards name the model that answered"
            )
        needed = least_tokens(request)
        if (
            needed >= MIN_TOKENS
            and completion.prompt_tokens != estimate_tokens(count_prompt_characters(request))
            and completion.prompt_tokens < CUT_SHARE * needed
            and self._is_first("cut", model)
        ):
            self._note(
                f"warning: {model} at {identity} counted {completion.prompt_tokens:,} tokens in a "
                f"prompt that needs at least {needed:,}: the server seems to cut prompts; raise "
                "its context length, unless it counts only what it had not cached"
            )

    def _is_first(self, kind: str, model: str) -> bool:
        if (kind, model) in self._noted:
            return False
        self._noted.add((kind, model))
        return True


def least_tokens(request: Request) -> int:
    """Return a number of tokens below which no tokenizer gets with this prompt."""
    needed = 0
    for message in request.messages:
        words = message.content.split()
        n_cjk = 0 if message.content.isascii() else len(_CJK.findall(message.content))
        n_characters = sum(map(len, words))
        needed += max(len(words), n_cjk // _CJK_PER_TOKEN, n_characters // _CHARACTERS_PER_TOKEN)
    return needed


class CheckedEngine:
    """Checks the answers of an engine, cached ones included."""

    def __init__(self, inner: Engine, checks: AnswerChecks) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._checks = checks

    async def complete(self, request: Request) -> Completion:
        """Return the answer of the wrapped engine."""
        completion = await self._inner.complete(request)
        self._checks.check(self.identity, request, completion)
        return completion

    async def aclose(self) -> None:
        """Close the wrapped engine."""
        await self._inner.aclose()
